"""Who owns which field: the `managedFields` of an object after an ordinary write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight_local.apiserver.shapes import Shape
from pilotlight_local.apiserver.values import Object

from .fieldset import Fields, compare, difference, union

UPDATE = "Update"
APPLY = "Apply"

_UNOWNED = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "selfLink",
        "managedFields",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)


@dataclass(frozen=True, slots=True)
class Writer:
    """The identity of one entry of `managedFields`, and the time that a change would carry."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str

    def wrote(self, entry: Object) -> bool:
        """Whether `entry` is this writer's own."""
        return (
            entry.get("manager") == self.manager
            and entry.get("operation") == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == APPLY or entry.get("apiVersion") == self.api_version)
        )

    def entry(self, fields: Fields) -> Object:
        made: Object = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        if self.subresource:
            made["subresource"] = self.subresource
        return made


def ownable(obj: Object | None) -> Object:
    """The part of an object that managers can own (shallow copies; the rest is shared)."""
    if obj is None:
        return {}
    part = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        kept = {name: value for name, value in metadata.items() if name not in _UNOWNED}
        if kept:
            part["metadata"] = kept
        else:
            del part["metadata"]
    return part


def entries_of(obj: Object | None) -> list[Object]:
    if obj is None:
        return []
    found = obj["metadata"].get("managedFields")
    return found if isinstance(found, list) else []


def fields_of(entry: Object) -> Fields | None:
    found = entry.get("fieldsV1")
    return found if isinstance(found, dict) and found else None


def after_update(old: Object | None, new: Object, shape: Shape, writer: Writer) -> list[Object]:
    """The entries of `new`, which `writer` made out of `old` by an ordinary write.

    What the writer changed is its own alone; what it removed is nobody's. Entries that the writer
    changed itself count; `[{}]` forgets all of them.
    """
    touched, removed = compare(ownable(old), ownable(new), shape)
    entries = entries_of(new) or entries_of(old)
    if entries == [{}]:
        return []
    if touched is None and removed is None:
        return entries
    return reassign(entries, touched, removed, writer)


def reassign(
    entries: Sequence[Object], touched: Fields | None, removed: Fields | None, writer: Writer
) -> list[Object]:
    """Gives `touched` to `writer`, and takes it and `removed` from everybody else."""
    lost = union(touched, removed)
    result: list[Object] = []
    own: Fields | None = None
    position = -1
    for entry in entries:
        if writer.wrote(entry):
            own = difference(fields_of(entry), removed)
            position = len(result)
            result.append(entry)
            continue
        fields = fields_of(entry)
        kept = difference(fields, lost)
        if kept is not None:
            result.append(entry if kept == fields else {**entry, "fieldsV1": kept})
    own = union(own, touched)
    if position >= 0:
        del result[position]
    if own is not None:
        result.insert(position if position >= 0 else len(result), writer.entry(own))
    return result


def same_entries(left: Sequence[Object], right: Sequence[Object]) -> bool:
    """Equality but for the times."""
    if len(left) != len(right):
        return False
    return all({**a, "time": ""} == {**b, "time": ""} for a, b in zip(left, right, strict=True))
