"""The `restricted` level of the Pod Security Standards of Kubernetes 1.34, for Linux pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Object = dict[str, Any]

_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    | {"projected", "secret"}
)
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX: Final = (
    "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t",
)  # fmt: skip
_PROFILES: Final = ("RuntimeDefault", "Localhost")
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"


def violations(template: Object) -> list[str]:
    """What a pod, or a template of pods, would be refused for."""
    return list(_of_pod(template))


def _of_pod(template: Object) -> Iterator[str]:
    spec = template["spec"]
    pod = spec.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes") or ():
        kinds = set(volume) - {"name"}
        if kinds - _VOLUMES:
            yield f"volume {volume['name']}: {', '.join(sorted(kinds))}"
    for sysctl in pod.get("sysctls") or ():
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for key, value in (template.get("metadata", {}).get("annotations") or {}).items():
        if key.startswith(_APPARMOR) and value == "unconfined":
            yield f"annotation {key}"
    if pod.get("runAsNonRoot") is False:
        yield "pod: runAsNonRoot"
    yield from _confinement(pod, "pod")
    for section in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(section) or ():
            yield from _of_container(container, pod)


def _of_container(container: Object, pod: Object) -> Iterator[str]:
    name = container["name"]
    own = container.get("securityContext") or {}
    yield from _confinement(own, name)
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"{name}: capabilities.drop"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities.add"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name}: runAsNonRoot"
    if "seccompProfile" not in own and "seccompProfile" not in pod:
        yield f"{name}: seccompProfile"
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"{name}: hostPort"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield from _host(container.get(probe) or {}, f"{name}: {probe}")
    for hook, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield from _host(handler, f"{name}: {hook}")


def _confinement(context: Object, where: str) -> Iterator[str]:
    """What is asked of the security context of pod and container alike."""
    if context.get("runAsUser") == 0:
        yield f"{where}: runAsUser"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{where}: hostProcess"
    if "seccompProfile" in context and context["seccompProfile"].get("type") not in _PROFILES:
        yield f"{where}: seccompProfile"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield f"{where}: appArmorProfile"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in _SELINUX or selinux.get("user") or selinux.get("role"):
        yield f"{where}: seLinuxOptions"


def _host(handler: Object, where: str) -> Iterator[str]:
    for kind in ("httpGet", "tcpSocket"):
        if (handler.get(kind) or {}).get("host"):
            yield f"{where}: host"
