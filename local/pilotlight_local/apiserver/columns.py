"""The columns of tables, and the times in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .values import Object, parse_time

Cell = str | int | float | bool | None
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its definition and how an object fills it, given the time."""

    name: str
    cell: Callable[[Object, datetime], Cell]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def age(text: Any, now: datetime) -> str:
    """The time since a timestamp in kubectl's short form: `45s`, `5m3s`, `3h12m`, `2d4h`."""
    if not isinstance(text, str):
        return "<unknown>"
    try:
        return duration((now - parse_time(text)).total_seconds())
    except ValueError:
        return "<unknown>"


def duration(seconds: float) -> str:
    """A duration in kubectl's short form; two units while the first is small."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 2 * _MINUTE_S:
        return f"{total}s"
    minutes = total // _MINUTE_S
    if minutes < 10:
        rest = total % _MINUTE_S
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = total // _HOUR_S
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return _days(hours)


def _days(hours: int) -> str:
    days = hours // 24
    if hours < 192:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years, rest = divmod(days, 365)
    if years < 8:
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def _name(obj: Object, _now: datetime) -> Cell:
    return str(obj["metadata"]["name"])


def _age(obj: Object, now: datetime) -> Cell:
    return age(obj["metadata"].get("creationTimestamp"), now)


NAME: Final = Column("Name", _name, format="name", description="Name must be unique.")
AGE: Final = Column("Age", _age, description="The time since the object's creation.")
