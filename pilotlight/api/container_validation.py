"""Checks of containers: the one that takes requests, those beside it, those before it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pilotlight import names
from pilotlight.api import field_masks
from pilotlight.api.field_errors import (
    CURRENT_FIELD,
    FieldError,
    FieldErrors,
    generic,
    invalid,
    missing,
    missing_one_of,
    multiple_one_of,
    out_of_bounds,
    quote,
)
from pilotlight.api.image_reference import is_image_reference
from pilotlight.api.json_parts import Json, number, part, parts, text
from pilotlight.api.probe_validation import ProbedPort, validate_probe, validate_readiness
from pilotlight.config.features import Features, Flag

MAX_ID: Final = 2**31 - 1
_PROFILING_PORT: Final = 8008
_RESERVED_PORTS: Final = frozenset(
    {
        names.QUEUE_HTTP_PORT,
        names.QUEUE_H2C_PORT,
        names.QUEUE_ADMIN_PORT,
        names.QUEUE_AUTOMETRIC_PORT,
        names.QUEUE_METRICS_PORT,
        _PROFILING_PORT,
    }
)
_RESERVED_NAMES: Final = frozenset({names.QUEUE_PROXY})
_RESERVED_PATHS: Final = frozenset({"/", "/dev", "/dev/log"})
_RESERVED_ENV: Final = frozenset({"K_SERVICE", "K_CONFIGURATION", "K_REVISION"})
_PORT_NAMES: Final = ("", names.H2C, names.HTTP1)
_MESSAGE_POLICIES: Final = ("", "File", "FallbackToLogsOnError")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_WRITABLE_SOURCES: Final = ("emptyDir", "persistentVolumeClaim", "ephemeral")
_MAX_PORT: Final = 65535
DEFAULT_PORT_NAME: Final = "http"


class Role(Enum):
    """What a container is in its pod."""

    SERVING = "serving"
    SIDECAR = "sidecar"
    INIT = "init"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What checks of a container look at outside it."""

    volumes: Mapping[str, Json]
    features: Features
    port_name: str = DEFAULT_PORT_NAME
    """Name of the one port of the pod."""


def validate_container(container: Json, role: Role, around: Surroundings) -> FieldErrors:
    """One container. Paths are relative to it."""
    errors = _validate_probes(container, role, around)
    if not any(value for value in container.values()):
        return errors.add(missing(CURRENT_FIELD))
    errors.add(field_masks.container_fields(container))
    name = text(container, "name")
    if name in _RESERVED_NAMES:
        errors.add(generic(f"{quote(name)} is a reserved container name", "name"))
    errors.add(
        _validate_env(container, role, around.features).via("env"),
        _validate_env_from(container).via("envFrom"),
        _validate_image(text(container, "image")),
        _validate_ports(container, role).via("ports"),
        field_masks.resource_fields(part(container, "resources")).via("resources"),
    )
    security = container.get("securityContext")
    if security is not None:
        errors.add(_validate_security(security, around.features).via("securityContext"))
    policy = text(container, "terminationMessagePolicy")
    if policy not in _MESSAGE_POLICIES:
        errors.add(invalid(policy, "terminationMessagePolicy"))
    return errors.add(_validate_mounts(container, around).via("volumeMounts"))


def _validate_probes(container: Json, role: Role, around: Surroundings) -> FieldErrors:
    errors = FieldErrors()
    if role is Role.INIT:
        refused = (*_PROBES, "lifecycle")
        found = (name for name in refused if container.get(name) is not None)
        return errors.add(*(generic("field not allowed in an init container", n) for n in found))
    probing = around.features.multi_container_probing is Flag.ENABLED
    if role is Role.SIDECAR and not probing:
        for name in _PROBES:
            probe = part(container, name)
            errors.add(field_masks.probe_fields(probe).via(name))
        return errors
    port = ProbedPort(around.port_name if role is Role.SERVING else None)
    errors.add(
        validate_probe(container.get("livenessProbe"), port).via("livenessProbe"),
        validate_readiness(container.get("readinessProbe"), port).via("readinessProbe"),
        validate_probe(container.get("startupProbe"), port).via("startupProbe"),
    )
    return errors


def _validate_env(container: Json, role: Role, features: Features) -> FieldErrors:
    reserved = _RESERVED_ENV | ({"PORT"} if role is Role.SERVING else set())
    errors = FieldErrors()
    for index, variable in enumerate(parts(container, "env")):
        found = FieldErrors()
        name = text(variable, "name")
        if not name:
            found.add(missing("name"))
        elif name in reserved:
            found.add(generic(f"{quote(name)} is a reserved environment variable", "name"))
        source = part(variable, "valueFrom")
        found.add(field_masks.env_source_fields(source, features).via("valueFrom"))
        errors.add(found.via(index))
    return errors


