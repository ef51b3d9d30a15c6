"""Which fields of a pod a Revision may set, and which of them only with a feature flag.

Fields that the CRD's schema does not know never arrive here: the API server drops them. They are
listed all the same, for the parts of the schema that let everything through.
"""

from __future__ import annotations

from typing import Any, Final

from pilotlight.api.field_errors import FieldErrors, disallowed
from pilotlight.api.json_parts import Json, part, set_among
from pilotlight.config.features import Features, Flag, SecurePodDefaults

_GATED_POD_FIELDS: Final[dict[str, str]] = {
    "affinity": "podspec_affinity",
    "topologySpreadConstraints": "podspec_topologyspreadconstraints",
    "hostAliases": "podspec_hostaliases",
    "nodeSelector": "podspec_nodeselector",
    "runtimeClassName": "podspec_runtimeclassname",
    "tolerations": "podspec_tolerations",
    "shareProcessNamespace": "podspec_shareprocessnamespace",
    "priorityClassName": "podspec_priorityclassname",
    "schedulerName": "podspec_schedulername",
    "initContainers": "podspec_init_containers",
    "dnsPolicy": "podspec_dnspolicy",
    "dnsConfig": "podspec_dnsconfig",
    "hostIPC": "podspec_hostipc",
    "hostPID": "podspec_hostpid",
    "hostNetwork": "podspec_hostnetwork",
}
_REFUSED_POD_FIELDS: Final = (
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "nodeName",
    "hostname",
    "subdomain",
    "priority",
    "readinessGates",
    "ephemeralContainers",
    "overhead",
    "preemptionPolicy",
    "setHostnameAsFQDN",
    "os",
    "hostUsers",
    "schedulingGates",
    "resourceClaims",
    "resources",
    "serviceAccount",
)
_REFUSED_CONTAINER_FIELDS: Final = (
    "lifecycle",
    "stdin",
    "stdinOnce",
    "tty",
    "volumeDevices",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
)
_REFUSED_SECURITY_FIELDS: Final = (
    "seLinuxOptions",
    "windowsOptions",
    "procMount",
    "appArmorProfile",
)
_POD_SECURITY_FIELDS: Final = (
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "fsGroup",
    "supplementalGroups",
    "seccompProfile",
)
_REFUSED_POD_SECURITY_FIELDS: Final = (
    "seLinuxOptions",
    "windowsOptions",
    "sysctls",
    "fsGroupChangePolicy",
    "supplementalGroupsPolicy",
    "appArmorProfile",
    "seLinuxChangePolicy",
)
VOLUME_SOURCES: Final[dict[str, str | None]] = {
    "secret": None,
    "configMap": None,
    "projected": None,
    "emptyDir": "podspec_volumes_emptydir",
    "persistentVolumeClaim": "podspec_persistent_volume_claim",
    "hostPath": "podspec_volumes_hostpath",
    "csi": "podspec_volumes_csi",
    "ephemeral": "podspec_volumes_ephemeral",
    "image": "podspec_volumes_image",
}
"""Every source that the schema has, and the flag that it needs."""
_PLAIN: Final = frozenset(
    {
        "dnsPolicy",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostIP",
        "hostPort",
        "hostname",
        "nodeName",
        "priorityClassName",
        "restartPolicy",
        "schedulerName",
        "serviceAccount",
        "stdin",
        "stdinOnce",
        "subPathExpr",
        "subdomain",
        "tty",
    }
)
PROBE_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
PROBE_HANDLERS: Final = ("httpGet", "tcpSocket", "exec", "grpc")
_SAFE_SECCOMP: Final = ("RuntimeDefault", "Unconfined")
_LOW_PORTS: Final = ["NET_BIND_SERVICE"]


def flag_of(features: Features, name: str) -> Flag:
    value: Any = getattr(features, name)
    assert isinstance(value, Flag)
    return value


