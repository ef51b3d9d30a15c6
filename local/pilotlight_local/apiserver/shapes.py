"""How values merge: which lists are maps or sets, which maps are one value.

A `Shape` accompanies a value down its tree. Strategic merge patches and server-side apply ask it
how the members of a map or the items of a list combine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAP: Final = "map"
ATOMIC: Final = "atomic"
LIST_MAP: Final = "list-map"
LIST_SET: Final = "list-set"

_NONE: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Shape:
    """The merge rule of one value. A list under `MAP` is replaced as a whole."""

    kind: str = MAP
    fields: Mapping[str, Shape] = field(default_factory=dict)
    rest: Shape | None = None
    """The shape of the members that `fields` lacks; None: as unknown members, `ANY`."""
    item: Shape | None = None
    keys: tuple[str, ...] = ()
    """The members that identify an item of a list-map, for server-side apply."""
    key_defaults: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    merge_key: str = ""
    """The member that identifies an item in a strategic merge patch; "" where it replaces."""
    retain_keys: bool = False
    closed: bool = False
    """Members outside of `fields` and `rest` do not exist."""

    def member(self, name: str) -> Shape:
        found = self.fields.get(name)
        if found is not None:
            return found
        return self.rest or ANY

    @property
    def element(self) -> Shape:
        return self.item or ANY

    @property
    def merges_strategically(self) -> bool:
        return bool(self.merge_key) or self.kind == LIST_SET


ANY: Final = Shape()
LEAF: Final = Shape(ATOMIC)


def list_map(item: Shape, *keys: str, merge_key: str = "", **defaults: Any) -> Shape:
    """A list whose items are told apart by `keys`."""
    return Shape(
        LIST_MAP, item=item, keys=keys, merge_key=merge_key or keys[0], key_defaults=defaults
    )


def struct(**fields: Shape) -> Shape:
    return Shape(fields=fields)


SET: Final = Shape(LIST_SET)

Locate = Callable[[str], "Shape"]
