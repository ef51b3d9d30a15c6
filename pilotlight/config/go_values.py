"""Values as Go and Kubernetes spell them in ConfigMaps and annotations.

The texts of the errors follow Go's own, because people search for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

T = TypeVar("T")

NANOSECOND: Final = 1
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

_INT64_MAX: Final = 2**63 - 1
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[+-]?(inf|infinity)|nan", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_DURATION_UNITS: Final[dict[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_QUANTITY_SCALE: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
QUANTITY_ERROR: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


class ConfigError(ValueError):
    """A ConfigMap holds something it must not. `str()` names the key, the value and the rule."""

    def __init__(self, key: str, value: str, rule: str, text: str | None = None) -> None:
        super().__init__(text or f"failed to parse {key!r}: {value!r}: {rule}")
        self.key = key
        self.value = value
        self.rule = rule


def parse_bool(text: str) -> bool:
    """`true`, `false`, `1`, `0`, `t`, `f` and their capitals; else ValueError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def parse_int(text: str, bits: int = 64) -> int:
    """A decimal integer that fits into so many bits, signed; else ValueError."""
    if not _INT.fullmatch(text):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def parse_float(text: str) -> float:
    """A decimal number, or an infinity or NaN by name; else ValueError."""
    if not (_FLOAT.fullmatch(text) or _SPECIAL_FLOAT.fullmatch(text)):
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    value = float(text)
    if math.isinf(value) and not _SPECIAL_FLOAT.fullmatch(text):
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": value out of range')
    return value


def parse_duration_ns(text: str) -> int:
    """A duration as `1h30m`, `90s` or `-1.5s`, in nanoseconds; a bare `0` too; else ValueError."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    if not body:
        raise ValueError(f'time: invalid duration "{text}"')
    total = Decimal(0)
    position = 0
    while position < len(body):
        match = _DURATION.match(body, position)
        if match is None:
            raise ValueError(f'time: invalid duration "{text}"')
        total += Decimal(match[1]) * _unit(match[2], text)
        position = match.end()
    if total > _INT64_MAX:
        raise ValueError(f'time: invalid duration "{text}"')
    return -int(total) if text[0] == "-" else int(total)


def parse_duration_s(text: str) -> float:
    """A Go duration, in seconds; else ValueError."""
    return parse_duration_ns(text) / SECOND


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `1h0m0s`, `6s`, `1.5s`, `250ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < SECOND:
        unit, scale = next(u for u in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if rest >= u[1])
        return sign + _plain(Decimal(rest) / scale) + unit
    minutes, rest = divmod(rest, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = _plain(Decimal(rest) / SECOND) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def parse_quantity(text: str) -> Decimal:
    """A Kubernetes quantity (`250m`, `1Gi`, `1e3`), exactly; else ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(QUANTITY_ERROR)
    suffix = match["suffix"] or ""
    try:
        number = Decimal(match["number"])
        if suffix in _QUANTITY_SCALE:
            return number * _QUANTITY_SCALE[suffix]
        return number.scaleb(int(suffix[1:]))
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(QUANTITY_ERROR) from error


def parse_set(text: str) -> frozenset[str]:
    """The parts of a comma separated list; an empty text is an empty set."""
    return frozenset(part.strip() for part in text.split(",") if part.strip())


class Keys:
    """The data of one ConfigMap while it is being parsed. Errors carry the key and the value."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self._data = data

    def text(self, *names: str, default: str = "") -> str:
        """The value under the first of the names that is present."""
        found = self.find(*names)
        return default if found is None else found[1]

    def find(self, *names: str) -> tuple[str, str] | None:
        """The first of the names that is present, and its value."""
        for name in names:
            if name in self._data:
                return name, self._data[name]
        return None

    def parsed(self, parse: Callable[[str], T], default: T, *names: str) -> T:
        """The value under the first of the names that is present, parsed.

        Raises ConfigError in place of the parser's ValueError.
        """
        found = self.find(*names)
        if found is None:
            return default
        key, text = found
        try:
            return parse(text)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(key, text, str(error), f'failed to parse "{key}": {error}') from error

    def boolean(self, default: bool, *names: str) -> bool:
        """As Knative's ConfigMaps have it: whatever does not read as true is an error."""
        return self.parsed(parse_bool, default, *names)

    def integer(self, default: int, *names: str, bits: int = 64) -> int:
        return self.parsed(lambda text: parse_int(text, bits), default, *names)

    def number(self, default: float, *names: str) -> float:
        return self.parsed(parse_float, default, *names)

    def seconds(self, default: float, *names: str) -> float:
        return self.parsed(parse_duration_s, default, *names)

    def quantity(self, default: str | None, *names: str) -> str | None:
        """A quantity, checked but kept as it is spelled."""
        return self.parsed(_checked_quantity, default, *names)


def _checked_quantity(text: str) -> str:
    parse_quantity(text)
    return text


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _unit(unit: str, text: str) -> int:
    if not unit:
        raise ValueError(f'time: missing unit in duration "{text}"')
    if unit not in _DURATION_UNITS:
        raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
    return _DURATION_UNITS[unit]