def _validate_env_from(container: Json) -> FieldErrors:
    errors = FieldErrors()
    for source in parts(container, "envFrom"):
        references = [
            name for name in ("configMapRef", "secretRef") if source.get(name) is not None
        ]
        if not references:
            errors.add(missing_one_of("configMapRef", "secretRef"))
        elif len(references) > 1:
            errors.add(multiple_one_of(*references))
    return errors


def _validate_image(image: str) -> FieldErrors:
    if not image:
        return FieldErrors([missing("image")])
    if is_image_reference(image):
        return FieldErrors()
    details = f"image: {quote(image)}, error: could not parse reference: {image}"
    return FieldErrors([FieldError("Failed to parse image reference", ("image",), details)])


def _validate_ports(container: Json, role: Role) -> FieldErrors:
    errors = FieldErrors()
    ports = parts(container, "ports")
    if role is Role.INIT:
        return errors.add(*(_validate_port(port) for port in ports))
    if not ports:
        return errors
    port = ports[0]
    errors.add(_validate_port(port))
    protocol = text(port, "protocol")
    if protocol not in ("", "TCP"):
        errors.add(invalid(protocol, "protocol"))
    name = text(port, "name")
    if name not in _PORT_NAMES:
        details = "Name must be empty, or one of: 'h2c', 'http1'"
        errors.add(FieldError(f"Port name {name} is not allowed", (CURRENT_FIELD,), details))
    return errors


def _validate_port(port: Json) -> FieldErrors:
    errors = field_masks.port_fields(port)
    value = number(port, "containerPort")
    if value in _RESERVED_PORTS:
        rule = f"{value} is a reserved port"
        errors.add(invalid(rule, "containerPort", f"{rule}, please use a different value"))
    if not 0 <= value <= _MAX_PORT:
        errors.add(out_of_bounds(value, 0, _MAX_PORT, "containerPort"))
    return errors


def _validate_security(security: Json, features: Features) -> FieldErrors:
    capabilities = part(security, "capabilities")
    return field_masks.security_fields(security).add(
        field_masks.capability_fields(capabilities, features).via("capabilities"),
        validate_ids(security, "runAsUser", "runAsGroup"),
    )


def validate_ids(security: Json, *fields: str) -> FieldErrors:
    """User and group IDs within their range."""
    return FieldErrors(
        out_of_bounds(security[name], 0, MAX_ID, name)
        for name in fields
        if security.get(name) is not None and not 0 <= security[name] <= MAX_ID
    )


def _validate_mounts(container: Json, around: Surroundings) -> FieldErrors:
    errors = FieldErrors()
    seen: set[str] = set()
    for index, mount in enumerate(parts(container, "volumeMounts")):
        found = field_masks.mount_fields(mount, around.features)
        volume = around.volumes.get(text(mount, "name"))
        if volume is None:
            found.add(generic("volumeMount has no matching volume", "name"))
        found.add(_validate_mount_path(text(mount, "mountPath"), seen))
        found.add(_validate_read_only(volume or {}, bool(mount.get("readOnly"))))
        errors.add(found.via(index))
    return errors


def _validate_mount_path(path: str, seen: set[str]) -> FieldErrors:
    if not path:
        return FieldErrors([missing("mountPath")])
    clean = _clean(path)
    errors = FieldErrors()
    if clean in _RESERVED_PATHS:
        errors.add(generic(f"mountPath {quote(clean)} is a reserved path", "mountPath"))
    elif not path.startswith("/"):
        errors.add(invalid(path, "mountPath"))
    elif clean in seen:
        errors.add(invalid(f"{quote(path)} must be unique", "mountPath"))
    seen.add(clean)
    return errors


def _clean(path: str) -> str:
    """The shortest spelling of a path. Python keeps two leading slashes, Go does not."""
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean


def _validate_read_only(volume: Mapping[str, Any], read_only: bool) -> FieldErrors:
    if read_only:
        return FieldErrors()
    if all(volume.get(source) is None for source in _WRITABLE_SOURCES):
        rule = "volume mount should be readOnly for this type of volume"
        return FieldErrors([generic(rule, "readOnly")])
    if part(volume, "persistentVolumeClaim").get("readOnly"):
        return FieldErrors([generic("volume is readOnly but volume mount is not", "readOnly")])
    return FieldErrors()
