"""What has to go by itself: dependents of deleted owners, the contents of deleted namespaces, and
the objects of deleted definitions.

Everything is driven by the store's events. The collector keeps an index of owners and a queue of
keys; a key that is queued twice is handled once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from .crd import FINALIZER as CRD_FINALIZER
from .crd import RESOURCE as CRDS
from .deletion import (
    BACKGROUND,
    FOREGROUND,
    FOREGROUND_FINALIZER,
    ORPHAN_FINALIZER,
    DeleteOptions,
    Deletion,
)
from .errors import ApiError
from .kinds import ServedKind, Target, WriteOptions
from .state import State
from .store import DELETED, Change, GroupResource, Record
from .values import Object, copy_json
from .writes import Proposal, Writes

_log: Final = logging.getLogger("apiserver.garbage")
NAMESPACES: Final = ("", "namespaces")
OPTIONS: Final = WriteOptions(manager="garbage-collector")
RETRY_S: Final = 0.5
EVENTS: Final = ("", "events")
EVENT_LIMIT: Final = 2000
"""Events are kept until there are more than so many; then the oldest tenth goes."""

Where = tuple[GroupResource, str, str]
"""(table, namespace, name) of a stored object."""


class GarbageCollector:
    """Removes what nothing owns any more. `run` has to be running for it to do so."""

    def __init__(self, state: State, writes: Writes, deletion: Deletion) -> None:
        self._state = state
        self._writes = writes
        self._deletion = deletion
        self._dependents: dict[str, set[Where]] = {}
        self._uids: dict[str, Where] = {}
        self._queue: dict[Where, None] = {}
        self._wake = asyncio.Event()
        state.store.observers.append(self._observe)

    def load(self) -> None:
        """Looks at everything that was stored before the collector was."""
        for resource, table in self._state.store.tables():
            for record in table.records():
                where = _where(resource, record.obj)
                self._index(where, record.obj)
                self._add(where)

    async def run(self) -> None:
        """Collects until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                where = next(iter(self._queue))
                del self._queue[where]
                await self._handle(where)
            self._trim_events()

    def _trim_events(self) -> None:
        records = list(self._state.store.table(EVENTS).records())
        if len(records) <= EVENT_LIMIT:
            return
        records.sort(key=lambda record: record.version)
        for record in records[: len(records) - EVENT_LIMIT * 9 // 10]:
            self._state.store.remove(EVENTS, copy_json(record.obj))

    async def _handle(self, where: Where) -> None:
        try:
            await self._collect(where)
        except ApiError as error:
            if error.reason in ("NotFound", "Conflict"):
                return
            _log.warning("cannot collect %s: %s", where, error.message)
            asyncio.get_running_loop().call_later(RETRY_S, self._add, where)

    def _observe(self, resource: GroupResource, change: Change) -> None:
        obj = change.record.obj
        where = _where(resource, obj)
        metadata = obj["metadata"]
        if change.old is not None and change.old.obj["metadata"].get("ownerReferences"):
            self._forget(where, change.old.obj)
        if change.type == DELETED:
            self._uids.pop(metadata["uid"], None)
            for dependent in self._dependents.get(metadata["uid"], ()):
                self._add(dependent)
            self._look_at_holders(resource, obj)
            return
        self._index(where, obj)
        if resource == EVENTS:
            self._wake.set()
        if metadata.get("ownerReferences") or metadata.get("deletionTimestamp"):
            self._add(where)

    def _index(self, where: Where, obj: Object) -> None:
        self._uids[obj["metadata"]["uid"]] = where
        for owner in obj["metadata"].get("ownerReferences") or ():
            self._dependents.setdefault(owner.get("uid", ""), set()).add(where)

    def _forget(self, where: Where, obj: Object) -> None:
        for owner in obj["metadata"].get("ownerReferences") or ():
            uid = owner.get("uid", "")
            found = self._dependents.get(uid)
            if found is not None:
                found.discard(where)
                if not found:
                    del self._dependents[uid]

    def _look_at_holders(self, resource: GroupResource, obj: Object) -> None:
        """Owners that wait for this object, its namespace, and its definition may be done now."""
        for owner in obj["metadata"].get("ownerReferences") or ():
            holder = self._uids.get(owner.get("uid", ""))
            if holder is not None:
                self._add(holder)
        namespace = obj["metadata"].get("namespace")
        if namespace:
            self._add((NAMESPACES, "", namespace))
        self._add((CRDS, "", f"{resource[1]}.{resource[0]}"))

    def _add(self, where: Where) -> None:
        self._queue[where] = None
        self._wake.set()

    def _record(self, where: Where) -> Record | None:
        resource, namespace, name = where
        return self._state.store.table(resource).get(namespace, name)

    async def _collect(self, where: Where) -> None:
        record = self._record(where)
        kind = self._state.registry.find(where[0])
        if record is None or kind is None:
            return
        metadata = record.obj["metadata"]
        if metadata.get("deletionTimestamp"):
            await self._finalize(kind, where, record.obj)
        elif metadata.get("ownerReferences"):
            await self._check_owners(kind, where, record.obj)

    async def _check_owners(self, kind: ServedKind, where: Where, obj: Object) -> None:
        """Deletes an object all of whose owners are gone; forgets those that are."""
        owners = obj["metadata"]["ownerReferences"]
        present = [owner for owner in owners if self._exists(owner, obj)]
        if len(present) == len(owners):
            waiting = [owner for owner in owners if self._deletes_foreground(owner)]
            if waiting and len(waiting) == len(owners):
                await self._delete(kind, where, obj, self._policy_below(obj))
        elif present:
            await self._set_owners(kind, where, present)
        else:
            await self._delete(kind, where, obj)

    def _exists(self, owner: Object, obj: Object) -> bool:
        where = self._uids.get(owner.get("uid", ""))
        if where is None:
            return not self._served(owner)
        return where[1] in ("", obj["metadata"].get("namespace") or "")

    def _served(self, owner: Object) -> bool:
        group = (owner.get("apiVersion") or "").rpartition("/")[0]
        return self._state.registry.by_kind(group, owner.get("kind") or "") is not None

    def _deletes_foreground(self, owner: Object) -> bool:
        where = self._uids.get(owner.get("uid", ""))
        record = self._record(where) if where else None
        if record is None or not owner.get("blockOwnerDeletion"):
            return False
        metadata = record.obj["metadata"]
        return bool(metadata.get("deletionTimestamp")) and FOREGROUND_FINALIZER in (
            metadata.get("finalizers") or ()
        )

    def _policy_below(self, obj: Object) -> str:
        """A foreground deletion goes on as one below objects that have to wait themselves."""
        uid = obj["metadata"]["uid"]
        waits = any(self._blocks(where, uid) for where in self._dependents.get(uid, ()))
        return FOREGROUND if waits else BACKGROUND

    async def _delete(
        self, kind: ServedKind, where: Where, obj: Object, policy: str = BACKGROUND
    ) -> None:
        how = DeleteOptions(propagation=policy, uid=obj["metadata"]["uid"])
        await self._deletion.delete(_target(kind, where), how, OPTIONS)

    async def _set_owners(self, kind: ServedKind, where: Where, owners: list[Object]) -> None:
        def change(old: Object) -> Proposal:
            new = copy_json(old)
            new["metadata"]["ownerReferences"] = owners
            if not owners:
                del new["metadata"]["ownerReferences"]
            return Proposal(new)

        await self._writes.change(_target(kind, where), change, OPTIONS)

    async def _finalize(self, kind: ServedKind, where: Where, obj: Object) -> None:
        """Does what the server's own finalizers of an object wait for."""
        finalizers = obj["metadata"].get("finalizers") or ()
        if ORPHAN_FINALIZER in finalizers:
            await self._orphan(obj)
            await self._without_finalizer(kind, where, ORPHAN_FINALIZER)
        elif FOREGROUND_FINALIZER in finalizers:
            await self._delete_dependents(kind, where, obj)
        if where[0] == NAMESPACES:
            await self._empty_namespace(where)
        elif where[0] == CRDS and CRD_FINALIZER in finalizers:
            await self._empty_definition(kind, where, obj)

    async def _orphan(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for where in tuple(self._dependents.get(uid, ())):
            record, kind = self._record(where), self._state.registry.find(where[0])
            if record is None or kind is None:
                continue
            owners = record.obj["metadata"].get("ownerReferences") or ()
            await self._set_owners(kind, where, [o for o in owners if o.get("uid") != uid])

    async def _delete_dependents(self, kind: ServedKind, where: Where, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for dependent in tuple(self._dependents.get(uid, ())):
            record, inner = self._record(dependent), self._state.registry.find(dependent[0])
            if record is None or inner is None:
                continue
            if not record.obj["metadata"].get("deletionTimestamp"):
                await self._handle(dependent)
        still = any(self._blocks(dependent, uid) for dependent in self._dependents.get(uid, ()))
        if not still:
            await self._without_finalizer(kind, where, FOREGROUND_FINALIZER)

    def _blocks(self, where: Where, uid: str) -> bool:
        record = self._record(where)
        owners = record.obj["metadata"].get("ownerReferences") or () if record else ()
        return any(o.get("uid") == uid and o.get("blockOwnerDeletion") for o in owners)

    async def _without_finalizer(self, kind: ServedKind, where: Where, finalizer: str) -> None:
        def change(old: Object) -> Proposal:
            new = copy_json(old)
            kept = [f for f in old["metadata"].get("finalizers") or () if f != finalizer]
            new["metadata"].pop("finalizers", None)
            if kept:
                new["metadata"]["finalizers"] = kept
            return Proposal(new)

        await self._writes.change(_target(kind, where), change, OPTIONS)

    async def _empty_namespace(self, where: Where) -> None:
        """Deletes everything in a namespace; once it is empty, the namespace goes."""
        name = where[2]
        for kind, record in self._contents(name):
            if not record.obj["metadata"].get("deletionTimestamp"):
                await self._delete(kind, _where(kind.table, record.obj), record.obj)
        if next(self._contents(name), None) is None:
            await self._release_namespace(where)

    async def _release_namespace(self, where: Where) -> None:
        kind = self._state.registry.find(NAMESPACES)
        assert kind is not None

        def change(old: Object) -> Proposal:
            new = copy_json(old)
            new["spec"] = {k: v for k, v in new["spec"].items() if k != "finalizers"}
            return Proposal(new)

        await self._writes.change(_target(kind, where), change, OPTIONS)

    def _contents(self, namespace: str) -> Iterator[tuple[ServedKind, Record]]:
        for kind in tuple(self._state.registry):
            if kind.namespaced and kind.stored_as is None:
                for record in tuple(self._state.store.table(kind.table).records(namespace)):
                    yield kind, record

    async def _empty_definition(self, kind: ServedKind, where: Where, obj: Object) -> None:
        spec = obj["spec"]
        resource = spec["group"], spec["names"]["plural"]
        defined = self._state.registry.find(resource)
        if defined is not None and defined.custom:
            for record in tuple(self._state.store.table(resource).records()):
                if not record.obj["metadata"].get("deletionTimestamp"):
                    await self._delete(defined, _where(resource, record.obj), record.obj)
            if next(self._state.store.table(resource).records(), None) is not None:
                return
        await self._without_finalizer(kind, where, CRD_FINALIZER)


def _where(resource: GroupResource, obj: Object) -> Where:
    metadata = obj["metadata"]
    return resource, metadata.get("namespace") or "", metadata["name"]


def _target(kind: ServedKind, where: Where) -> Target:
    version = kind.storage_version or kind.versions[0]
    return Target(kind, version if version in kind.versions else kind.versions[0], *where[1:])
