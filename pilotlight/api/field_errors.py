"""Errors that name the fields they are about, and how they are told to a person.

The text is Knative's: `<message>: <path>, <path>`, then the details on a line of their own. Equal
messages are merged, their paths sorted, the lines sorted by message. Clients and tests compare
these texts, hence the care for the small print in `_join`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

CURRENT_FIELD: Final = ""


class Level(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One complaint. Paths are relative to whoever made it, until `via` prefixes them."""

    message: str
    paths: tuple[str, ...] = ()
    details: str = ""
    level: Level = Level.ERROR

    def __str__(self) -> str:
        text = f"{self.message}: {', '.join(self.paths)}"
        return f"{text}\n{self.details}" if self.details else text


class FieldErrors:
    """A list of complaints that grows while a check walks through an object."""

    __slots__ = ("_errors",)

    def __init__(self, errors: Iterable[FieldError] = ()) -> None:
        self._errors = list(errors)

    def __bool__(self) -> bool:
        return bool(self._errors)

    def __len__(self) -> int:
        return len(self._errors)

    def __iter__(self) -> Iterator[FieldError]:
        return iter(self._errors)

    def __repr__(self) -> str:
        return f"FieldErrors({self._errors!r})"

    def add(self, *others: FieldErrors | FieldError) -> FieldErrors:
        """Take in other complaints, in place; returns itself."""
        for other in others:
            if isinstance(other, FieldError):
                self._errors.append(other)
            else:
                self._errors.extend(other)
        return self

    def via(self, *prefix: str | int) -> FieldErrors:
        """The same complaints seen from further up: `via("containers", 0)` puts `containers[0]`
        before each path. A number is an index; `map_key` makes a key."""
        parts = [f"[{part}]" if isinstance(part, int) else part for part in prefix]
        return FieldErrors(
            replace(error, paths=tuple(_join([*parts, path]) for path in error.paths))
            for error in self._errors
        )

    def at(self, level: Level) -> FieldErrors:
        """The same complaints with another level."""
        return FieldErrors(replace(error, level=level) for error in self._errors)

    @property
    def errors(self) -> FieldErrors:
        """Those that deny the request."""
        return FieldErrors(e for e in self._errors if e.level is Level.ERROR)

    @property
    def warnings(self) -> list[str]:
        """Those that only warn, one text each."""
        return [str(e) for e in _merged(e for e in self._errors if e.level is Level.WARNING)]

    def render(self) -> str:
        """The text of a denial, without a prefix; empty when nothing denies."""
        return "\n".join(map(str, _merged(self.errors)))


def map_key(key: str) -> str:
    """A step into a map, for `via`."""
    return f"[{key}]"


def missing(*paths: str) -> FieldError:
    return FieldError("missing field(s)", paths)


def disallowed(*paths: str) -> FieldError:
    return FieldError("must not set the field(s)", paths)


def invalid(value: object, path: str, *details: str) -> FieldError:
    return FieldError(f"invalid value: {_go(value)}", (path,), ", ".join(details))


def invalid_key(key: str, path: str, *details: str) -> FieldError:
    return FieldError(f"invalid key name {quote(key)}", (path,), ", ".join(details))


def missing_one_of(*paths: str) -> FieldError:
    return FieldError("expected exactly one, got neither", paths)


def multiple_one_of(*paths: str) -> FieldError:
    return FieldError("expected exactly one, got both", paths)


def out_of_bounds(value: object, lower: object, upper: object, path: str) -> FieldError:
    return FieldError(f"expected {_go(lower)} <= {_go(value)} <= {_go(upper)}", (path,))


def generic(message: str, *paths: str) -> FieldError:
    return FieldError(message, paths)


def quote(text: str) -> str:
    """A text in double quotes, with the escapes that Go's `%q` writes."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or _printable(c) for c in text) + '"'


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _go(value: object) -> str:
    """A value as Go's `%v` prints it: booleans in lower case, whole floats without a fraction."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _join(parts: Iterable[str]) -> str:
    """Join path steps by dots; an index is glued to the step before it.

    Steps are split at dots first, so that a map key with a dot in it is no longer recognised as
    an index: it keeps a dot before its bracket, as in Knative's own messages.
    """
    path: list[str] = []
    for step in (step for part in parts for step in part.split(".")):
        if not step:
            continue
        if path and step.startswith("[") and step.endswith("]"):
            path[-1] += step
        else:
            path.append(step)
    return ".".join(path)


def _merged(errors: Iterable[FieldError]) -> list[FieldError]:
    paths: dict[tuple[str, str, Level], set[str]] = {}
    for error in errors:
        paths.setdefault((error.message, error.details, error.level), set()).update(error.paths)
    return [
        FieldError(message, tuple(sorted(found)), details, level)
        for (message, details, level), found in sorted(paths.items(), key=lambda item: item[0][:2])
    ]
