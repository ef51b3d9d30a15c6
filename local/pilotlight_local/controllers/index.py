"""Objects by the controller that owns them, kept current by the API's events."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.kube.resources import Resource
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.controllers.objects import Object, controller_of
from pilotlight_local.controllers.workqueue import Key

OnOwner = Callable[[Key], None]


def key_of(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


class OwnerIndex:
    """The objects of one resource by the uid of their controller. Tells the key of the owner,
    when it is of `owner_kind`, of each change.
    """

    def __init__(self, cluster: Cluster, resource: Resource, owner_kind: str, on_owner: OnOwner):
        self._owned: dict[str, dict[Key, Object]] = {}
        self._kind = owner_kind
        self._on_owner = on_owner
        self.unsubscribe = cluster.subscribe(resource, self._on_event)
        for obj in cluster.list(resource):
            self._on_event("ADDED", obj, None)

    def of(self, uid: str) -> list[Object]:
        return list(self._owned.get(uid, {}).values())

    def _on_event(self, type_: str, obj: Object, old: Object | None) -> None:
        key = key_of(obj)
        for version, present in ((old, False), (obj, type_ != "DELETED")):
            owner = controller_of(version) if version is not None else None
            if owner is None or owner["kind"] != self._kind:
                continue
            owned = self._owned.setdefault(owner["uid"], {})
            if present:
                owned[key] = obj
            else:
                owned.pop(key, None)
            if not owned:
                del self._owned[owner["uid"]]
        owner = controller_of(obj)
        if owner is not None and owner["kind"] == self._kind:
            self._on_owner((key[0], owner["name"]))
