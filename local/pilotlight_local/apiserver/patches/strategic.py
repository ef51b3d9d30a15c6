"""Strategic merge patch: a merge patch that knows which lists are maps.

The directives are those of Kubernetes: `$patch: replace|delete|merge`, `$retainKeys`,
`$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotlight_local.apiserver.errors import ApiError, bad_request
from pilotlight_local.apiserver.shapes import Shape
from pilotlight_local.apiserver.values import Object, copy_json

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
ORDER = "$setElementOrder/"


def strategic_patch(target: Any, patch: Any, shape: Shape) -> Any:
    """`target` after a strategic merge patch; 400 for a patch that is malformed."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    if not isinstance(target, dict):
        target = {}
    return _merge_map(target, patch, shape)


def _merge_map(target: Object, patch: Object, shape: Shape) -> Object:
    directive = patch.get(DIRECTIVE)
    if directive == "replace":
        return {name: copy_json(item) for name, item in patch.items() if name != DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type found: {directive}")
    result = dict(target)
    _retain(result, patch)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        _merge_member(result, name, value, _Context(shape.member(name), patch.get(ORDER + name)))
    for name, value in patch.items():
        if name.startswith(DELETE_PRIMITIVES):
            field = name.removeprefix(DELETE_PRIMITIVES)
            gone = _list(value, name)
            result[field] = [item for item in result.get(field) or [] if item not in gone]
        elif name.startswith(ORDER):
            _reorder(result, name.removeprefix(ORDER), _list(value, name), shape)
    return result


class _Context:
    """What a list's merge needs to know beside the two lists."""

    __slots__ = ("order", "shape")

    def __init__(self, shape: Shape, order: Any) -> None:
        self.shape = shape
        self.order = order


def _merge_member(result: Object, name: str, value: Any, context: _Context) -> None:
    if value is None:
        result.pop(name, None)
    elif isinstance(value, dict):
        before = result.get(name)
        if value.get(DIRECTIVE) == "delete":
            result.pop(name, None)
        else:
            before = before if isinstance(before, dict) else {}
            result[name] = _merge_map(before, value, context.shape)
    elif isinstance(value, list) and context.shape.merges_strategically:
        before = result.get(name)
        result[name] = merge_list(before if isinstance(before, list) else [], value, context.shape)
    else:
        result[name] = _without_directives(value)


def _without_directives(value: Any) -> Any:
    if isinstance(value, list):
        return [
            _without_directives(item)
            for item in value
            if not (isinstance(item, dict) and set(item) == {DIRECTIVE})
        ]
    if isinstance(value, dict):
        return {k: _without_directives(v) for k, v in value.items() if k != DIRECTIVE}
    return value


def merge_list(target: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    """A list whose items are told apart by a key (or are primitives: then their union)."""
    if not shape.merge_key:
        return target + [item for item in patch if item not in target]
    if any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch):
        kept = [item for item in patch if not _is_directive(item, "replace")]
        return [_without_directives(item) for item in kept]
    result = list(target)
    for item in patch:
        _merge_item(result, item, shape)
    return result


def _is_directive(item: Any, name: str) -> bool:
    return isinstance(item, dict) and item.get(DIRECTIVE) == name and len(item) == 1


def _merge_item(result: list[Any], item: Any, shape: Shape) -> None:
    key = shape.merge_key
    if not isinstance(item, dict):
        raise bad_request("expected a map in a list of maps")
    if key not in item:
        message = f"map: {item} does not contain declared merge key: {key}"
        raise ApiError(400, "BadRequest", message)
    positions = [
        i for i, old in enumerate(result) if isinstance(old, dict) and old.get(key) == item[key]
    ]
    if item.get(DIRECTIVE) == "delete":
        for position in reversed(positions):
            del result[position]
    elif positions:
        # The first match only: ports may share the key and differ in the protocol.
        result[positions[0]] = _merge_map(result[positions[0]], item, shape.element)
    else:
        result.append(_merge_map({}, item, shape.element))


def _retain(result: Object, patch: Object) -> None:
    if RETAIN_KEYS not in patch:
        return
    retained = set(_list(patch[RETAIN_KEYS], RETAIN_KEYS))
    for name in [name for name in result if name not in retained]:
        del result[name]


def _reorder(result: Object, field: str, order: Sequence[Any], shape: Shape) -> None:
    """Sorts a merged list as asked; items that are not named keep their place after the one
    that they followed.
    """
    items = result.get(field)
    if not isinstance(items, list):
        return
    key = shape.member(field).merge_key
    wanted = [item.get(key) if key and isinstance(item, dict) else item for item in order]
    rank = {_hashable(value): position for position, value in enumerate(wanted)}
    placed: list[tuple[int, int, Any]] = []
    last = -1
    for position, item in enumerate(items):
        name = item.get(key) if key and isinstance(item, dict) else item
        last = rank.get(_hashable(name), last)
        placed.append((last, position, item))
    placed.sort(key=lambda entry: entry[:2])
    result[field] = [item for _, _, item in placed]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"expected a list for {name}")
    return value
