"""Server-side apply: merging what a manager wants into what is there, by ownership of fields.

The rules are those of Kubernetes' "Server-Side Apply" reference: an applied field is owned by its
applier; a value that differs from another manager's is a conflict, unless forced; a field that the
applier owned and no longer applies is removed when nobody else owns it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotlight_local.apiserver.errors import ApiError, Cause
from pilotlight_local.apiserver.shapes import ATOMIC, LIST_MAP, LIST_SET, Shape
from pilotlight_local.apiserver.values import Object, copy_json, without_nulls

from .fieldset import (
    SELF,
    Fields,
    compare,
    difference,
    has_self,
    intersection,
    item_step,
    of,
    paths,
    union,
    value_step,
)
from .managed import UPDATE, Writer, entries_of, fields_of, ownable


@dataclass(frozen=True, slots=True)
class Applied:
    """The merged object and its `managedFields`."""

    obj: Object
    entries: list[Object]


def apply(
    live: Object | None, config: Object, shape: Shape, writer: Writer, force: bool
) -> Applied:
    """Merges `config` into `live` for `writer`; 409 when it conflicts and is not forced.

    `config` must be without nulls, status (unless it is the subresource) and unknown fields.
    """
    entries = entries_of(live)
    wanted = of(ownable(config), shape) if ownable(config) else None
    merged = merge(live, config, shape) if live is not None else copy_json(config)
    touched, _ = compare(ownable(live), ownable(merged), shape)
    others = [entry for entry in entries if not writer.wrote(entry)]
    others = _without_conflicts(others, touched, force or _upgrades(live, shape, writer, touched))
    before = next((fields_of(entry) for entry in entries if writer.wrote(entry)), None)
    owned = wanted
    for entry in others:
        owned = union(owned, fields_of(entry))
    dropped = difference(before, owned)
    if dropped is not None:
        merged = _prune(merged, shape, dropped, owned or {SELF: {}})
    return Applied(merged, _with_own(entries, others, writer, wanted))


LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _upgrades(live: Object | None, shape: Shape, writer: Writer, touched: Fields | None) -> bool:
    """Whether kubectl goes over from applying by itself to applying on the server: it may then
    take every field that it applied before and that nobody has changed since.
    """
    annotations = (live or {}).get("metadata", {}).get("annotations") or {}
    if writer.manager != "kubectl" or live is None or LAST_APPLIED not in annotations:
        return False
    try:
        last = json.loads(annotations[LAST_APPLIED])
    except ValueError:
        return False
    if not isinstance(last, dict) or not isinstance(last.get("metadata"), dict):
        return False
    own = without_nulls(ownable(last))
    changed, _ = compare(own, ownable(live), shape)
    allowed = difference(of(own, shape), changed)
    conflicts: Fields | None = None
    for entry in entries_of(live):
        if not writer.wrote(entry):
            conflicts = union(conflicts, intersection(fields_of(entry), touched))
    return difference(conflicts, allowed) is None


def _with_own(
    entries: Sequence[Object], others: list[Object], writer: Writer, wanted: Fields | None
) -> list[Object]:
    result = list(others)
    if wanted is None:
        return result
    position = next((i for i, e in enumerate(entries) if writer.wrote(e)), len(entries))
    result.insert(min(position, len(result)), writer.entry(wanted))
    return result


def _without_conflicts(
    others: Sequence[Object], touched: Fields | None, force: bool
) -> list[Object]:
    conflicts = [(entry, intersection(fields_of(entry), touched)) for entry in others]
    found = [(entry, fields) for entry, fields in conflicts if fields is not None]
    if not found:
        return list(others)
    if not force:
        raise _conflict(found)
    result = []
    for entry in others:
        kept = difference(fields_of(entry), touched)
        if kept is not None:
            result.append({**entry, "fieldsV1": kept})
    return result


def _conflict(found: Sequence[tuple[Object, Fields]]) -> ApiError:
    """409 in the words of Kubernetes, one cause for each field."""
    causes = []
    groups = []
    for entry, fields in found:
        who = _described(entry)
        spelled = list(paths(fields))
        causes += [Cause("FieldManagerConflict", path, f"conflict with {who}") for path in spelled]
        if len(spelled) == 1:
            groups.append(f"conflict with {who}: {spelled[0]}")
        else:
            groups.append("\n- ".join([f"conflicts with {who}:", *spelled]))
    plural = "conflict" if len(causes) == 1 else "conflicts"
    message = f"Apply failed with {len(causes)} {plural}: " + "\n".join(groups)
    return ApiError(409, "Conflict", message, causes)


def _described(entry: Object) -> str:
    who = f'"{entry.get("manager", "")}"'
    if entry.get("subresource"):
        who += f' with subresource "{entry["subresource"]}"'
    if entry.get("operation") == UPDATE:
        who += f" using {entry.get('apiVersion', '')}"
    return who


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """`live` with every applied value in it; a new value, but for what is unchanged."""
    if shape.kind == ATOMIC:
        return copy_json(config)
    if isinstance(live, dict) and isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            inner = shape.member(name)
            merged[name] = merge(live[name], value, inner) if name in live else copy_json(value)
        return merged
    if isinstance(live, list) and isinstance(config, list):
        if shape.kind == LIST_SET:
            return live + [copy_json(item) for item in config if item not in live]
        if shape.kind == LIST_MAP:
            return _merge_items(live, config, shape)
    return copy_json(config)


def _merge_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """The items of both: in the applied order, live ones after those that they followed."""
    mine = {item_step(item, shape): item for item in live}
    theirs = {item_step(item, shape) for item in config}
    result: list[Any] = []
    done: set[str | None] = set()
    left = 0
    for item in config:
        step = item_step(item, shape)
        while left < len(live):
            other = item_step(live[left], shape)
            if other in theirs:
                break
            result.append(live[left])
            left += 1
        result.append(merge(mine[step], item, shape.element) if step in mine else copy_json(item))
        done.add(step)
        while left < len(live) and item_step(live[left], shape) in done:
            left += 1
    result += [item for item in live[left:] if item_step(item, shape) not in theirs]
    return result


def _prune(value: Any, shape: Shape, dropped: Fields, owned: Fields) -> Any:
    """`value` without the paths of `dropped`, none of which is in `owned`."""
    if isinstance(value, dict):
        return _prune_map(value, shape, dropped, owned)
    if isinstance(value, list) and shape.kind in (LIST_MAP, LIST_SET):
        return _prune_list(value, shape, dropped, owned)
    return value


def _prune_map(value: Object, shape: Shape, dropped: Fields, owned: Fields) -> Object:
    result = {}
    for name, item in value.items():
        gone, kept = dropped.get(f"f:{name}"), owned.get(f"f:{name}")
        if gone is None:
            result[name] = item
        elif not (has_self(gone) and kept is None):
            inner = _prune(item, shape.member(name), gone, kept or {SELF: {}})
            emptied = not inner and item and isinstance(item, dict | list)
            if not emptied or (kept is not None and has_self(kept)):
                result[name] = inner
    return result


def _prune_list(value: list[Any], shape: Shape, dropped: Fields, owned: Fields) -> list[Any]:
    result = []
    for item in value:
        step = item_step(item, shape) if shape.kind == LIST_MAP else value_step(item)
        gone = dropped.get(step) if step else None
        kept = owned.get(step) if step else None
        if gone is None:
            result.append(item)
        elif not (has_self(gone) and kept is None):
            result.append(_prune(item, shape.element, gone, kept or {SELF: {}}))
    return result
