"""Which pods count as ready, which go first, and what the status says."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.load.wire import PodState
from pilotlight_autoscaler.fleet import UNSEEN_S, Fleet, Tally
from pilotlight_autoscaler.status import Facts, Past, next_status, past_of
from pilotlight_autoscaler.zero import Activity

NOW = 1_700_000_000.0
LATER = NOW + UNSEEN_S
EXEC = {"readinessProbe": {"exec": {"command": ["true"]}}}


def pod(name: str = "a", ready: bool = False, **changes: Any) -> dict[str, Any]:
    phase = changes.pop("phase", "Running")
    metadata = {"name": name, **changes}
    condition = {"type": "Ready", "status": str(ready)}
    return {"metadata": metadata, "status": {"phase": phase, "conditions": [condition]}}


@pytest.mark.parametrize(
    ("obj", "state", "expected"),
    [
        pytest.param(pod(), None, Tally(0, 1, 0, 0, 0), id="running"),
        pytest.param(pod(phase="Pending"), None, Tally(0, 0, 1, 0, 0), id="pending"),
        pytest.param(pod(ready=True), None, Tally(1, 0, 0, 0, 0), id="ready in the API"),
        pytest.param(pod(), PodState.READY, Tally(1, 0, 0, 0, 1), id="ready by its own word"),
        pytest.param(
            {**pod(), "spec": {"containers": [{}, {"readinessProbe": {"exec": {}, "x": 1}}]}},
            PodState.READY,
            Tally(1, 0, 0, 0, 1),
            id="an empty handler is none",
        ),
        pytest.param(
            {**pod(), "spec": {"containers": [{}, {"startupProbe": {"httpGet": {}}}]}},
            PodState.READY,
            Tally(0, 1, 0, 0, 1),
            id="only the kubelet can tell",
        ),
        pytest.param(
            {**pod(ready=True), "spec": {"containers": [EXEC]}},
            PodState.READY,
            Tally(1, 0, 0, 0, 1),
            id="the kubelet has told",
        ),
        pytest.param(
            pod(ready=True), PodState.NOT_READY, Tally(0, 1, 0, 0, 1), id="it says not ready"
        ),
        pytest.param(
            pod(ready=True), PodState.DRAINING, Tally(0, 0, 0, 1, 1), id="it says draining"
        ),
        pytest.param(
            pod(ready=True, deletionTimestamp="x"),
            PodState.READY,
            Tally(0, 0, 0, 1, 1),
            id="terminating",
        ),
        pytest.param(pod(phase="Failed"), None, Tally(0, 0, 0, 0, 0), id="over"),
        pytest.param(None, PodState.READY, Tally(1, 0, 0, 0, 1), id="not yet in the API"),
        pytest.param(None, PodState.NOT_READY, Tally(0, 0, 1, 0, 1), id="announced, not ready"),
    ],
)
def test_one_pod(obj: dict[str, Any] | None, state: PodState | None, expected: Tally) -> None:
    fleet, session = Fleet(), object()
    if obj is not None:
        fleet.see(obj)
    if state is not None:
        fleet.greet("a", session, NOW)
        fleet.announce("a", session, state)
    assert fleet.tally(NOW) == expected


def test_a_pod_that_the_api_never_shows_loses_its_credit() -> None:
    fleet, session = Fleet(), object()
    fleet.greet("a", session, NOW)
    fleet.announce("a", session, PodState.READY)
    assert fleet.next_doubt(NOW) == LATER
    assert fleet.tally(LATER).ready == 0
    assert fleet.tally(LATER, api_current=False).ready == 1
    fleet.see(pod())
    assert fleet.tally(LATER).ready == 1
    assert fleet.next_doubt(NOW) is None


def test_a_pod_that_was_deleted_is_not_ready_though_its_connection_stands() -> None:
    fleet, session = Fleet(), object()
    fleet.see(pod(ready=True))
    fleet.greet("a", session, NOW)
    fleet.announce("a", session, PodState.READY)
    fleet.forget("a")
    assert fleet.tally(NOW) == Tally(0, 0, 0, 1, 1)
    fleet.leave("a", session)
    assert len(fleet) == 0


def test_the_latest_connection_speaks_for_a_pod() -> None:
    fleet, old, new = Fleet(), object(), object()
    fleet.greet("a", old, NOW)
    fleet.greet("a", new, NOW)
    fleet.announce("a", new, PodState.READY)
    fleet.announce("a", old, PodState.NOT_READY)
    fleet.leave("a", old)
    assert fleet.tally(NOW) == Tally(1, 0, 0, 0, 1)


def test_a_draining_pod_stays_so_when_its_connection_ends() -> None:
    fleet, session = Fleet(), object()
    fleet.see(pod(ready=True))
    fleet.greet("a", session, NOW)
    fleet.announce("a", session, PodState.DRAINING)
    fleet.leave("a", session)
    assert fleet.tally(NOW) == Tally(0, 0, 0, 1, 0)


def test_when_the_connection_ends_the_api_has_the_word() -> None:
    fleet, session = Fleet(), object()
    fleet.see(pod(ready=True))
    fleet.greet("a", session, NOW)
    fleet.announce("a", session, PodState.NOT_READY)
    fleet.leave("a", session)
    assert fleet.tally(NOW) == Tally(1, 0, 0, 0, 0)


def fleet_with(loads: dict[str, float]) -> Fleet:
    fleet = Fleet()
    for name, load in loads.items():
        fleet.see(pod(name, ready=True))
        fleet.greet(name, fleet, NOW)
        fleet.report(name, fleet, load)
    return fleet


@pytest.mark.parametrize(
    ("loads", "shrink", "expected"),
    [
        pytest.param({"a": 3.0, "b": 0.0, "c": 1.0}, 1, {"b": -1000}, id="the idlest"),
        pytest.param({"a": 3.0, "b": 0.0, "c": 1.0}, 2, {"b": -1000, "c": -1000}, id="two"),
        pytest.param({"a": 0.0, "b": 0.0}, 1, {}, id="all alike"),
        pytest.param({"a": 1.0, "b": 0.0}, 2, {}, id="all go"),
        pytest.param({"a": 1.0, "b": 0.0}, 0, {}, id="none goes"),
    ],
)
def test_victims(loads: dict[str, float], shrink: int, expected: dict[str, int]) -> None:
    assert fleet_with(loads).costs(shrink) == expected


def test_a_former_victim_that_is_busy_now_is_kept() -> None:
    fleet = fleet_with({"a": 3.0, "b": 0.0})
    note = {"controller.kubernetes.io/pod-deletion-cost": "-1000"}
    fleet.see(pod("a", ready=True, annotations=note))
    assert fleet.costs(1) == {"a": 0, "b": -1000}


def test_a_pod_that_is_not_ready_goes_before_an_idle_one() -> None:
    fleet = fleet_with({"a": 3.0, "b": 0.0})
    fleet.see(pod("c"))
    assert fleet.costs(1) == {"c": -1000}


PA: dict[str, Any] = {
    "metadata": {
        "name": "hello-00001",
        "namespace": "default",
        "generation": 2,
        "creationTimestamp": "2023-11-14T22:13:00Z",
    }
}


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in status["conditions"]}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts(Activity.ACTIVATING, False, -1, 0),
            {
                "Active": ("Unknown", "Queued"),
                "Ready": ("Unknown", "Queued"),
                "SKSReady": ("True", ""),
                "ScaleTargetInitialized": ("Unknown", ""),
            },
            id="starting",
        ),
        pytest.param(
            Facts(Activity.ACTIVE, True, 3, 2),
            {
                "Active": ("True", ""),
                "Ready": ("True", ""),
                "SKSReady": ("True", ""),
                "ScaleTargetInitialized": ("True", ""),
            },
            id="active",
        ),
        pytest.param(
            Facts(Activity.INACTIVE, True, 0, 0),
            {
                "Active": ("False", "NoTraffic"),
                "Ready": ("False", "NoTraffic"),
                "SKSReady": ("True", ""),
                "ScaleTargetInitialized": ("True", ""),
            },
            id="asleep",
        ),
        pytest.param(
            Facts(Activity.TIMED_OUT, False, 0, 0),
            {
                "Active": ("False", "TimedOut"),
                "Ready": ("False", "TimedOut"),
                "SKSReady": ("True", ""),
                "ScaleTargetInitialized": ("Unknown", ""),
            },
            id="timed out",
        ),
    ],
)
def test_conditions(facts: Facts, expected: dict[str, tuple[str, str]]) -> None:
    status = next_status(PA, facts, NOW)
    assert conditions(status) == expected
    assert (status["desiredScale"], status["actualScale"]) == (facts.desired, facts.actual)
    assert status["observedGeneration"] == 2
    assert status["serviceName"] == "hello-00001"
    assert status["metricsServiceName"] == "hello-00001-private"


def test_nothing_moves_when_nothing_changed() -> None:
    facts = Facts(Activity.ACTIVE, True, 3, 2)
    status = next_status(PA, facts, NOW)
    assert next_status({**PA, "status": status}, facts, NOW + 500) == status


def test_initialized_stays() -> None:
    status = next_status(PA, Facts(Activity.ACTIVE, True, 1, 1), NOW)
    after = next_status({**PA, "status": status}, Facts(Activity.ACTIVATING, False, 1, 0), NOW + 9)
    assert conditions(after)["ScaleTargetInitialized"] == ("True", "")


def test_undecided_does_not_hide_an_older_decision() -> None:
    status = next_status(PA, Facts(Activity.ACTIVE, True, 3, 2), NOW)
    after = next_status({**PA, "status": status}, Facts(Activity.ACTIVE, True, -1, 2), NOW)
    assert after["desiredScale"] == 3


@pytest.mark.parametrize("activity", list(Activity), ids=lambda a: a.name)
def test_what_was_written_is_read_back(activity: Activity) -> None:
    status = next_status(PA, Facts(activity, True, 3, 2), NOW)
    assert past_of({**PA, "status": status}, NOW + 50) == Past(activity, NOW, True, 3)


def test_a_new_object_is_activating_since_its_creation() -> None:
    assert past_of(PA, NOW) == Past(Activity.ACTIVATING, NOW - 20, False, -1)
