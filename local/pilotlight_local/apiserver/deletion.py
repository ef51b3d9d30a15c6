"""Deleting objects: preconditions, finalizers, propagation and the grace that pods are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from .errors import bad_request, conflict, forbidden, not_found
from .kinds import Target, WriteOptions
from .state import DELETE, Review, State
from .store import Record
from .values import Object, lookup, parse_time, rfc3339
from .writes import may_go

BACKGROUND: Final = "Background"
FOREGROUND: Final = "Foreground"
ORPHAN: Final = "Orphan"
FOREGROUND_FINALIZER: Final = "foregroundDeletion"
ORPHAN_FINALIZER: Final = "orphan"
_POLICY_FINALIZERS: Final = {FOREGROUND: FOREGROUND_FINALIZER, ORPHAN: ORPHAN_FINALIZER}
_PROTECTED: Final = frozenset({"default", "kube-system", "kube-public"})
_DEFAULT_GRACE_S: Final = 30
ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How an object is to be deleted."""

    grace_s: int | None = None
    propagation: str | None = None
    uid: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, body: Object) -> DeleteOptions:
        """Reads a `DeleteOptions` object; raises a 400."""
        grace = body.get("gracePeriodSeconds")
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
            raise bad_request(f"gracePeriodSeconds must be an integer, not {grace!r}")
        policy = body.get("propagationPolicy")
        if policy is None and body.get("orphanDependents") is not None:
            policy = ORPHAN if body["orphanDependents"] else BACKGROUND
        if policy not in (None, BACKGROUND, FOREGROUND, ORPHAN):
            raise bad_request(f"invalid propagationPolicy: {policy!r}")
        conditions = body.get("preconditions") or {}
        return cls(
            None if grace is None else max(grace, 0),
            policy,
            conditions.get("uid"),
            conditions.get("resourceVersion"),
        )


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object as it is now, or as it last was, when it is gone."""

    obj: Object
    gone: bool


class Deletion:
    """Deletes objects, or starts their deletion."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def delete(self, target: Target, how: DeleteOptions, options: WriteOptions) -> Deleted:
        """Deletes an object; 404 when there is none, 409 when a precondition fails."""
        kind = target.kind
        table = self._state.store.table(kind.table)
        for _ in range(ATTEMPTS):
            record = table.get(target.namespace, target.name)
            if record is None:
                raise not_found(kind.group, kind.plural, target.name)
            if kind.resource == ("", "namespaces") and target.name in _PROTECTED:
                why = "this namespace may not be deleted"
                raise forbidden(kind.group, kind.plural, target.name, why)
            _check_preconditions(target, record.obj, how)
            review = Review(target, DELETE, None, record.obj, options)
            await self._state.admission.mutate(review)
            await self._state.admission.validate(review)
            if table.get(target.namespace, target.name) is record:
                return self._delete(target, record, how, options)
        raise conflict(kind.group, kind.plural, target.name)

    def _delete(
        self, target: Target, record: Record, how: DeleteOptions, options: WriteOptions
    ) -> Deleted:
        store, kind, old = self._state.store, target.kind, record.obj
        grace = _grace(target.kind.resource, old, how.grace_s)
        new = self._marked(old, how, grace)
        if new is None:
            return Deleted(old, gone=False)
        gone = may_go(new)
        if options.dry_run:
            return Deleted(new, gone)
        write = store.remove if gone else store.put
        return Deleted(write(kind.table, new).obj, gone)

    def _marked(self, old: Object, how: DeleteOptions, grace: int) -> Object | None:
        """`old` as it is once its deletion was asked for; None when that changes nothing."""
        metadata = dict(old["metadata"])
        finalizers = _finalizers(metadata.get("finalizers") or [], how.propagation)
        before = metadata.get("deletionGracePeriodSeconds")
        changed = finalizers != (metadata.get("finalizers") or [])
        if metadata.get("deletionTimestamp"):
            if before is not None and grace < before:
                due = parse_time(metadata["deletionTimestamp"]) + timedelta(seconds=grace - before)
                metadata["deletionTimestamp"] = rfc3339(due)
                metadata["deletionGracePeriodSeconds"] = grace
            elif not changed and not may_go(old):
                return None
        else:
            due = self._state.clock() + timedelta(seconds=grace)
            metadata["deletionTimestamp"] = rfc3339(due)
            metadata["deletionGracePeriodSeconds"] = grace
            if metadata.get("generation"):
                metadata["generation"] += 1
        metadata.pop("finalizers", None)
        if finalizers:
            metadata["finalizers"] = finalizers
        new = {**old, "metadata": metadata}
        if old.get("kind") == "Namespace":
            new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
        return new


def _finalizers(before: list[str], propagation: str | None) -> list[str]:
    if propagation is None:
        return before
    wanted = _POLICY_FINALIZERS.get(propagation)
    kept = [f for f in before if f == wanted or f not in _POLICY_FINALIZERS.values()]
    return kept if wanted is None or wanted in kept else [*kept, wanted]


def _grace(resource: tuple[str, str], obj: Object, asked: int | None) -> int:
    """Seconds until the object may be removed; only running pods are given any."""
    if resource != ("", "pods"):
        return 0
    if not lookup(obj, "spec", "nodeName") or lookup(obj, "status", "phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    if asked is not None:
        return asked
    own: Any = lookup(obj, "spec", "terminationGracePeriodSeconds")
    return own if isinstance(own, int) else _DEFAULT_GRACE_S


def _check_preconditions(target: Target, obj: Object, how: DeleteOptions) -> None:
    kind, metadata = target.kind, obj["metadata"]
    for wanted, name, what in (
        (how.uid, "uid", "UID"),
        (how.version, "resourceVersion", "ResourceVersion"),
    ):
        if wanted is not None and wanted != metadata[name]:
            why = (
                f"Precondition failed: {what} in precondition: {wanted},"
                f" {what} in object meta: {metadata[name]}"
            )
            raise conflict(kind.group, kind.plural, target.name, why)
