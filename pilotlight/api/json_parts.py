"""Reading Kubernetes JSON as Go does: what is absent, null or empty is the same thing."""

from __future__ import annotations

from collections.abc import Container as Contained
from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


def part(obj: Json | None, *path: str) -> dict[str, Any]:
    """The object at a path; an empty one where there is none."""
    for step in path:
        obj = (obj or {}).get(step) or {}
    return dict(obj or {})


def parts(obj: Json | None, name: str) -> list[dict[str, Any]]:
    """The objects of a list; none where there is no list."""
    return [item or {} for item in (obj or {}).get(name) or []]


def text(obj: Json | None, name: str) -> str:
    """A text; an empty one where there is none."""
    return (obj or {}).get(name) or ""


def number(obj: Json, name: str) -> int:
    """A number; 0 where there is none."""
    return obj.get(name) or 0


def annotations_of(obj: Json) -> dict[str, str]:
    return part(obj, "metadata", "annotations")


def labels_of(obj: Json) -> dict[str, str]:
    return part(obj, "metadata", "labels")


def is_set(obj: Json, name: str, plain: Contained[str] = frozenset()) -> bool:
    """Whether a field counts as set: it is there and not null, and, for the plain fields (no
    pointers in Go), not zero."""
    value = obj.get(name)
    return value is not None and not (name in plain and value in ("", 0, False))


def set_among(obj: Json, names: Iterable[str], plain: Contained[str] = frozenset()) -> list[str]:
    """Those of the names that are set."""
    return [name for name in names if is_set(obj, name, plain)]