def pod_fields(spec: Json, features: Features) -> FieldErrors:
    """The fields of a pod spec that must not be set."""
    refused = set_among(spec, _REFUSED_POD_FIELDS, _PLAIN)
    for name in set_among(spec, _GATED_POD_FIELDS, _PLAIN):
        if flag_of(features, _GATED_POD_FIELDS[name]) is Flag.DISABLED:
            refused.append(name)
    if spec.get("automountServiceAccountToken"):
        refused.append("automountServiceAccountToken")
    if spec.get("securityContext") is not None and not _may_have_security(features):
        refused.append("securityContext")
    return _disallowed(refused)


def _may_have_security(features: Features) -> bool:
    """Secure defaults allow a security context too, so that a pod can do without them."""
    return (
        features.podspec_securitycontext is not Flag.DISABLED
        or features.secure_pod_defaults is not SecurePodDefaults.DISABLED
    )


def pod_security_fields(context: Json, features: Features) -> FieldErrors:
    """The fields of a pod's security context that must not be set."""
    refused = set_among(context, _REFUSED_POD_SECURITY_FIELDS)
    if features.podspec_securitycontext is Flag.DISABLED:
        refused += set_among(context, _POD_SECURITY_FIELDS)
        secure = features.secure_pod_defaults is not SecurePodDefaults.DISABLED
        profile = part(context, "seccompProfile").get("type")
        if secure and profile in _SAFE_SECCOMP:
            refused.remove("seccompProfile")
    return _disallowed(refused)


def container_fields(container: Json) -> FieldErrors:
    return _disallowed(set_among(container, _REFUSED_CONTAINER_FIELDS, _PLAIN))


def security_fields(context: Json) -> FieldErrors:
    """The fields of a container's security context that must not be set."""
    refused = set_among(context, _REFUSED_SECURITY_FIELDS)
    if context.get("privileged"):
        refused.append("privileged")
    return _disallowed(refused)


def capability_fields(capabilities: Json, features: Features) -> FieldErrors:
    """Capabilities are added only with the flag; that for low ports also with secure defaults."""
    added = capabilities.get("add")
    if added is None or features.containerspec_addcapabilities is Flag.ENABLED:
        return FieldErrors()
    secure = features.secure_pod_defaults is not SecurePodDefaults.DISABLED
    if secure and added == _LOW_PORTS:
        return FieldErrors()
    return _disallowed(["add"])


def port_fields(port: Json) -> FieldErrors:
    return _disallowed(set_among(port, ("hostIP", "hostPort"), _PLAIN))


def env_source_fields(source: Json, features: Features) -> FieldErrors:
    refused = set_among(source, ("fileKeyRef",))
    if features.podspec_fieldref is Flag.DISABLED:
        refused += set_among(source, ("fieldRef", "resourceFieldRef"))
    return _disallowed(refused)


def volume_fields(volume: Json, features: Features) -> FieldErrors:
    """The sources that no flag allows."""
    return _disallowed(
        name
        for name, flag in VOLUME_SOURCES.items()
        if volume.get(name) is not None and flag and flag_of(features, flag) is Flag.DISABLED
    )


def mount_fields(mount: Json, features: Features) -> FieldErrors:
    refused = set_among(mount, ("subPathExpr", "recursiveReadOnly"), _PLAIN)
    if features.podspec_volumes_mount_propagation is not Flag.ENABLED:
        refused += set_among(mount, ("mountPropagation",))
    return _disallowed(refused)


def probe_fields(probe: Json) -> FieldErrors:
    """Every field of a probe that is not allowed at all: the probe itself when it has a handler,
    and each of its numbers."""
    refused = set_among(probe, PROBE_NUMBERS, PROBE_NUMBERS)
    if set_among(probe, PROBE_HANDLERS):
        refused.append("")
    return _disallowed(refused)


def resource_fields(resources: Json) -> FieldErrors:
    return _disallowed(set_among(resources, ("claims",)))


def _disallowed(names: Any) -> FieldErrors:
    found = tuple(names)
    return FieldErrors([disallowed(*found)] if found else [])
