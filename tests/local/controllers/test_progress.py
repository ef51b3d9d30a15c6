"""The conditions of a Deployment."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight_local.controllers.objects import format_time
from pilotlight_local.controllers.progress import Observed, deployment_status

NOW = 1_767_225_600.0


def replica_set(replicas: int, pods: int, available: int) -> dict[str, Any]:
    status = {"replicas": pods, "readyReplicas": available, "availableReplicas": available}
    return {"metadata": {"name": "d-1"}, "spec": {"replicas": replicas}, "status": status}


def deployment(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "d", "generation": 2},
        "spec": {"replicas": 1, "progressDeadlineSeconds": 10, **spec},
        "status": status or {},
    }


def progressing(status: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in status["conditions"] if c["type"] == "Progressing")


def condition(reason: str, status: str = "True", at: float = NOW) -> dict[str, Any]:
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "message": "",
        "lastUpdateTime": format_time(at),
        "lastTransitionTime": format_time(at),
    }


def test_course_of_a_first_rollout() -> None:
    created, again = deployment_status(
        Observed(deployment(), replica_set(1, 0, 0), [], created=True), NOW
    )
    assert progressing(created)["reason"] == "NewReplicaSetCreated"
    assert again == 10
    started, again = deployment_status(
        Observed(deployment(created), replica_set(1, 1, 0), []), NOW + 1
    )
    assert progressing(started)["reason"] == "ReplicaSetUpdated"
    assert again == 10
    waiting, again = deployment_status(
        Observed(deployment(started), replica_set(1, 1, 0), []), NOW + 5
    )
    assert progressing(waiting) == progressing(started)
    assert again == pytest.approx(6)
    complete, again = deployment_status(
        Observed(deployment(waiting), replica_set(1, 1, 1), []), NOW + 6
    )
    assert progressing(complete)["reason"] == "NewReplicaSetAvailable"
    assert again is None
    assert complete["observedGeneration"] == 2
    assert complete["updatedReplicas"] == complete["availableReplicas"] == 1


def test_no_progress_within_the_deadline() -> None:
    before = {"updatedReplicas": 1, "replicas": 1, "conditions": [condition("ReplicaSetUpdated")]}
    status, _ = deployment_status(Observed(deployment(before), replica_set(1, 1, 0), []), NOW + 10)
    late = progressing(status)
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert late["message"] == 'ReplicaSet "d-1" has timed out progressing.'
    again, _ = deployment_status(Observed(deployment(status), replica_set(1, 1, 0), []), NOW + 20)
    assert progressing(again) == late, "it stays as it is"
    recovered, _ = deployment_status(
        Observed(deployment(again), replica_set(1, 1, 1), []), NOW + 30
    )
    assert progressing(recovered)["reason"] == "NewReplicaSetAvailable"


def test_scaling_what_was_complete_has_no_deadline() -> None:
    before = {"conditions": [condition("NewReplicaSetAvailable")]}
    status, again = deployment_status(
        Observed(deployment(before), replica_set(1, 1, 0), []), NOW + 1000
    )
    assert progressing(status)["reason"] == "NewReplicaSetAvailable"
    assert again is None


@pytest.mark.parametrize(
    ("available", "holds"), [pytest.param(2, "True", id="enough"), pytest.param(1, "False")]
)
def test_available(available: int, holds: str) -> None:
    spec = {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 1}}}
    status, _ = deployment_status(
        Observed(deployment(None, **spec), replica_set(3, 3, available), []), NOW
    )
    assert status["conditions"][0]["status"] == holds
    assert status["unavailableReplicas"] == 3 - available


def test_failure_is_passed_on() -> None:
    failing = replica_set(1, 0, 0)
    failing["status"]["conditions"] = [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no"}
    ]
    status, _ = deployment_status(Observed(deployment(), failing, []), NOW)
    found = next(c for c in status["conditions"] if c["type"] == "ReplicaFailure")
    assert found["message"] == "no"


def test_paused() -> None:
    status, _ = deployment_status(
        Observed(deployment(None, paused=True), replica_set(1, 1, 1), []), NOW
    )
    assert progressing(status)["reason"] == "DeploymentPaused"
