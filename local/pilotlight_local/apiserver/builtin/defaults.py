"""Defaults of the built-in kinds: those that clients and controllers rely on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pilotlight_local.apiserver.values import Object

_GRACE_S: Final = 30


def default_object(kind: str, obj: Object) -> None:
    """Fills in the defaults of a kind, in place; idempotent."""
    default = _DEFAULTS.get(kind)
    if default is not None:
        default(obj)


def _section(obj: Object, name: str) -> Object:
    found = obj.get(name)
    if isinstance(found, dict):
        return found
    if found is not None:
        return {}
    obj[name] = {}
    section: Object = obj[name]
    return section


def _each(obj: Object, name: str) -> list[Object]:
    found = obj.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _fill(obj: Object, **values: Any) -> None:
    for name, value in values.items():
        obj.setdefault(name, value)


def default_pod_spec(spec: Object) -> None:
    """The defaults of a pod, also as part of a template."""
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=_GRACE_S,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
    )
    spec.setdefault("securityContext", {})
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in (*_each(spec, "initContainers"), *_each(spec, "containers")):
        _default_container(container)
    for volume in _each(spec, "volumes"):
        _default_volume(volume)


def _default_container(container: Object) -> None:
    image = container.get("image")
    _fill(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=_pull_policy(image if isinstance(image, str) else ""),
    )
    container.setdefault("resources", {})
    for port in _each(container, "ports"):
        port.setdefault("protocol", "TCP")
    for variable in _each(container, "env"):
        reference = _reference(variable, "valueFrom", "fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if isinstance(probe, dict):
            _default_probe(probe)


def _reference(obj: Object, *path: str) -> Object | None:
    for name in path:
        inner = obj.get(name)
        if not isinstance(inner, dict):
            return None
        obj = inner
    return obj


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    _, _, tag = name.partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_probe(probe: Object) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    request = probe.get("httpGet")
    if isinstance(request, dict):
        _fill(request, path="/", scheme="HTTP")
    call = probe.get("grpc")
    if isinstance(call, dict):
        _fill(call, service="")


_VOLUME_MODES: Final = ("configMap", "secret", "projected", "downwardAPI")


def _default_volume(volume: Object) -> None:
    for name in _VOLUME_MODES:
        source = volume.get(name)
        if isinstance(source, dict):
            source.setdefault("defaultMode", 0o644)
    if len(volume) == 1:
        volume["emptyDir"] = {}


def _pod(obj: Object) -> None:
    spec = _section(obj, "spec")
    default_pod_spec(spec)
    _fill(spec, serviceAccountName="default", enableServiceLinks=True)
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in (*_each(spec, "initContainers"), *_each(spec, "containers")):
        resources = container["resources"]
        limits = resources.get("limits") if isinstance(resources, dict) else None
        if limits:
            resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _template(obj: Object) -> None:
    template = _section(_section(obj, "spec"), "template")
    template.setdefault("metadata", {})
    default_pod_spec(_section(template, "spec"))


def _deployment(obj: Object) -> None:
    spec = _section(obj, "spec")
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _section(spec, "strategy")
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = _section(strategy, "rollingUpdate")
        _fill(rolling, maxSurge="25%", maxUnavailable="25%")
    _template(obj)


def _replica_set(obj: Object) -> None:
    _fill(_section(obj, "spec"), replicas=1)
    _template(obj)


def _stateful_set(obj: Object) -> None:
    _fill(
        _section(obj, "spec"),
        replicas=1,
        revisionHistoryLimit=10,
        podManagementPolicy="OrderedReady",
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )
    _template(obj)


def _daemon_set(obj: Object) -> None:
    rolling = {"maxSurge": 0, "maxUnavailable": 1}
    _fill(
        _section(obj, "spec"),
        revisionHistoryLimit=10,
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling},
    )
    _template(obj)


def _service(obj: Object) -> None:
    spec = _section(obj, "spec")
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)
    for port in _each(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, "", 0) and "port" in port:
            port["targetPort"] = port["port"]
    if spec.get("sessionAffinity") == "ClientIP":
        _fill(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})


def _endpoint_slice(obj: Object) -> None:
    for port in _each(obj, "ports"):
        _fill(port, name="", protocol="TCP")


def _endpoints(obj: Object) -> None:
    for subset in _each(obj, "subsets"):
        for port in _each(subset, "ports"):
            port.setdefault("protocol", "TCP")


def _secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")


def _autoscaler(obj: Object) -> None:
    _fill(_section(obj, "spec"), minReplicas=1)


def _webhooks(obj: Object) -> None:
    for webhook in _each(obj, "webhooks"):
        _fill(webhook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        _fill(webhook, namespaceSelector={}, objectSelector={})
        if obj.get("kind") == "MutatingWebhookConfiguration":
            webhook.setdefault("reinvocationPolicy", "Never")
        for rule in _each(webhook, "rules"):
            rule.setdefault("scope", "*")
        service = _reference(webhook, "clientConfig", "service")
        if service is not None:
            service.setdefault("port", 443)


def _network_policy(obj: Object) -> None:
    spec = _section(obj, "spec")
    spec.setdefault("podSelector", {})
    spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in (*_each(spec, "ingress"), *_each(spec, "egress")):
        for port in _each(rule, "ports"):
            port.setdefault("protocol", "TCP")


def _role_binding(obj: Object) -> None:
    for subject in _each(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    reference = obj.get("roleRef")
    if isinstance(reference, dict):
        reference.setdefault("apiGroup", "rbac.authorization.k8s.io")


_DEFAULTS: Final[dict[str, Callable[[Object], None]]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "Secret": _secret,
    "HorizontalPodAutoscaler": _autoscaler,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingWebhookConfiguration": _webhooks,
    "NetworkPolicy": _network_policy,
    "RoleBinding": _role_binding,
    "ClusterRoleBinding": _role_binding,
}
