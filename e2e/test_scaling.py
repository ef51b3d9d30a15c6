"""Pods come with requests and go without them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from e2e.conftest import Deploy
from e2e.harness import (
    AUTOSCALER,
    LOOK_EVERY_S,
    READY_S,
    REVISION,
    Deployed,
    condition_of,
    is_ready,
    wait_for_condition,
    wait_until,
)
from pilotlight.cli.timing import TOTAL, parse_server_timing

pytestmark = pytest.mark.e2e


def test_the_first_request_is_answered_by_a_pod_that_did_not_exist(
    sleepers: Iterator[Deployed],
) -> None:
    service = next(sleepers)
    assert service.all_pods() == []
    answer = service.ask()
    assert answer.status == 200, answer.text
    phases = parse_server_timing(answer.headers["Server-Timing"])
    assert list(phases) == [
        "decide",
        "patch",
        "schedule",
        "start",
        "announce",
        "first-byte",
        TOTAL,
    ]
    assert all(phase >= 0 for phase in phases.values())
    assert phases[TOTAL] <= answer.seconds * 1000 + 5
    parts = sum(phases.values()) - phases[TOTAL]
    assert parts == pytest.approx(phases[TOTAL], abs=max(5.0, phases[TOTAL] * 0.05))
    assert len(service.pods()) == 1
    assert "Server-Timing" not in service.ask().headers, "a warm request waited for nothing"


def test_a_hundred_at_once_to_zero_pods_of_ten(sleepers: Iterator[Deployed]) -> None:
    service = next(sleepers)
    most = 0
    done = threading.Event()

    def count() -> None:
        nonlocal most
        while not done.wait(LOOK_EVERY_S):
            most = max(most, len(service.all_pods()))

    counting = threading.Thread(target=count, name="count-pods")
    counting.start()
    try:
        peaks = _peaks_of(service, "/sleep?ms=300", 100)
    finally:
        done.set()
        counting.join()
    assert len(peaks) == 100
    assert max(peaks) <= 10, "a container had more than its concurrency"
    assert 1 <= most <= 10


def _peaks_of(service: Deployed, path: str, total: int) -> list[int]:
    """Send all at once; how many each answering program has had at once, at most."""
    host, peaks, faults = service.host, list[int](), list[str]()

    def ask() -> None:
        answer = service.gateway.ask(host, path)
        if answer.status == 200:
            peaks.append(int(answer.headers["X-Peak"]))
        else:
            faults.append(f"{answer.status} {answer.text}")

    threads = [threading.Thread(target=ask) for _ in range(total)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    return peaks


def test_an_idle_service_goes_to_zero_and_stays_ready(sleepers: Iterator[Deployed]) -> None:
    service = next(sleepers)
    assert condition_of(service.object(), "Ready")["status"] == "True"
    revision = service.object()["status"]["latestReadyRevisionName"]
    found = service.cluster.get(REVISION, service.namespace, revision)
    assert found is not None
    assert condition_of(found, "Ready")["status"] == "True"
    active = wait_for_condition(
        lambda: service.cluster.get(REVISION, service.namespace, revision), "Active", "False"
    )
    assert active["reason"] == "NoTraffic"
    assert active["message"] == "The target is not receiving traffic."
    assert service.ask().status == 200
    wait_for_condition(
        lambda: service.cluster.get(REVISION, service.namespace, revision), "Active", "True"
    )


def test_min_scale_keeps_pods_and_max_scale_limits_them(deploy: Deploy) -> None:
    kept = deploy(name="kept", annotations={"min-scale": "2", "max-scale": "3", "target": "1"})
    kept.ready()
    # Pods announce themselves: a Service is ready a moment before the API calls its pods so.
    wait_until(lambda: len(kept.ready_pods()) == 2, 10.0, "two pods are ready")
    tally = kept.many("/sleep?ms=200", total=400, concurrency=12)
    assert tally.lost == 0, tally.explain()
    assert len(kept.pods()) == 3
    wait_until(lambda: len(kept.all_pods()) == 2, 30.0, "two pods are left")

    def desired() -> int:
        found = kept.cluster.get(AUTOSCALER, kept.namespace, "kept-00001")
        assert found is not None
        return int(found["status"]["desiredScale"])

    # A status is written when it has settled.
    wait_until(lambda: desired() == 2, 5.0, "the status says so")


def test_initial_scale_is_reached_before_ready(deploy: Deploy) -> None:
    service = deploy(annotations={"initial-scale": "3"})
    reached = 0

    def look() -> bool:
        nonlocal reached
        ready = is_ready(service.object())
        # Looked at after it: both may change between two looks.
        found = service.cluster.get(AUTOSCALER, service.namespace, "app-00001") or {}
        reached = max(reached, (found.get("status") or {}).get("actualScale") or 0)
        return ready

    wait_until(look, READY_S, "it is Ready")
    assert reached == 3  # a moment later there may be fewer, as nobody asks


def test_load_makes_pods_and_its_end_unmakes_them(sleepers: Iterator[Deployed]) -> None:
    service = next(sleepers)
    tally = service.many("/sleep?ms=250", total=400, concurrency=40)
    assert tally.lost == 0, tally.explain()
    assert 3 <= len(service.pods()) <= 10
    service.asleep()


def test_an_open_stream_keeps_its_pod(sleepers: Iterator[Deployed]) -> None:
    service = next(sleepers)
    events = 0
    with service.gateway.open(service.host, "/stream?n=50&ms=200") as response:
        while line := response.readline():
            events += line.startswith(b"data:")
            if events == 45:  # nine seconds, which is more than the window
                assert len(service.pods()) == 1
    assert events == 50


def test_a_deleted_pod_finishes_its_requests(deploy: Deploy) -> None:
    service = deploy(annotations={"min-scale": "1"}).ready()
    outcome: list[tuple[int, str]] = []

    def ask() -> None:
        answer = service.ask("/sleep?ms=1500")
        outcome.append((answer.status, answer.headers["X-Instance"]))

    first = service.ask()
    asking = threading.Thread(target=ask)
    asking.start()
    (pod,) = (found["metadata"]["name"] for found in service.pods())
    wait_until(lambda: _inflight(service) >= 2, 5.0, "the long request is in the program")
    service.cluster.delete(("v1", "Pod"), service.namespace, pod)
    tally = service.many("/", total=50, concurrency=2)
    asking.join()
    assert outcome == [(200, first.headers["X-Instance"])]
    assert tally.lost == 0, tally.explain()
    wait_until(
        lambda: service.ask().headers["X-Instance"] != first.headers["X-Instance"],
        10.0,
        "another pod answers",
    )


def _inflight(service: Deployed) -> int:
    return int(service.ask().headers["X-Inflight"])
