"""The status of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight_local.kubelet.backoff import Backoff
from pilotlight_local.kubelet.environment import Facts
from pilotlight_local.kubelet.state import (
    ContainerState,
    PodState,
    Running,
    Terminated,
    Waiting,
    phase,
    pod_status,
    qos_class,
)

FACTS = Facts("127.10.0.2", "127.10.0.1", "local", {})
NOW = 1_767_225_600.0
RUNNING = ContainerState("c", "i", Running(1.0), started=True, ready=True)
WAITING = ContainerState("c", "i")
CRASHING = ContainerState("c", "i", Waiting("CrashLoopBackOff"), restarts=1)


def ended(code: int) -> ContainerState:
    return ContainerState("c", "i", Terminated(code, "x", 1.0, 2.0))


@pytest.mark.parametrize(
    ("containers", "inits", "policy", "expected"),
    [
        pytest.param([WAITING], [], "Always", "Pending", id="not begun"),
        pytest.param([RUNNING, WAITING], [], "Always", "Pending", id="not all begun"),
        pytest.param([RUNNING, RUNNING], [], "Always", "Running", id="running"),
        pytest.param([CRASHING], [], "Always", "Running", id="crashing"),
        pytest.param([ended(0)], [], "Always", "Running", id="about to restart"),
        pytest.param([ended(0)], [], "Never", "Succeeded", id="done"),
        pytest.param([ended(0), ended(1)], [], "Never", "Failed", id="failed"),
        pytest.param([ended(1)], [], "OnFailure", "Running", id="restarts on failure"),
        pytest.param([ended(0)], [], "OnFailure", "Succeeded", id="done on success"),
        pytest.param([WAITING], [RUNNING], "Always", "Pending", id="initializing"),
        pytest.param([WAITING], [ended(1)], "Always", "Pending", id="init will restart"),
        pytest.param([WAITING], [ended(1)], "Never", "Failed", id="init failed"),
        pytest.param([RUNNING], [ended(0)], "Always", "Running", id="initialized"),
    ],
)
def test_phase(
    containers: list[ContainerState], inits: list[ContainerState], policy: str, expected: str
) -> None:
    assert phase(PodState(containers, inits), policy) == expected


def test_a_stopped_pod_has_ended() -> None:
    assert phase(PodState([ended(143)], stopping=True), "Always") == "Failed"
    assert phase(PodState([ended(0)], stopping=True), "Always") == "Succeeded"
    assert phase(PodState([RUNNING], stopping=True), "Always") == "Running"


def spec() -> dict[str, Any]:
    return {"containers": [{"name": "c"}]}


def test_conditions_keep_their_times() -> None:
    first = pod_status(spec(), PodState([WAITING], started_at=NOW), FACTS, NOW)
    ready = {c["type"]: c for c in first["conditions"]}["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [c]"
    later = pod_status(spec(), PodState([WAITING], previous=first), FACTS, NOW + 60)
    assert later["conditions"] == first["conditions"]
    up = pod_status(spec(), PodState([RUNNING], previous=later), FACTS, NOW + 61)
    times = {c["type"]: c["lastTransitionTime"] for c in up["conditions"]}
    assert times["Ready"] == "2026-01-01T00:01:01Z"
    assert times["PodScheduled"] == "2026-01-01T00:00:00Z"


def test_a_container_that_comes_back() -> None:
    state = RUNNING.ended(Terminated(9, "Error", 1.0, 2.0, message="why")).restarting()
    state = state.waiting("CrashLoopBackOff", "back-off").running(
        3.0, "process://1", started=True, ready=False
    )
    (found,) = pod_status(spec(), PodState([state]), FACTS, NOW)["containerStatuses"]
    assert found["state"] == {"running": {"startedAt": "1970-01-01T00:00:03Z"}}
    assert found["lastState"]["terminated"]["message"] == "why"
    assert found["restartCount"] == 1
    assert found["ready"] is False


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "0.5"}}, "Burstable"),
    ],
)
def test_qos(resources: dict[str, Any], expected: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == expected


def test_backoff_grows_and_is_forgotten() -> None:
    backoff = Backoff()
    assert [backoff.next(0.1) for _ in range(5)] == [0, 1, 2, 4, 8]
    assert [backoff.next(0.1) for _ in range(9)][-1] == 60
    assert backoff.next(61) == 0
