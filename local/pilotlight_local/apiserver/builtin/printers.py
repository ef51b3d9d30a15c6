"""What `kubectl get` prints of the built-in kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from pilotlight_local.apiserver.columns import AGE, NAME, Cell, Column, age
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.scale import selector_text
from pilotlight_local.apiserver.values import Object, lookup

from .pod_status import pod_restarts, pod_status

NONE: Final = "<none>"
Make = Callable[[Object], Cell]


def builtin_columns(group: str, kind: str) -> list[Column] | None:
    """The columns of a kind, None where it has no more than a name and an age."""
    return _COLUMNS.get((group, kind))


def _text(name: str, make: Make, priority: int = 0) -> Column:
    return Column(name, lambda obj, _now: make(obj), priority=priority)


def _number(name: str, make: Make, priority: int = 0) -> Column:
    return Column(name, lambda obj, _now: make(obj), "integer", priority=priority)


def _since(name: str, *path: str) -> Column:
    return Column(name, lambda obj, now: age(lookup(obj, *path), now))


def _at(*path: str, empty: Cell = "") -> Make:
    def make(obj: Object) -> Cell:
        value = lookup(obj, *path)
        return empty if value is None or value == "" else value

    return make


def _count(*path: str) -> Make:
    return lambda obj: len(lookup(obj, *path) or ())


def _joined(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values) or NONE


def _of_containers(field: str, *path: str) -> Make:
    return lambda obj: _joined(c.get(field, "") for c in lookup(obj, *path) or ())


def _selector(*path: str) -> Make:
    def make(obj: Object) -> Cell:
        value = lookup(obj, *path)
        try:
            return selector_text(value) or NONE
        except ApiError:
            return "<error>"

    return make


def _labels(*path: str) -> Make:
    def make(obj: Object) -> Cell:
        return _joined(f"{k}={v}" for k, v in sorted((lookup(obj, *path) or {}).items()))

    return make


def _pod_ready(obj: Object) -> Cell:
    total = len(lookup(obj, "spec", "containers") or ())
    statuses = lookup(obj, "status", "containerStatuses") or ()
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{total}"


def _gates(obj: Object) -> Cell:
    gates = lookup(obj, "spec", "readinessGates") or ()
    if not gates:
        return NONE
    conditions = lookup(obj, "status", "conditions") or ()
    true = {c["type"] for c in conditions if c.get("status") == "True"}
    return f"{sum(g.get('conditionType') in true for g in gates)}/{len(gates)}"


_PODS: Final = [
    NAME,
    _text("Ready", _pod_ready),
    _text("Status", pod_status),
    Column("Restarts", pod_restarts),
    AGE,
    _text("IP", _at("status", "podIP", empty=NONE), 1),
    _text("Node", _at("spec", "nodeName", empty=NONE), 1),
    _text("Nominated Node", _at("status", "nominatedNodeName", empty=NONE), 1),
    _text("Readiness Gates", _gates, 1),
]


def _ready_of(total: str, *wanted: str) -> Make:
    def make(obj: Object) -> Cell:
        return f"{lookup(obj, 'status', total) or 0}/{lookup(obj, *wanted) or 0}"

    return make


def _workload(*columns: Column) -> list[Column]:
    template = ("spec", "template", "spec", "containers")
    return [
        NAME,
        *columns,
        AGE,
        _text("Containers", _of_containers("name", *template), 1),
        _text("Images", _of_containers("image", *template), 1),
        _text("Selector", _selector("spec", "selector"), 1),
    ]


def _service_ip(obj: Object) -> Cell:
    return str(lookup(obj, "spec", "clusterIP") or NONE)


def _external(obj: Object) -> Cell:
    spec = obj.get("spec") or {}
    addresses = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName") or NONE)
        case "LoadBalancer":
            ingress = lookup(obj, "status", "loadBalancer", "ingress") or ()
            addresses = [i.get("ip") or i.get("hostname") or "" for i in ingress] + addresses
            return ",".join(addresses) or "<pending>"
        case _:
            return _joined(addresses)


def _ports(obj: Object) -> Cell:
    def one(port: Object) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"

    return _joined(one(port) for port in lookup(obj, "spec", "ports") or ())


def _slice_ports(obj: Object) -> Cell:
    ports = obj.get("ports")
    if not ports:
        return "<unset>"
    return _shortened([str(port.get("port", "*")) for port in ports])


def _slice_addresses(obj: Object) -> Cell:
    endpoints = obj.get("endpoints") or ()
    addresses = [a for endpoint in endpoints for a in endpoint.get("addresses") or ()]
    return _shortened(addresses) if addresses else "<unset>"


def _shortened(values: list[str]) -> str:
    more = f" + {len(values) - 3} more..." if len(values) > 3 else ""
    return ",".join(values[:3]) + more


def _endpoints(obj: Object) -> Cell:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return _shortened(found) if found else NONE


def _node_status(obj: Object) -> Cell:
    conditions = lookup(obj, "status", "conditions") or ()
    ready = next((c for c in conditions if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"]
    if lookup(obj, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(obj: Object) -> Cell:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return _joined(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix)))


def _node_address(kind: str) -> Make:
    def make(obj: Object) -> Cell:
        addresses = lookup(obj, "status", "addresses") or ()
        return next((str(a.get("address")) for a in addresses if a.get("type") == kind), NONE)

    return make


def _event_time(obj: Object, now: datetime) -> Cell:
    last = lookup(obj, "series", "lastObservedTime") or obj.get("lastTimestamp")
    return age(last or obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _event_object(obj: Object) -> Cell:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{(about.get('kind') or '').lower()}/{about.get('name', '')}"


def _event_message(obj: Object) -> Cell:
    return str(obj.get("message") or obj.get("note") or "").strip()


def _event_source(obj: Object) -> Cell:
    source = obj.get("source") or {}
    parts = [source.get("component") or obj.get("reportingComponent"), source.get("host")]
    return ", ".join(part for part in parts if part)


_EVENTS: Final = [
    Column("Last Seen", _event_time),
    _text("Type", _at("type")),
    _text("Reason", _at("reason")),
    _text("Object", _event_object),
    _text("Subobject", _at("involvedObject", "fieldPath"), 1),
    _text("Source", _event_source, 1),
    _text("Message", _event_message),
    _since("First Seen", "firstTimestamp"),
    _number("Count", lambda obj: obj.get("count") or 1, 1),
    Column("Name", lambda obj, _now: str(obj["metadata"]["name"]), format="name", priority=1),
]
_EVENTS[7] = Column("First Seen", _EVENTS[7].cell, priority=1)


def _target(obj: Object) -> Cell:
    reference = lookup(obj, "spec", "scaleTargetRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _metrics(obj: Object) -> Cell:
    current = {
        _metric_name(m): _metric_value(m) for m in lookup(obj, "status", "currentMetrics") or ()
    }
    found = []
    for metric in lookup(obj, "spec", "metrics") or ():
        name = _metric_name(metric)
        found.append(f"{name}: {current.get(name, '<unknown>')}/{_metric_value(metric)}")
    return _shortened(found) if found else NONE


def _metric_name(metric: Object) -> str:
    source = _metric_source(metric)
    return str(source.get("name") or lookup(source, "metric", "name") or "")


def _metric_source(metric: Object) -> Object:
    kind = str(metric.get("type") or "")
    source = metric.get(kind[:1].lower() + kind[1:])
    return source if isinstance(source, dict) else {}


def _metric_value(metric: Object) -> str:
    source = _metric_source(metric)
    value = source.get("target") or source.get("current") or {}
    if value.get("averageUtilization") is not None:
        return f"{value['averageUtilization']}%"
    return str(value.get("averageValue") or value.get("value") or "<unknown>")


def _disruptions(field: str) -> Make:
    return lambda obj: _or(lookup(obj, "spec", field), "N/A")


def _or(value: Any, empty: str) -> str:
    return empty if value is None else str(value)


def _role_ref(obj: Object) -> Cell:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


_BINDINGS: Final = [NAME, _text("Role", _role_ref), AGE]
_WEBHOOKS: Final = [NAME, _number("Webhooks", _count("webhooks")), AGE]
_CREATED: Final = _text("Created At", _at("metadata", "creationTimestamp"))

_COLUMNS: Final[dict[tuple[str, str], list[Column]]] = {
    ("", "Pod"): _PODS,
    ("", "Namespace"): [NAME, _text("Status", _at("status", "phase")), AGE],
    ("", "Node"): [
        NAME,
        _text("Status", _node_status),
        _text("Roles", _node_roles),
        AGE,
        _text("Version", _at("status", "nodeInfo", "kubeletVersion")),
        _text("Internal-IP", _node_address("InternalIP"), 1),
        _text("External-IP", _node_address("ExternalIP"), 1),
        _text("OS-Image", _at("status", "nodeInfo", "osImage", empty="<unknown>"), 1),
        _text("Kernel-Version", _at("status", "nodeInfo", "kernelVersion", empty="<unknown>"), 1),
        _text(
            "Container-Runtime",
            _at("status", "nodeInfo", "containerRuntimeVersion", empty="<unknown>"),
            1,
        ),
    ],
    ("", "Service"): [
        NAME,
        _text("Type", _at("spec", "type")),
        _text("Cluster-IP", _service_ip),
        _text("External-IP", _external),
        _text("Port(s)", _ports),
        AGE,
        _text("Selector", _labels("spec", "selector"), 1),
    ],
    ("", "Endpoints"): [NAME, _text("Endpoints", _endpoints), AGE],
    ("", "ConfigMap"): [
        NAME,
        _number("Data", lambda o: len(o.get("data") or ()) + len(o.get("binaryData") or ())),
        AGE,
    ],
    ("", "Secret"): [NAME, _text("Type", _at("type")), _number("Data", _count("data")), AGE],
    ("", "ServiceAccount"): [NAME, _number("Secrets", _count("secrets")), AGE],
    ("", "Event"): _EVENTS,
    ("events.k8s.io", "Event"): _EVENTS,
    ("apps", "Deployment"): _workload(
        _text("Ready", _ready_of("readyReplicas", "spec", "replicas")),
        _number("Up-to-date", _at("status", "updatedReplicas", empty=0)),
        _number("Available", _at("status", "availableReplicas", empty=0)),
    ),
    ("apps", "ReplicaSet"): _workload(
        _number("Desired", _at("spec", "replicas", empty=0)),
        _number("Current", _at("status", "replicas", empty=0)),
        _number("Ready", _at("status", "readyReplicas", empty=0)),
    ),
    ("apps", "StatefulSet"): [
        NAME,
        _text("Ready", _ready_of("readyReplicas", "spec", "replicas")),
        AGE,
    ],
    ("discovery.k8s.io", "EndpointSlice"): [
        NAME,
        _text("AddressType", _at("addressType")),
        _text("Ports", _slice_ports),
        _text("Endpoints", _slice_addresses),
        AGE,
    ],
    ("coordination.k8s.io", "Lease"): [
        NAME,
        _text("Holder", _at("spec", "holderIdentity")),
        AGE,
    ],
    ("autoscaling", "HorizontalPodAutoscaler"): [
        NAME,
        _text("Reference", _target),
        _text("Targets", _metrics),
        _text("MinPods", lambda obj: _or(lookup(obj, "spec", "minReplicas"), "<unset>")),
        _number("MaxPods", _at("spec", "maxReplicas", empty=0)),
        _number("Replicas", _at("status", "currentReplicas", empty=0)),
        AGE,
    ],
    ("policy", "PodDisruptionBudget"): [
        NAME,
        _text("Min Available", _disruptions("minAvailable")),
        _text("Max Unavailable", _disruptions("maxUnavailable")),
        _number("Allowed Disruptions", _at("status", "disruptionsAllowed", empty=0)),
        AGE,
    ],
    ("networking.k8s.io", "NetworkPolicy"): [
        NAME,
        _text("Pod-Selector", _selector("spec", "podSelector")),
        AGE,
    ],
    ("rbac.authorization.k8s.io", "ClusterRole"): [NAME, _CREATED],
    ("rbac.authorization.k8s.io", "Role"): [NAME, _CREATED],
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDINGS,
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDINGS,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _WEBHOOKS,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): [NAME, _CREATED],
}
