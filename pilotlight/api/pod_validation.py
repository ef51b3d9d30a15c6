"""Checks of the pod that a Revision describes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pilotlight.api import field_masks
from pilotlight.api.container_validation import (
    DEFAULT_PORT_NAME,
    MAX_ID,
    Role,
    Surroundings,
    validate_container,
    validate_ids,
)
from pilotlight.api.field_errors import (
    FieldError,
    FieldErrors,
    Level,
    generic,
    invalid,
    missing,
    out_of_bounds,
    quote,
)
from pilotlight.api.json_parts import Json, part, parts, text
from pilotlight.api.volume_validation import validate_volumes
from pilotlight.config.features import Features, Flag
from pilotlight.config.kube_names import dns1123_subdomain

_INSECURE: Final = (
    "Kubernetes default value is insecure, Knative may default this to secure in a future release"
)


def validate_pod(spec: Json, features: Features) -> FieldErrors:
    """The pod's part of a Revision's spec. Paths are relative to it."""
    errors = field_masks.pod_fields(spec, features)
    security = spec.get("securityContext")
    if security is not None:
        errors.add(_validate_security(security, features).via("securityContext"))
    containers, init = parts(spec, "containers"), parts(spec, "initContainers")
    for name, several in (("containers", containers), ("initContainers", init)):
        for index, container in enumerate(several):
            warnings = _warn_of_insecurity(part(spec, "securityContext"), container)
            errors.add(warnings.via("securityContext").via(name, index))
    volumes = parts(spec, "volumes")
    mounted = {
        text(mount, "name")
        for container in (*init, *containers)
        for mount in parts(container, "volumeMounts")
    }
    errors.add(validate_volumes(volumes, mounted, features).via("volumes"))
    around = Surroundings({text(volume, "name"): volume for volume in volumes}, features)
    errors.add(_validate_init_containers(init, containers, around))
    errors.add(_validate_all_ports(containers).via("containers[*]"))
    around = replace(around, port_name=_port_name(containers))
    errors.add(_validate_containers(containers, around))
    account = text(spec, "serviceAccountName")
    if account:
        faults = dns1123_subdomain(account)
        errors.add(*(invalid(account, "serviceAccountName", fault) for fault in faults))
    return errors


def _validate_containers(containers: list[dict[str, Any]], around: Surroundings) -> FieldErrors:
    if not containers:
        return FieldErrors([missing("containers")])
    if len(containers) == 1:
        return validate_container(containers[0], Role.SERVING, around).via("containers", 0)
    if around.features.multi_container is not Flag.ENABLED:
        return FieldErrors(
            [generic(f"multi-container is off, but found {len(containers)} containers")]
        )
    errors = FieldErrors()
    seen: set[str] = set()
    for index, container in enumerate(containers):
        name = text(container, "name")
        if name in seen:
            errors.add(_duplicate(name).via("containers", index))
        seen.add(name)
        role = Role.SERVING if parts(container, "ports") else Role.SIDECAR
        errors.add(validate_container(container, role, around).via("containers", index))
    return errors


def _validate_init_containers(
    init: list[dict[str, Any]], others: list[dict[str, Any]], around: Surroundings
) -> FieldErrors:
    if not init:
        return FieldErrors()
    if around.features.podspec_init_containers is not Flag.ENABLED:
        found = f"but found {len(init)} init containers"
        return FieldErrors([generic(f"pod spec support for init-containers is off, {found}")])
    errors = FieldErrors()
    taken = {text(container, "name") for container in others}
    for index, container in enumerate(init):
        name = text(container, "name")
        # The paths say `containers`: so do Knative's.
        if name in taken:
            errors.add(_duplicate(name).via("containers", index))
        taken.add(name)
        errors.add(validate_container(container, Role.INIT, around).via("containers", index))
    return errors


def _duplicate(name: str) -> FieldErrors:
    return FieldErrors([generic(f"duplicate container name {quote(name)}", "name")])


def _validate_all_ports(containers: list[dict[str, Any]]) -> FieldErrors:
    """One port in a pod, so that it is clear which container takes the requests."""
    count = sum(len(parts(container, "ports")) for container in containers)
    if count == 0 and len(containers) > 1:
        return FieldErrors([missing("ports")])
    if count > 1:
        details = "Only a single port is allowed across all containers"
        return FieldErrors([FieldError("more than one container port is set", ("ports",), details)])
    return FieldErrors()


def _port_name(containers: list[dict[str, Any]]) -> str:
    with_ports = [parts(container, "ports") for container in containers if container.get("ports")]
    return (text(with_ports[-1][0], "name") if with_ports else "") or DEFAULT_PORT_NAME


def _validate_security(security: Json, features: Features) -> FieldErrors:
    errors = field_masks.pod_security_fields(security, features)
    errors.add(validate_ids(security, "runAsUser", "runAsGroup", "fsGroup"))
    for index, group in enumerate(security.get("supplementalGroups") or []):
        if not 0 <= group <= MAX_ID:
            bounds = FieldErrors([out_of_bounds(group, 0, MAX_ID, "")])
            errors.add(bounds.via("supplementalGroups", index))
    return errors


def _warn_of_insecurity(pod: Json, container: Json) -> FieldErrors:
    """Warn of what is unset and then unsafe; what is set unsafe is meant so."""
    security = part(container, "securityContext")
    unsafe = []
    if pod.get("runAsNonRoot") is None and security.get("runAsNonRoot") is None:
        unsafe.append("runAsNonRoot")
    if security.get("allowPrivilegeEscalation") is None:
        unsafe.append("allowPrivilegeEscalation")
    profiles = [pod.get("seccompProfile"), security.get("seccompProfile")]
    if profiles == [None, None]:
        unsafe.append("seccompProfile")
    elif not any(text(profile, "type") for profile in profiles):
        unsafe.append("seccompProfile.type")
    capabilities = security.get("capabilities")
    warnings = FieldErrors()
    if capabilities is None:
        unsafe.append("capabilities")
    elif capabilities.get("drop") is None:
        unsafe.append("capabilities.drop")
    elif capabilities["drop"][:1] == ["all"]:
        warnings.add(invalid("all", "capabilities.drop", "Must be spelled as 'ALL'"))
    if unsafe:
        warnings.add(generic(_INSECURE, *unsafe))
    return warnings.at(Level.WARNING)
