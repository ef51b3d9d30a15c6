"""What a ReplicaSet does next, and what its status says (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotlight import names
from pilotlight_local.controllers.objects import (
    Object,
    condition,
    format_time,
    is_over,
    is_terminating,
    is_true,
    matches,
    parse_time,
)

_PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """How many pods to create, and which (by name) to delete."""

    create: int
    delete: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Availability:
    """How many pods have been ready long enough, and in how many seconds the next will have."""

    available: int
    next_in_s: float | None


def active(pods: Sequence[Object]) -> list[Object]:
    """The pods that count: neither ended nor on their way out."""
    return [pod for pod in pods if not is_over(pod) and not is_terminating(pod)]


def plan_replicas(desired: int, pods: Sequence[Object]) -> ReplicaPlan:
    """Create what is missing; of what is too much, delete what costs least."""
    counted = active(pods)
    if len(counted) <= desired:
        return ReplicaPlan(desired - len(counted), ())
    victims = sorted(counted, key=victim_rank)[: len(counted) - desired]
    return ReplicaPlan(0, tuple(pod["metadata"]["name"] for pod in victims))


def victim_rank(pod: Object) -> tuple[Any, ...]:
    """The order in which pods are given up: not placed, not running, not ready, of lower deletion
    cost, ready for a shorter time, restarted more often, younger.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    ready = condition(pod, "Ready")
    ready_since = parse_time(ready["lastTransitionTime"]) if ready and is_true(pod, "Ready") else 0
    restarts = max((c["restartCount"] for c in status.get("containerStatuses") or []), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(status.get("phase", "Pending"), 0),
        is_true(pod, "Ready"),
        deletion_cost(pod),
        -ready_since,
        -restarts,
        -parse_time(metadata["creationTimestamp"]),
        metadata["name"],
    )


def deletion_cost(pod: Object) -> int:
    """The pod's deletion cost; what is not a whole number counts as none."""
    text = (pod["metadata"].get("annotations") or {}).get(names.POD_DELETION_COST_ANNOTATION, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def availability(pods: Sequence[Object], min_ready_s: float, now: float) -> Availability:
    """A pod is available when it has been ready for `min_ready_s`."""
    count, next_in = 0, None
    for pod in pods:
        ready = condition(pod, "Ready")
        if ready is None or ready["status"] != "True":
            continue
        left = parse_time(ready["lastTransitionTime"]) + min_ready_s - now if min_ready_s else 0.0
        if left <= 0:
            count += 1
        elif next_in is None or left < next_in:
            next_in = left
    return Availability(count, next_in)


def replica_set_status(
    replica_set: Object, pods: Sequence[Object], failure: str, now: float
) -> tuple[dict[str, Any], float | None]:
    """The status, and in how many seconds it has to be looked at again.

    `failure` tells why a pod could not be created or deleted, empty when nothing failed.
    """
    counted = active(pods)
    labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    reached = availability(counted, replica_set["spec"].get("minReadySeconds") or 0, now)
    status: dict[str, Any] = {
        "replicas": len(counted),
        "fullyLabeledReplicas": sum(matches(labels, p["metadata"].get("labels")) for p in counted),
        "readyReplicas": sum(is_true(pod, "Ready") for pod in counted),
        "availableReplicas": reached.available,
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    status = {
        key: value
        for key, value in status.items()
        if value or key in ("replicas", "observedGeneration")
    }
    if failure:
        known = condition(replica_set, "ReplicaFailure")
        status["conditions"] = [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": failure,
                "lastTransitionTime": known["lastTransitionTime"] if known else format_time(now),
            }
        ]
    return status, reached.next_in_s


def pod_of(replica_set: Object, reference: dict[str, Any]) -> dict[str, Any]:
    """The pod that a ReplicaSet's template makes."""
    template = replica_set["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": replica_set["metadata"]["name"] + "-",
            "namespace": replica_set["metadata"]["namespace"],
            **{key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)},
            "ownerReferences": [reference],
        },
        "spec": template["spec"],
    }
