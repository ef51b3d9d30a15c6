"""The in-process door to the cluster: the same rules as for clients of the HTTP API.

Reads are synchronous and return the stored objects themselves, which are shared: they must never
be changed. Writes take private copies, pass admission, defaulting and validation, and return the
stored result. Subscribers are called in order, synchronously, and must not block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any, Final

from pilotlight.kube.resources import NAMESPACES, Resource

from .builtin.kinds import builtin_kinds
from .crd import RESOURCE as CRDS
from .crd import CrdStrategy, crd_kind, served_kind
from .deletion import DeleteOptions, Deletion
from .errors import ApiError
from .garbage import GarbageCollector
from .kinds import Registry, Target, WriteOptions
from .patching import Patch, Patching
from .selectors import LabelSelector, from_mapping, parse_labels
from .state import NoAdmission, State
from .store import DELETED, Change, GroupResource, Store
from .values import Object
from .writes import Writes

MANAGER: Final = "pilotlight-local"

_PATCH_TYPES: Final = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}

_SERVICE_NETWORK: Final = IPv4Network("10.96.0.0/16")

Labels = LabelSelector | Mapping[str, str] | str
Subscriber = Callable[[str, Object, Object | None], None]
"""Called with (ADDED, MODIFIED or DELETED, the object, the object before it)."""


def _now() -> datetime:
    return datetime.now(UTC)


class Cluster:
    """All objects of the cluster, and the ways to read and change them."""

    def __init__(self, store: Store | None = None, clock: Callable[[], datetime] = _now) -> None:
        self.state = State(store or Store(), Registry(), NoAdmission(), clock)
        self.store = self.state.store
        self.registry = self.state.registry
        self.writes = Writes(self.state)
        self.patching = Patching(self.state, self.writes)
        self.deletion = Deletion(self.state)
        for kind in builtin_kinds(self._allocate_address):
            self.registry.add(kind)
        self.registry.add(crd_kind(CrdStrategy(self.state)))
        self.store.observers.append(self._observe)
        self.garbage = GarbageCollector(self.state, self.writes, self.deletion)

    def load(self, objects: Iterable[tuple[GroupResource, Object]], version: int) -> None:
        """Puts back the objects of an earlier life; the version counter goes on from `version`.

        Has to come first, before anybody reads or watches.
        """
        self.store.version = version
        for resource, obj in objects:
            self.store.load(resource, obj)
            if resource == CRDS:
                self._define(obj)
        self.garbage.load()

    async def bootstrap(self) -> None:
        """Makes the namespaces that every cluster has."""
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            if self.get(NAMESPACES, None, name) is None:
                await self.create(NAMESPACES, {"metadata": {"name": name}})

    def _observe(self, resource: GroupResource, change: Change) -> None:
        if resource != CRDS:
            return
        spec = change.record.obj["spec"]
        if change.type != DELETED:
            self._define(change.record.obj)
            return
        defined = spec["group"], spec["names"]["plural"]
        kind = self.registry.find(defined)
        if kind is not None and kind.custom:
            self.registry.remove(defined)
            self.store.drop_table(defined)

    def _define(self, crd: Object) -> None:
        spec = crd["spec"]
        defined = spec["group"], spec["names"]["plural"]
        before = self.registry.find(defined)
        if before is not None and not before.custom:
            return
        kind = served_kind(crd)
        if kind is not None:
            self.registry.add(kind)
        elif before is not None:
            self.registry.remove(defined)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """The stored object, or None. `namespace` is ignored for cluster-scoped resources."""
        target = self.registry.target(resource, namespace, name)
        record = self.store.table(target.kind.table).get(target.namespace, name)
        return record.obj if record else None

    def list(
        self, resource: Resource, namespace: str | None = None, labels: Labels | None = None
    ) -> list[Object]:
        """The stored objects of one namespace, or of all, by namespace and name.

        `labels` is a selector, its text (`a=b,c in (d)`), or a mapping of equal labels.
        """
        kind = self.registry.target(resource).kind
        space = namespace if kind.namespaced else None
        records = self.store.table(kind.table).ordered(space)
        if not labels:
            return [record.obj for record in records]
        matches = _selector(labels)
        return [record.obj for record in records if matches(record.obj)]

    async def create(
        self, resource: Resource, obj: Object, *, options: WriteOptions | None = None
    ) -> Object:
        """Creates an object in the namespace that its metadata names."""
        target = self.registry.target(resource, _namespace_of(obj))
        return await self.writes.create(target, _typed(resource, obj), options or WriteOptions())

    async def update(
        self, resource: Resource, obj: Object, *, options: WriteOptions | None = None
    ) -> Object:
        """Replaces an object but for its status; 409 when obj's resourceVersion is not current."""
        target = self._target_of(resource, obj)
        given = _typed(resource, obj)
        return await self.patching.update(target, given, options or WriteOptions())

    async def update_status(
        self, resource: Resource, obj: Object, *, options: WriteOptions | None = None
    ) -> Object:
        """Replaces an object's status alone."""
        target = _subresource(self._target_of(resource, obj), "status")
        given = _typed(resource, obj)
        return await self.patching.update(target, given, options or WriteOptions())

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        type: str = "merge",  # noqa: A002 - the word of the API
        *,
        subresource: str | None = None,
        manager: str = MANAGER,
        force: bool = True,
    ) -> Object:
        """Patches an object. `type` is json, merge, strategic or apply, or a media type."""
        target = self.registry.target(resource, namespace, name)
        if subresource:
            target = _subresource(target, subresource)
        options = WriteOptions(manager=manager, force=force)
        return await self.patching.patch(
            target, Patch(_PATCH_TYPES.get(type, type), patch), options
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        grace: int | None = None,
        precondition_uid: str | None = None,
        propagation: str | None = None,
    ) -> Object:
        """Deletes an object, or starts its deletion: finalizers and a pod's grace may hold it.

        `grace` is in seconds; 0 removes a pod at once, as the kubelet does when it has ended.
        """
        target = self.registry.target(resource, namespace, name)
        how = DeleteOptions(grace, propagation, precondition_uid)
        return (await self.deletion.delete(target, how, WriteOptions())).obj

    def subscribe(self, resource: Resource, callback: Subscriber) -> Callable[[], None]:
        """Calls `callback` for every later change of a resource; returns the way to stop it."""
        table = self.registry.target(resource).kind.table

        def deliver(change: Change) -> None:
            callback(change.type, change.record.obj, change.old.obj if change.old else None)

        return self.store.subscribe(table, deliver)

    def _target_of(self, resource: Resource, obj: Object) -> Target:
        metadata = obj.get("metadata") or {}
        return self.registry.target(resource, _namespace_of(obj), metadata.get("name") or "")

    def _allocate_address(self) -> str:
        """A free cluster IP; there are 65,000, and nothing listens on them."""
        table = self.store.table(("", "services"))
        taken = {(record.obj.get("spec") or {}).get("clusterIP") for record in table.records()}
        for host in _SERVICE_NETWORK.hosts():
            if str(host) not in taken and host != _SERVICE_NETWORK[1]:
                return str(host)
        raise ApiError(500, "InternalError", "no free cluster IP")


def _selector(labels: Labels) -> LabelSelector:
    if isinstance(labels, LabelSelector):
        return labels
    return parse_labels(labels) if isinstance(labels, str) else from_mapping(labels)


def _namespace_of(obj: Object) -> str:
    return (obj.get("metadata") or {}).get("namespace") or ""


def _typed(resource: Resource, obj: Object) -> Object:
    """`obj` with the type that in-process callers may leave out."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _subresource(target: Target, name: str) -> Target:
    return Target(target.kind, target.version, target.namespace, target.name, name)


__all__ = ["ApiError", "Cluster", "LabelSelector", "WriteOptions"]
