"""The path of every create, update and patch: decode, default, admit, validate, commit.

Between reading an object and committing its successor a webhook may be called, so that another
write can come in between. Commits are synchronous and happen only if the object is still the one
that was read; otherwise the change is applied again to the newer one, a bounded number of times,
unless the client named the version that it changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from .builtin.metadata import validate_metadata, validate_metadata_update
from .errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from .kinds import Target, WriteOptions
from .patches.managed import UPDATE, Writer, after_update, entries_of, same_entries
from .state import CREATE, Review, State
from .state import UPDATE as UPDATE_OPERATION
from .store import Record
from .values import Object, copy_json, same_json

ATTEMPTS: Final = 8
NAME_ATTEMPTS: Final = 8
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE: Final = 58

_KEPT: Final = (
    "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink", "resourceVersion", "name", "namespace",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a change makes of an object, before admission.

    `entries` are the managedFields that an apply computed; None for ordinary writes.
    `pinned` says that the client named the version it changed, so that no other will do.
    """

    obj: Object
    entries: list[Object] | None = None
    pinned: bool = False


Change = Callable[[Object], Proposal]
"""Makes a proposal, which shares nothing with the stored object that it is given."""


class Writes:
    """Creates and changes objects."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def create(
        self,
        target: Target,
        given: Object,
        options: WriteOptions,
        entries: list[Object] | None = None,
    ) -> Object:
        """Creates an object out of `given`, which is not changed. Returns the stored object."""
        obj = copy_json(given)
        self.decode(target, obj, options)
        metadata = obj["metadata"]
        for _ in range(NAME_ATTEMPTS):
            generated = not metadata.get("name") and metadata.get("generateName")
            if generated:
                metadata["name"] = generated[:_MAX_BASE] + _random_suffix()
            try:
                return await self._create(
                    target.named(metadata.get("name", "")), obj, options, entries
                )
            except ApiError as error:
                if not generated or error.reason != "AlreadyExists":
                    raise
                obj = copy_json(given)
                self.decode(target, obj, options)
                metadata = obj["metadata"]
        raise already_exists(target.kind.group, target.kind.plural, metadata["generateName"])

    async def _create(
        self, target: Target, obj: Object, options: WriteOptions, entries: list[Object] | None
    ) -> Object:
        kind = target.kind
        self._check_namespace(target)
        self._start_metadata(target, obj)
        kind.strategy.prepare(obj, None)
        kind.strategy.default(obj, target.version)
        writer = self.writer(target, options, UPDATE)
        if entries is None:
            shape = kind.strategy.shape(target.version)
            obj["metadata"].pop("managedFields", None)
            owned = {k: v for k, v in obj.items() if k != "status" or not kind.status}
            entries = after_update(None, owned, shape, writer)
        obj["metadata"]["managedFields"] = entries
        obj = await self._mutated(Review(target, CREATE, obj, None, options))
        self._refuse(
            target,
            obj,
            [
                *validate_metadata(obj, kind),
                *kind.strategy.validate(obj, None, target.version),
            ],
        )
        await self._state.admission.validate(Review(target, CREATE, obj, None, options))
        table = self._state.store.table(kind.table)
        if table.get(target.namespace, target.name):
            raise already_exists(kind.group, kind.plural, target.name)
        self._check_namespace(target)
        if options.dry_run:
            return obj
        return self._state.store.put(kind.table, obj).obj

    def decode(self, target: Target, obj: Object, options: WriteOptions) -> None:
        """Brings a client's object into form (in place); 400 when it cannot be the target's."""
        kind = target.kind
        self.check_type(target, obj)
        if obj.get("metadata") is None:
            obj["metadata"] = {}
        metadata = obj["metadata"]
        if not isinstance(metadata, dict):
            raise bad_request("metadata must be an object")
        wants = options.field_validation != "Ignore"
        unknown = kind.strategy.decode(obj, target.version, wants)
        if unknown and options.field_validation == "Strict":
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise bad_request(
                f'{kind.kind} in version "{target.version}" cannot be handled as a {kind.kind}:'
                f" strict decoding error: {listed}"
            )
        if options.field_validation == "Warn":
            for path in unknown:
                options.warn(f'unknown field "{path}"')
        metadata = obj["metadata"]
        if not target.kind.namespaced:
            metadata.pop("namespace", None)
        elif metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the"
                f" request ({metadata['namespace']} != {target.namespace})"
            )

    def check_type(self, target: Target, obj: Object) -> None:
        """Refuses objects of another kind or version with a 400."""
        kind, api_version = obj.get("kind"), obj.get("apiVersion")
        if not kind:
            raise bad_request("Object 'Kind' is missing in the object provided")
        if kind != target.kind.kind:
            raise bad_request(
                f"the object provided is of kind {kind}, but the request is for {target.kind.kind}"
            )
        if api_version != target.api_version:
            raise bad_request(
                f"the API version in the data ({api_version or ''}) does not match the expected"
                f" API version ({target.api_version})"
            )

    def _check_namespace(self, target: Target) -> None:
        if not target.kind.namespaced:
            return
        if not target.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        record = self._state.store.table(("", "namespaces")).get("", target.namespace)
        if record is None:
            raise not_found("", "namespaces", target.namespace)
        if record.obj["metadata"].get("deletionTimestamp"):
            why = (
                f"unable to create new content in namespace {target.namespace} because it is"
                " being terminated"
            )
            message = f"namespace {target.namespace} is being terminated"
            causes = [Cause("NamespaceTerminating", "metadata.namespace", message)]
            raise forbidden(target.kind.group, target.kind.plural, target.name, why, causes)

    def _start_metadata(self, target: Target, obj: Object) -> None:
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        for name in _KEPT[1:-2]:
            metadata.pop(name, None)
        metadata["uid"] = str(uuid4())
        metadata["creationTimestamp"] = self._state.timestamp()
        if target.kind.generation:
            metadata["generation"] = 1

    async def _mutated(self, review: Review) -> Object:
        obj = review.obj
        assert obj is not None
        changed = await self._state.admission.mutate(review)
        if changed is None:
            return obj
        target = review.target
        self.check_type(target, changed)
        # Webhooks may decide everything but who the object is and what the server keeps.
        before, after = obj["metadata"], changed.setdefault("metadata", {})
        for name in (*_KEPT, "managedFields"):
            after.pop(name, None)
            if name in before:
                after[name] = before[name]
        target.kind.strategy.decode(changed, target.version, wants_unknown=False)
        target.kind.strategy.default(changed, target.version)
        return changed

    def _refuse(self, target: Target, obj: Object, causes: Iterable[Cause]) -> None:
        found = list(causes)
        if found:
            name = obj["metadata"].get("name") or ""
            raise invalid(target.kind.group, target.kind.kind, name, found)

    def writer(self, target: Target, options: WriteOptions, operation: str) -> Writer:
        return Writer(
            options.manager,
            operation,
            target.api_version,
            target.subresource,
            self._state.timestamp(),
        )

    async def change(self, target: Target, change: Change, options: WriteOptions) -> Object:
        """Replaces an object by what `change` makes of it; 404 when it does not exist."""
        kind = target.kind
        table = self._state.store.table(kind.table)
        for _ in range(ATTEMPTS):
            record = table.get(target.namespace, target.name)
            if record is None:
                raise not_found(kind.group, kind.plural, target.name)
            proposal = change(record.obj)
            new = await self._admitted(target, record.obj, proposal, options)
            if table.get(target.namespace, target.name) is record:
                return self._commit(target, record, new, options)
            if proposal.pinned:
                break
        raise conflict(kind.group, kind.plural, target.name)

    async def _admitted(
        self, target: Target, old: Object, proposal: Proposal, options: WriteOptions
    ) -> Object:
        kind = target.kind
        new = self._carried(target, old, proposal.obj)
        if kind.custom or target.subresource != "status":
            kind.strategy.prepare(new, old)
            kind.strategy.default(new, target.version)
        entries = proposal.entries
        if entries is None:
            writer = self.writer(target, options, UPDATE)
            entries = after_update(old, new, kind.strategy.shape(target.version), writer)
        _set_entries(new, entries)
        if _same_object(old, new):
            return old
        new = await self._mutated(Review(target, UPDATE_OPERATION, new, old, options))
        self._count_generation(target, old, new)
        self._refuse(
            target,
            new,
            [
                *validate_metadata_update(new, old, kind),
                *kind.strategy.validate(new, old, target.version),
            ],
        )
        await self._state.admission.validate(Review(target, UPDATE_OPERATION, new, old, options))
        return new

    def _carried(self, target: Target, old: Object, new: Object) -> Object:
        """`new` with everything that this write may not change taken from `old`."""
        if target.subresource == "status":
            # The rest of a built-in object is shared with the old one: nothing changes it below.
            return _with_status(copy_json(old) if target.kind.custom else dict(old), new, target)
        kept = dict(new)
        if target.kind.status:
            kept.pop("status", None)
            if "status" in old:
                kept["status"] = copy_json(old["status"])
        kept["metadata"] = _kept_metadata(old["metadata"], new["metadata"])
        return kept

    def _count_generation(self, target: Target, old: Object, new: Object) -> None:
        ignored = {"metadata", "apiVersion", "kind"}
        if target.kind.status:
            ignored.add("status")
        if target.kind.generation and any(
            not same_json(old.get(name), new.get(name)) for name in {*old, *new} - ignored
        ):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _commit(self, target: Target, record: Record, new: Object, options: WriteOptions) -> Object:
        if new is record.obj or _same_object(record.obj, new):
            return record.obj
        store, kind = self._state.store, target.kind
        if options.dry_run:
            return new
        if may_go(new):
            return store.remove(kind.table, new).obj
        return store.put(kind.table, new).obj


def may_go(obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds", 0):
        return False
    return not (obj.get("kind") == "Namespace" and (obj.get("spec") or {}).get("finalizers"))


def checked_version(target: Target, old: Object, new: Object) -> bool:
    """Whether `new` names the version that it changes; 409 when that is not `old`."""
    kind, theirs, mine = target.kind, new.get("metadata") or {}, old["metadata"]
    uid = theirs.get("uid")
    if uid and uid != mine["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {mine['uid']}"
        raise conflict(kind.group, kind.plural, target.name, why)
    version = theirs.get("resourceVersion")
    if version and version != mine["resourceVersion"]:
        raise conflict(kind.group, kind.plural, target.name)
    return bool(version)


def _with_status(result: Object, new: Object, target: Target) -> Object:
    result.pop("status", None)
    if new.get("status") is not None:
        result["status"] = new["status"]
    metadata = dict(result["metadata"])
    if target.kind.resource in {("", "pods"), ("", "nodes")}:
        for name in ("labels", "annotations"):
            metadata.pop(name, None)
            if new["metadata"].get(name):
                metadata[name] = new["metadata"][name]
    if new["metadata"].get("managedFields"):
        metadata["managedFields"] = new["metadata"]["managedFields"]
    result["metadata"] = metadata
    return result


def _kept_metadata(old: Object, new: Object) -> Object:
    metadata = dict(new)
    for name in _KEPT:
        metadata.pop(name, None)
        if name in old:
            metadata[name] = old[name]
    return metadata


def _set_entries(obj: Object, entries: list[Object]) -> None:
    metadata = dict(obj["metadata"])
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = entries
    obj["metadata"] = metadata


def _same_object(old: Object, new: Object) -> bool:
    """Whether nothing changed but, at most, times in managedFields."""
    if old.keys() != new.keys():
        return False
    for name, value in new.items():
        if name == "metadata":
            mine = {k: v for k, v in old[name].items() if k != "managedFields"}
            theirs = {k: v for k, v in value.items() if k != "managedFields"}
            if not same_json(mine, theirs):
                return False
        elif value is not old[name] and not same_json(value, old[name]):
            return False
    return same_entries(entries_of(old), entries_of(new))


def _random_suffix() -> str:
    return "".join(secrets.choice(_SUFFIX) for _ in range(5))
