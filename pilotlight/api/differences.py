"""Whether two objects mean the same, and what differs if they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pilotlight.config.go_values import parse_quantity

_QUANTITY_MAPS: Final = ("limits", "requests")
_ABSENT: Final = object()


def meaning(value: Any) -> Any:
    """A value without everything that says nothing: nulls, empty maps and lists; quantities by
    their size, so that `1` and `1000m` are equal."""
    if isinstance(value, dict):
        return _meaning_of_map(value)
    if isinstance(value, list):
        return [meaning(item) for item in value]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same."""
    return bool(meaning(one or {}) == meaning(other or {}))


def differences(old: Any, new: Any) -> str:
    """What differs, one line a value: `-path: old` and `+path: new`; empty when nothing does."""
    return "\n".join(_compared(meaning(old or {}), meaning(new or {}), ""))


def _meaning_of_map(value: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        item = _sizes(item) if key in _QUANTITY_MAPS and isinstance(item, dict) else meaning(item)
        if item is not None and item not in ({}, []):
            result[key] = item
    return result


def _sizes(quantities: dict[str, Any]) -> dict[str, str]:
    return {name: _size(quantity) for name, quantity in quantities.items() if quantity is not None}


def _size(quantity: Any) -> str:
    try:
        return format(parse_quantity(str(quantity)).normalize(), "f")
    except ValueError:
        return str(quantity)


def _compared(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            yield from _compared(old.get(key, _ABSENT), new.get(key, _ABSENT), inner)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _compared(_at(old, index), _at(new, index), f"{path}[{index}]")
    elif old != new:
        if old is not _ABSENT:
            yield f"-{path}: {json.dumps(old, sort_keys=True)}"
        if new is not _ABSENT:
            yield f"+{path}: {json.dumps(new, sort_keys=True)}"


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _ABSENT
