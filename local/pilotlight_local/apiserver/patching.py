"""Updates and patches as changes of the stored object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .errors import (
    ApiError,
    bad_request,
    invalid,
    invalid_value,
    not_found,
    unsupported_media,
)
from .kinds import Target, WriteOptions
from .patches.apply import apply
from .patches.managed import APPLY
from .patches.merge import json_patch, merge_patch
from .patches.strategic import strategic_patch
from .scale import scale_of, with_scale
from .state import State
from .values import Object, copy_json, encode, without_nulls
from .writes import Proposal, Writes, checked_version

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
APPLY_CBOR: Final = "application/apply-patch+cbor"


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch: its media type and its decoded document."""

    type: str
    document: Any


class Patching:
    """Changes existing objects; an apply also creates."""

    def __init__(self, state: State, writes: Writes) -> None:
        self._state = state
        self._writes = writes

    async def update(self, target: Target, given: Object, options: WriteOptions) -> Object:
        """Replaces an object, or its status or scale."""
        if target.subresource == "scale":
            return await self._rescale(target, lambda _scale: copy_json(given), options)
        obj = copy_json(given)
        name = (obj.get("metadata") or {}).get("name")
        if name and name != target.name:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL"
                f" ({target.name})"
            )
        if not name:
            raise bad_request(
                f"the name of the object (based on the object) does not match the name on the URL"
                f" ({target.name}): name must be provided"
            )
        self._writes.decode(target, obj, options)
        kind = target.kind
        table = self._state.store.table(kind.table)
        if kind.made_by_update and table.get(target.namespace, target.name) is None:
            obj["metadata"].pop("resourceVersion", None)
            return await self._writes.create(target, obj, options)

        def change(old: Object) -> Proposal:
            pinned = checked_version(target, old, obj)
            if kind.versioned and not pinned:
                detail = "must be specified for an update"
                cause = invalid_value("metadata.resourceVersion", 0, detail)
                raise invalid(kind.group, kind.plural, target.name, [cause])
            return Proposal(copy_json(obj), pinned=pinned)

        return await self._writes.change(target, change, options)

    async def patch(self, target: Target, patch: Patch, options: WriteOptions) -> Object:
        """Patches an object, or its status or scale."""
        self._check_type(target, patch)
        if target.subresource == "scale":
            if patch.type == APPLY_PATCH:
                return await self._rescale(
                    target, lambda scale: merge_patch(scale, patch.document), options
                )
            return await self._rescale(
                target, lambda scale: _patched(scale, patch, target), options
            )
        if patch.type == APPLY_PATCH:
            return await self._apply(target, patch, options)

        def change(old: Object) -> Proposal:
            seen = target.kind.strategy.present(old, target.version)
            new: Object = copy_json(_patched(seen, patch, target))
            pinned = self._patched_version(target, patch, old, new)
            self._decode_patched(target, new, options)
            return Proposal(new, pinned=pinned)

        return await self._writes.change(target, change, options)

    def _patched_version(self, target: Target, patch: Patch, old: Object, new: Object) -> bool:
        checked_version(target, old, new)
        if patch.type == JSON_PATCH:
            return any("resourceVersion" in str(step.get("path", "")) for step in patch.document)
        named = patch.document.get("metadata") if isinstance(patch.document, dict) else None
        return isinstance(named, dict) and "resourceVersion" in named

    def _decode_patched(self, target: Target, new: Object, options: WriteOptions) -> None:
        """Unknown fields that a patch brings are an Invalid error here, not a BadRequest."""
        metadata = new.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("name") != target.name:
            cause = invalid_value(
                "metadata.name", (metadata or {}).get("name"), "field is immutable"
            )
            raise invalid(target.kind.group, target.kind.kind, target.name, [cause])
        try:
            self._writes.decode(target, new, options)
        except ApiError as error:
            _, found, what = error.message.partition("strict decoding error: ")
            if not found:
                raise
            raise self._strict(new, found + what) from None

    def _strict(self, new: Object, what: str) -> ApiError:
        shown = encode(new).decode("utf-8", "replace")
        return invalid("", "", "", [invalid_value("patch", shown, what)])

    def _check_type(self, target: Target, patch: Patch) -> None:
        accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
        if not target.kind.custom:
            accepted.insert(2, STRATEGIC_PATCH)
        if patch.type not in accepted:
            raise unsupported_media(accepted)

    async def _apply(self, target: Target, patch: Patch, options: WriteOptions) -> Object:
        config = self._configuration(target, patch, options)
        writer = self._writes.writer(target, options, APPLY)
        shape = target.kind.strategy.shape(target.version)
        record = self._state.store.table(target.kind.table).get(target.namespace, target.name)
        if record is None:
            if target.subresource:
                raise not_found(target.kind.group, target.kind.plural, target.name)
            made = apply(None, config, shape, writer, options.force)
            try:
                return await self._writes.create(target, made.obj, options, made.entries)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise

        def change(old: Object) -> Proposal:
            seen = target.kind.strategy.present(old, target.version)
            pinned = checked_version(target, old, config)
            made = apply(seen, config, shape, writer, options.force)
            new: Object = copy_json(made.obj)
            target.kind.strategy.decode(new, target.version, wants_unknown=False)
            return Proposal(new, made.entries, pinned)

        return await self._writes.change(target, change, options)

    def _configuration(self, target: Target, patch: Patch, options: WriteOptions) -> Object:
        """The applied configuration, checked and without what an apply cannot own."""
        config = patch.document
        if not isinstance(config, dict):
            raise bad_request("error decoding YAML: the patch must be an object")
        config = without_nulls(config)
        metadata = config.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if metadata.setdefault("name", target.name) != target.name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL"
                f" ({target.name})"
            )
        if target.subresource != "status" and target.kind.status:
            config.pop("status", None)
        if target.subresource == "status":
            config = {k: v for k, v in config.items() if k in _STATUS_MEMBERS}
        self._writes.check_type(target, config)
        checked: Object = copy_json(config)
        unknown = target.kind.strategy.decode(checked, target.version, wants_unknown=True)
        self._writes.decode(target, checked, WriteOptions())
        if unknown:
            first = "\n".join(f".{path}: field not declared in schema" for path in unknown)
            where = f"{target.namespace}/{target.name}" if target.namespace else f"/{target.name}"
            gvk = f"{target.api_version}, Kind={target.kind.kind}"
            raise bad_request(f"failed to create typed patch object ({where}; {gvk}): {first}")
        if target.subresource == "status":
            kept = ("name", "namespace", "resourceVersion", "uid")
            checked["metadata"] = {k: v for k, v in checked["metadata"].items() if k in kept}
        return checked

    async def _rescale(self, target: Target, make: Any, options: WriteOptions) -> Object:
        kind = target.kind

        def change(old: Object) -> Proposal:
            scale = make(scale_of(kind, old))
            pinned = checked_version(target, old, scale)
            new = with_scale(kind, old, scale)
            return Proposal(new, pinned=pinned)

        if kind.scale is None:
            raise not_found(kind.group, kind.plural, target.name)
        return scale_of(kind, await self._writes.change(target, change, options))


_STATUS_MEMBERS: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


def _patched(seen: Object, patch: Patch, target: Target) -> Any:
    if patch.type == JSON_PATCH:
        return json_patch(seen, patch.document)
    if not isinstance(patch.document, dict):
        raise bad_request("error decoding patch: the patch must be an object")
    if patch.type == MERGE_PATCH:
        return merge_patch(seen, patch.document)
    shape = target.kind.strategy.shape(target.version)
    return strategic_patch(seen, patch.document, shape)
