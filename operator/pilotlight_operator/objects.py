"""How a Kubernetes object, a plain dict, is read: names, owners, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pilotlight import names

Obj = dict[str, Any]
Labels = dict[str, str]


class Key(NamedTuple):
    """Where an object is; `namespace` is empty for one that belongs to the cluster."""

    namespace: str
    name: str


READY: Final = "Ready"


def key_of(obj: Obj) -> Key:
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def name_of(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Obj) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Obj) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Obj) -> Labels:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Obj) -> Labels:
    return obj["metadata"].get("annotations") or {}


def generation_of(obj: Obj) -> int:
    return int(obj["metadata"].get("generation", 0))


def spec_of(obj: Obj) -> Obj:
    return obj.get("spec") or {}


def status_of(obj: Obj) -> Obj:
    return obj.get("status") or {}


def is_deleting(obj: Obj) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def version_of(obj: Obj) -> int:
    """The resourceVersion as a number, so that of two copies the newer one is known."""
    version = obj["metadata"].get("resourceVersion", "")
    return int(version) if version.isdigit() else 0


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference whose `controller` is true."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            owner: Obj = reference
            return owner
    return None


def is_controlled_by(obj: Obj, parent: Obj) -> bool:
    owner = controller_of(obj)
    return owner is not None and owner.get("uid") == uid_of(parent)


def belongs_to(obj: Obj, parent: Obj) -> bool:
    """Whether an object is the parent's to change. Knative puts a ServerlessService, which has the
    name of its Revision, between the Revision and its Kubernetes Services.
    """
    if is_controlled_by(obj, parent):
        return True
    owner = controller_of(obj)
    return (
        owner is not None
        and (owner["kind"], owner["name"]) == ("ServerlessService", name_of(parent))
        and parent["kind"] == "Revision"
        and labels_of(obj).get(names.REVISION_UID_LABEL) == uid_of(parent)
    )


def owner_reference(parent: Obj) -> Obj:
    return {
        "apiVersion": parent["apiVersion"],
        "kind": parent["kind"],
        "name": name_of(parent),
        "uid": uid_of(parent),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Obj, kind: str) -> Obj | None:
    for item in status_of(obj).get("conditions") or ():
        if item.get("type") == kind:
            found: Obj = item
            return found
    return None


def condition_status(obj: Obj, kind: str) -> str:
    """`True`, `False` or `Unknown`; a condition that is absent is Unknown."""
    found = condition(obj, kind)
    return str(found.get("status", "Unknown")) if found else "Unknown"


def is_observed(obj: Obj) -> bool:
    """Whether the status speaks of the present generation."""
    return int(status_of(obj).get("observedGeneration") or 0) == generation_of(obj)


def without(mapping: Mapping[str, str], keys: Iterable[str], prefix: str = "") -> Labels:
    """`mapping` less `keys`, and less every key that begins with `prefix` if one is given."""
    dropped = frozenset(keys)
    return {
        key: value
        for key, value in mapping.items()
        if key not in dropped and not (prefix and key.startswith(prefix))
    }


def first(mapping: Mapping[str, str], *keys: str) -> str | None:
    """The value of the first of `keys` that is there: a name and its older spellings."""
    for key in keys:
        if key in mapping:
            return mapping[key]
    return None
