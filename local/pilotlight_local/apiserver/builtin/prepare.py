"""What only the server sets on built-in objects when they are made or changed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from pilotlight_local.apiserver.values import Object

NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"


def prepare_object(kind: str, obj: Object, old: Object | None) -> None:
    """Sets the server's own fields, in place; `old` is None at creation."""
    if old is None and kind in _FIRST_STATUS:
        obj["status"] = _FIRST_STATUS[kind]()
    prepare = _PREPARE.get(kind)
    if prepare is not None:
        prepare(obj, old)


_FIRST_STATUS: Final[dict[str, Callable[[], Object]]] = {
    "Pod": lambda: {"phase": "Pending", "qosClass": "BestEffort"},
    "Namespace": lambda: {"phase": "Active"},
    "Service": lambda: {"loadBalancer": {}},
    "Deployment": dict,
    "ReplicaSet": lambda: {"replicas": 0},
    "StatefulSet": lambda: {"replicas": 0, "availableReplicas": 0},
    "DaemonSet": lambda: {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "Job": dict,
    "CronJob": dict,
    "Ingress": lambda: {"loadBalancer": {}},
    "PersistentVolumeClaim": lambda: {"phase": "Pending"},
    "PersistentVolume": lambda: {"phase": "Available"},
    "PodDisruptionBudget": dict,
    "HorizontalPodAutoscaler": dict,
    "ResourceQuota": dict,
}


def _namespace(obj: Object, old: Object | None) -> None:
    metadata = obj["metadata"]
    labels = metadata.get("labels")
    name = metadata.get("name")
    if name and (not isinstance(labels, dict) or labels.get(NAMESPACE_LABEL) != name):
        metadata["labels"] = {**(labels or {}), NAMESPACE_LABEL: name}
    spec = obj.setdefault("spec", {})
    if old is None and not spec.get("finalizers"):
        spec["finalizers"] = ["kubernetes"]


def _pod(obj: Object, old: Object | None) -> None:
    if old is None:
        obj["status"]["qosClass"] = qos_class(obj.get("spec") or {})


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by the containers' resources."""
    classes = {_container_class(c.get("resources") or {}) for c in spec.get("containers") or ()}
    return classes.pop() if len(classes) == 1 else "Burstable" if classes else "BestEffort"


def _container_class(resources: Object) -> str:
    limits: Any = resources.get("limits") or {}
    requests: Any = resources.get("requests") or {}
    if not limits and not requests:
        return "BestEffort"
    needed = ("cpu", "memory")
    if all(name in limits and requests.get(name, limits[name]) == limits[name] for name in needed):
        return "Guaranteed"
    return "Burstable"


def _secret(obj: Object, old: Object | None) -> None:
    """`stringData` is a way to write `data`."""
    plain = obj.pop("stringData", None)
    if isinstance(plain, dict):
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


_PREPARE: Final[dict[str, Callable[[Object, Object | None], None]]] = {
    "Namespace": _namespace,
    "Pod": _pod,
    "Secret": _secret,
}
