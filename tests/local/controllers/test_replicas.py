"""What a ReplicaSet does with its pods."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight_local.controllers.replicas import (
    ReplicaPlan,
    availability,
    plan_replicas,
    replica_set_status,
)

READY_AT = "2026-01-01T00:00:00Z"
NOW = 1767225610.0  # ten seconds later


def pod(name: str, *, ready: bool = True, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": READY_AT, "labels": {"app": "x"}}
    if "cost" in more:
        cost = str(more["cost"])
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    if more.get("terminating"):
        metadata["deletionTimestamp"] = READY_AT
    status = "True" if ready else "False"
    return {
        "metadata": metadata,
        "spec": {"nodeName": "local"} if more.get("placed", True) else {},
        "status": {
            "phase": more.get("phase", "Running"),
            "conditions": [
                {
                    "type": "Ready",
                    "status": status,
                    "lastTransitionTime": more.get("since", READY_AT),
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("desired", "pods", "expected"),
    [
        pytest.param(2, [], ReplicaPlan(2, ()), id="all missing"),
        pytest.param(1, [pod("a")], ReplicaPlan(0, ()), id="enough"),
        pytest.param(0, [pod("a"), pod("b")], ReplicaPlan(0, ("a", "b")), id="to zero"),
        pytest.param(1, [pod("a", terminating=True)], ReplicaPlan(1, ()), id="one is leaving"),
        pytest.param(1, [pod("a", phase="Failed")], ReplicaPlan(1, ()), id="one has failed"),
        pytest.param(
            1, [pod("a"), pod("b", ready=False)], ReplicaPlan(0, ("b",)), id="not ready first"
        ),
        pytest.param(
            1,
            [pod("a", ready=False), pod("b", ready=False, phase="Pending")],
            ReplicaPlan(0, ("b",)),
            id="pending first",
        ),
        pytest.param(
            2,
            [pod("a", cost=5), pod("b", cost=-1), pod("c", cost=2)],
            ReplicaPlan(0, ("b",)),
            id="the cheapest first",
        ),
        pytest.param(
            1,
            [pod("a", cost=-9), pod("b", ready=False, cost=9)],
            ReplicaPlan(0, ("b",)),
            id="readiness before cost",
        ),
        pytest.param(
            1,
            [pod("a"), pod("b", since="2026-01-01T00:00:05Z")],
            ReplicaPlan(0, ("b",)),
            id="ready for a shorter time first",
        ),
        pytest.param(
            1, [pod("a", cost="x"), pod("b", cost=1)], ReplicaPlan(0, ("a",)), id="a bad cost is 0"
        ),
    ],
)
def test_plan(desired: int, pods: list[dict[str, Any]], expected: ReplicaPlan) -> None:
    assert plan_replicas(desired, pods) == expected


def test_availability_takes_time() -> None:
    pods = [pod("a"), pod("b", ready=False)]
    assert availability(pods, 0, NOW).available == 1
    late = availability(pods, 15, NOW)
    assert (late.available, late.next_in_s) == (0, 5.0)
    assert availability(pods, 10, NOW).available == 1


def test_status_counts_what_is_there() -> None:
    replica_set = {
        "metadata": {"generation": 3},
        "spec": {"template": {"metadata": {"labels": {"app": "x"}}}},
    }
    pods = [pod("a"), pod("b", ready=False), pod("c", terminating=True)]
    status, again = replica_set_status(replica_set, pods, "", NOW)
    assert again is None
    assert status == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "observedGeneration": 3,
    }
    failed, _ = replica_set_status(replica_set, [], "no room", NOW)
    assert failed["conditions"][0]["message"] == "no room"
