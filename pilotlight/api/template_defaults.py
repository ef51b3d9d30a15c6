"""What a Revision gets that says nothing itself, in the words of the manifest.

The result is spelled as Knative's webhook spells it on the wire, down to `resources: {}`, because
clients compare what they sent with what came back.
"""

from __future__ import annotations

from typing import Any, Final

from pilotlight.api.context import AdmissionContext
from pilotlight.api.json_parts import Json, number, part, parts, text
from pilotlight.config.features import SecurePodDefaults

_WRITABLE_SOURCES: Final = ("emptyDir", "persistentVolumeClaim", "ephemeral")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS: Final = ("tcpSocket", "httpGet", "exec", "grpc")
_LOW_PORTS_END: Final = 1024

Parent = Json
"""The metadata of the object that holds the template."""


def default_revision_spec(spec: dict[str, Any], parent: Parent, context: AdmissionContext) -> None:
    """Fill in a Revision's spec, in place."""
    _default_timeouts(spec, context)
    if spec.get("containerConcurrency") is None:
        spec["containerConcurrency"] = context.defaults.container_concurrency
    if spec.get("enableServiceLinks") is None and context.is_create:
        links = context.defaults.enable_service_links
        if links is not None:
            spec["enableServiceLinks"] = links
    _default_names(spec, parent, context)
    writable = {
        text(volume, "name")
        for volume in parts(spec, "volumes")
        if any(volume.get(source) is not None for source in _WRITABLE_SOURCES)
    }
    for container in _containers(spec, "containers"):
        _default_resources(container, context)
        if _takes_requests(container, spec):
            _default_readiness(container)
        _complete_readiness(container)
        for mount in container.get("volumeMounts") or []:
            if mount.get("name") not in writable:
                mount["readOnly"] = True
        _default_security(container, spec, context)
    for container in _containers(spec, "initContainers"):
        _default_security(container, spec, context)


def spell_out(spec: dict[str, Any]) -> None:
    """Write what has no value as Go writes it, in place: this is no default, and it happens to
    templates whose defaulting is skipped too."""
    spec.setdefault("containers", None)
    for name in ("containers", "initContainers"):
        for container in _containers(spec, name):
            if container.get("resources") is None:
                container["resources"] = {}
            for probe in (container.get(kind) for kind in _PROBES):
                _spell_out_probe(probe or {})


def _spell_out_probe(probe: dict[str, Any]) -> None:
    for handler in ("httpGet", "tcpSocket", "grpc"):
        action = probe.get(handler)
        if action is not None and action.get("port") is None:
            action["port"] = 0
    grpc = probe.get("grpc")
    if grpc is not None and grpc.get("service") is None:
        grpc["service"] = ""


def _containers(spec: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The containers themselves, for changing them; a null among them becomes an empty one."""
    found: list[Any] = spec.get(name) or []
    for index, container in enumerate(found):
        if container is None:
            found[index] = {}
    return found


def _default_timeouts(spec: dict[str, Any], context: AdmissionContext) -> None:
    defaults = context.defaults
    if not spec.get("timeoutSeconds"):
        spec["timeoutSeconds"] = defaults.revision_timeout_s
    for name, value in (
        ("responseStartTimeoutSeconds", defaults.revision_response_start_timeout_s),
        ("idleTimeoutSeconds", defaults.revision_idle_timeout_s),
    ):
        if spec.get(name) is None and value != 0 and value < spec["timeoutSeconds"]:
            spec[name] = value


def _default_names(spec: dict[str, Any], parent: Parent, context: AdmissionContext) -> None:
    owner = (text(parent, "name"), text(parent, "namespace"))
    _name_all(_containers(spec, "containers"), context.defaults.container_name(*owner))
    _name_all(_containers(spec, "initContainers"), context.defaults.init_container_name(*owner))


def _name_all(containers: list[dict[str, Any]], template: str) -> None:
    """One container gets the name itself; several get it with numbers that are not in use."""
    used = {text(container, "name") for container in containers}
    counter = 0
    for container in containers:
        if text(container, "name"):
            continue
        name = template
        if len(containers) > 1:
            while (name := f"{template}-{counter}") in used:
                counter += 1
        used.add(name)
        container["name"] = name


def _takes_requests(container: Json, spec: Json) -> bool:
    return len(spec["containers"]) == 1 or bool(container.get("ports"))


def _default_resources(container: dict[str, Any], context: AdmissionContext) -> None:
    defaults = context.defaults
    resources = container.get("resources") or {}
    container["resources"] = resources
    wanted = {
        "requests": {
            "cpu": defaults.revision_cpu_request,
            "memory": defaults.revision_memory_request,
            "ephemeral-storage": defaults.revision_ephemeral_storage_request,
        },
        "limits": {
            "cpu": defaults.revision_cpu_limit,
            "memory": defaults.revision_memory_limit,
            "ephemeral-storage": defaults.revision_ephemeral_storage_limit,
        },
    }
    for kind, quantities in wanted.items():
        given = {name: quantity for name, quantity in quantities.items() if quantity is not None}
        merged = {**given, **(resources.get(kind) or {})}
        if merged:
            resources[kind] = merged


def _default_readiness(container: dict[str, Any]) -> None:
    probe = container.get("readinessProbe") or {}
    container["readinessProbe"] = probe
    if all(probe.get(handler) is None for handler in _HANDLERS):
        probe["tcpSocket"] = {"port": 0}


def _complete_readiness(container: dict[str, Any]) -> None:
    """The numbers of a readiness probe. Without a period it is tried as often as it takes, and
    then a timeout or a number of failures would mean nothing."""
    probe = container.get("readinessProbe")
    if probe is None:
        return
    if not number(probe, "successThreshold"):
        probe["successThreshold"] = 1
    if number(probe, "periodSeconds"):
        if not number(probe, "failureThreshold"):
            probe["failureThreshold"] = 3
        if not number(probe, "timeoutSeconds"):
            probe["timeoutSeconds"] = 1


def _default_security(container: dict[str, Any], spec: Json, context: AdmissionContext) -> None:
    level = context.features.secure_pod_defaults
    if level is SecurePodDefaults.DISABLED:
        return
    pod = part(spec, "securityContext")
    security: dict[str, Any] = container.get("securityContext") or {}
    container["securityContext"] = security
    if security.get("allowPrivilegeEscalation") is None:
        security["allowPrivilegeEscalation"] = False
    if not part(pod, "seccompProfile").get("type"):
        profile = security.get("seccompProfile") or {}
        security["seccompProfile"] = profile
        if not profile.get("type"):
            profile["type"] = "RuntimeDefault"
    if security.get("capabilities") is None:
        security["capabilities"] = {"drop": ["ALL"]}
        if any(
            number(port, "containerPort") < _LOW_PORTS_END for port in parts(container, "ports")
        ):
            security["capabilities"]["add"] = ["NET_BIND_SERVICE"]
    says_nothing = pod.get("runAsNonRoot") is None and security.get("runAsNonRoot") is None
    if level is SecurePodDefaults.ENABLED and says_nothing:
        security["runAsNonRoot"] = True
