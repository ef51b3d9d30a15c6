"""Sets of field paths, in the form in which `managedFields` writes them (FieldsV1).

A set is a tree of dicts. Steps are `f:NAME` (a member), `k:{"KEY":VALUE}` (an item of a list-map)
and `v:VALUE` (an item of a list-set). A node without steps is a path of the set; a node with steps
is one only if it also holds the step `.`. The empty set is None, because `{}` is the set that holds
the root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pilotlight_local.apiserver.shapes import ATOMIC, LIST_MAP, LIST_SET, Shape
from pilotlight_local.apiserver.values import same_json

Fields = dict[str, Any]
SELF = "."


def item_step(item: Any, shape: Shape) -> str | None:
    """The step of a list-map's item, None when the item lacks a key that has no default."""
    if not isinstance(item, dict):
        return None
    keys = {}
    for name in sorted(shape.keys):
        value = item.get(name, shape.key_defaults.get(name))
        if value is None:
            return None
        keys[name] = value
    return "k:" + json.dumps(keys, ensure_ascii=False, separators=(",", ":"))


def value_step(item: Any) -> str:
    return "v:" + json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def steps(value: Any, shape: Shape) -> dict[str, tuple[Any, Shape]] | None:
    """The parts of a value that can be owned one by one; None for a value that is owned whole."""
    if shape.kind == ATOMIC:
        return None
    if isinstance(value, dict):
        return {f"f:{name}": (item, shape.member(name)) for name, item in value.items()}
    if isinstance(value, list) and shape.kind == LIST_MAP:
        found = {}
        for item in value:
            step = item_step(item, shape)
            if step is None:
                return None
            found[step] = (item, shape.element)
        return found
    if isinstance(value, list) and shape.kind == LIST_SET:
        return {value_step(item): (item, shape.element) for item in value}
    return None


def of(value: Any, shape: Shape) -> Fields:
    """The set of every leaf of `value`, and of every item of its list-maps."""
    parts = steps(value, shape)
    if not parts:
        return {}
    found = {step: of(part, inner) for step, (part, inner) in parts.items()}
    for step, inner in found.items():
        if step.startswith("k:") and inner:
            found[step] = {SELF: {}, **inner}
    return found


def compare(old: Any, new: Any, shape: Shape) -> tuple[Fields | None, Fields | None]:
    """(paths that were added or changed, paths that were removed)."""
    if old is new or (isinstance(new, list) and same_json(old, new)):
        return None, None
    before, after = steps(old, shape), steps(new, shape)
    if not before or not after:
        return _compare_whole(old, new, shape)
    touched: Fields = {}
    removed: Fields = {}
    for step, (value, inner) in after.items():
        if step not in before:
            touched[step] = of_item(step, value, inner)
            continue
        changed, gone = compare(before[step][0], value, inner)
        if changed is not None:
            touched[step] = changed
        if gone is not None:
            removed[step] = gone
    for step, (value, inner) in before.items():
        if step not in after:
            removed[step] = {SELF: {}, **of(value, inner)}
    return touched or None, removed or None


def of_item(step: str, value: Any, shape: Shape) -> Fields:
    inner = of(value, shape)
    return {SELF: {}, **inner} if inner and step.startswith("k:") else inner


def _compare_whole(old: Any, new: Any, shape: Shape) -> tuple[Fields | None, Fields | None]:
    if same_json(old, new):
        return None, None
    parts = steps(old, shape)
    removed = {step: {SELF: {}, **of(*part)} for step, part in parts.items()} if parts else None
    return of(new, shape), removed


def has_self(node: Fields) -> bool:
    return not node or SELF in node


def _node(is_member: bool, children: Fields) -> Fields | None:
    if not children:
        return {} if is_member else None
    return {SELF: {}, **children} if is_member else children


def _children(node: Fields) -> Iterator[tuple[str, Fields]]:
    return ((step, inner) for step, inner in node.items() if step != SELF)


def union(left: Fields | None, right: Fields | None) -> Fields | None:
    if left is None or right is None:
        return left if right is None else right
    if left is right:
        return left
    children = dict(_children(left))
    for step, inner in _children(right):
        mine = children.get(step)
        both = union(mine, inner)
        assert both is not None
        children[step] = both
    return _node(has_self(left) or has_self(right), children)


def difference(left: Fields | None, right: Fields | None) -> Fields | None:
    """The paths of `left` that are not in `right`."""
    if left is None or right is None:
        return left
    children = {}
    for step, inner in _children(left):
        kept = difference(inner, right.get(step))
        if kept is not None:
            children[step] = kept
    return _node(has_self(left) and not has_self(right), children)


def intersection(left: Fields | None, right: Fields | None) -> Fields | None:
    if left is None or right is None:
        return None
    children = {}
    for step, inner in _children(left):
        kept = intersection(inner, right.get(step))
        if kept is not None:
            children[step] = kept
    return _node(has_self(left) and has_self(right), children)


def paths(fields: Fields | None, prefix: str = "") -> Iterator[str]:
    """The paths as Kubernetes writes them in messages: `.spec.containers[name="web"].image`."""
    if fields is None:
        return
    if prefix and has_self(fields):
        yield prefix
    for step, inner in _children(fields):
        yield from paths(inner, prefix + _spelled(step))


def _spelled(step: str) -> str:
    kind, text = step[0], step[2:]
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    keys = json.loads(text)
    return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]"
