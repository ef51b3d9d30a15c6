"""Checks of volumes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pilotlight.api.field_errors import (
    FieldErrors,
    generic,
    invalid,
    missing,
    missing_one_of,
    multiple_one_of,
    quote,
)
from pilotlight.api.field_masks import VOLUME_SOURCES, flag_of, volume_fields
from pilotlight.api.json_parts import Json, part, parts, text
from pilotlight.config.features import Features, Flag
from pilotlight.config.go_values import parse_quantity
from pilotlight.config.kube_names import dns1123_label

Volumes = Mapping[str, Json]

_KINDS: Final[Mapping[str, str]] = {
    "emptyDir": "EmptyDir",
    "hostPath": "HostPath",
    "csi": "CSI",
    "ephemeral": "Ephemeral",
    "image": "Image",
}
_PROJECTIONS: Final = ("secret", "configMap", "serviceAccountToken", "downwardAPI")


def validate_volumes(
    volumes: list[dict[str, Any]], mounted: Collection[str], features: Features
) -> FieldErrors:
    """All volumes of a pod; `mounted` are the names that some container mounts."""
    errors = FieldErrors()
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        name = text(volume, "name")
        found = _validate_volume(volume, features)
        if name in seen:
            found.add(generic(f"duplicate volume name {quote(name)}", "name"))
        if name not in mounted:
            found.add(generic(f"volume with name {quote(name)} not mounted", "name"))
        seen.add(name)
        errors.add(found.via(index))
    return errors


def _validate_volume(volume: Json, features: Features) -> FieldErrors:
    errors = _validate_flags(volume, features)
    name = text(volume, "name")
    # A volume without a proper name is told only that, and what is wrong with its source.
    if not name:
        errors = FieldErrors([missing("name")])
    elif dns1123_label(name):
        errors = FieldErrors([invalid(name, "name")])
    errors.add(volume_fields(volume, features))
    for source in ("secret", "configMap"):
        for index, item in enumerate(parts(volume.get(source), "items")):
            errors.add(_validate_item(item).via("items", index))
    for index, source_part in enumerate(parts(volume.get("projected"), "sources")):
        errors.add(_validate_projection(source_part).via("projected", index))
    if volume.get("emptyDir") is not None:
        errors.add(_validate_empty_dir(part(volume, "emptyDir")).via("emptyDir"))
    return errors.add(_validate_one_source(volume, features))


def _validate_flags(volume: Json, features: Features) -> FieldErrors:
    """Sources need more than a flag that is not off: it has to be on."""
    errors = FieldErrors()
    name = text(volume, "name")
    for source, kind in _KINDS.items():
        flag = VOLUME_SOURCES[source]
        if volume.get(source) is not None and flag and not _is_on(features, flag):
            found = f"{kind} volume support is disabled, but found {kind} volume {name}"
            errors.add(generic(found))
    claim = volume.get("persistentVolumeClaim")
    if claim is None:
        return errors
    claim_name = text(claim, "claimName")
    if not _is_on(features, "podspec_persistent_volume_claim"):
        errors.add(
            generic(
                "Persistent volume claim support is disabled, but found persistent volume claim "
                f"{claim_name}"
            )
        )
    if not claim.get("readOnly") and not _is_on(features, "podspec_persistent_volume_write"):
        errors.add(
            generic(
                "Persistent volume write support is disabled, but found persistent volume claim "
                f"{claim_name} that is not read-only"
            )
        )
    return errors


def _validate_one_source(volume: Json, features: Features) -> FieldErrors:
    specified = [source for source in VOLUME_SOURCES if volume.get(source) is not None]
    if len(specified) > 1:
        return FieldErrors([multiple_one_of(*specified)])
    if specified:
        return FieldErrors()
    usable = [
        source for source, flag in VOLUME_SOURCES.items() if flag is None or _is_on(features, flag)
    ]
    return FieldErrors([missing_one_of(*usable)])


def _validate_projection(source: Json) -> FieldErrors:
    errors = FieldErrors()
    specified = [name for name in _PROJECTIONS if source.get(name) is not None]
    for name in specified:
        errors.add(_PROJECTION_CHECKS[name](part(source, name)).via(name))
    if not specified:
        errors.add(missing_one_of(*_PROJECTIONS))
    elif len(specified) > 1:
        errors.add(multiple_one_of(*specified))
    return errors


def _validate_named_projection(projection: Json) -> FieldErrors:
    errors = FieldErrors([] if text(projection, "name") else [missing("name")])
    for index, item in enumerate(parts(projection, "items")):
        errors.add(_validate_item(item).via("items", index))
    return errors


def _validate_token(projection: Json) -> FieldErrors:
    return FieldErrors([] if text(projection, "path") else [missing("path")])


def _validate_downward(projection: Json) -> FieldErrors:
    errors = FieldErrors()
    for index, item in enumerate(parts(projection, "items")):
        found = FieldErrors()
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is None and resource is None:
            found.add(missing_one_of("fieldRef", "resourceFieldRef"))
        if field is not None and resource is not None:
            message = "Within a single item, cannot set both"
            found.add(generic(message, "resourceFieldRef", "fieldRef"))
        if not text(item, "path"):
            found.add(missing("path"))
        errors.add(found.via("items", index))
    return errors


_PROJECTION_CHECKS: Final[Mapping[str, Callable[[Json], FieldErrors]]] = {
    "secret": _validate_named_projection,
    "configMap": _validate_named_projection,
    "serviceAccountToken": _validate_token,
    "downwardAPI": _validate_downward,
}


def _validate_item(item: Json) -> FieldErrors:
    return FieldErrors(missing(name) for name in ("key", "path") if not text(item, name))


def _validate_empty_dir(source: Json) -> FieldErrors:
    errors = FieldErrors()
    medium = text(source, "medium")
    if medium not in ("", "Memory"):
        errors.add(invalid(medium, "medium"))
    limit = source.get("sizeLimit")
    if limit is not None and parse_quantity(str(limit)) < 0:
        errors.add(invalid(limit, "sizeLimit"))
    return errors


def _is_on(features: Features, flag: str) -> bool:
    return flag_of(features, flag) is Flag.ENABLED
