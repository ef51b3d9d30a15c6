"""Processes of local mode end in every way, and what they did goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.conftest import Deploy
from e2e.harness import NETWORK_POLICY, SLOW, SYSTEM, Cluster, Deployed, Gateway, Wish, wait_until
from e2e.local_harness import (
    asking,
    component_pod,
    component_process,
    container_process,
    listening_ports,
    send,
    wait_gone,
)

pytestmark = [pytest.mark.e2e, pytest.mark.local]

COMPONENTS = ["operator", "autoscaler", "activator"]
BACK_S = 5.0 * SLOW


@pytest.fixture(scope="module", name="steady")
def steady_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    cluster.apply(Wish(name="steady", annotations={"min-scale": "1"}).manifest(shared))
    return Deployed(cluster, gateway, shared, "steady").ready()


@pytest.fixture(autouse=True)
def whole(cluster: Cluster, steady: Deployed) -> None:
    """Each test begins with everything at work, which it must be a moment after the one before."""
    wish = Wish(name="steady", annotations={"min-scale": "1"}).manifest(steady.namespace)
    wait_until(lambda: _admitted(lambda: cluster.apply(wish)), BACK_S, "manifests are admitted")
    for component in COMPONENTS:
        component_process(cluster, component)
    assert steady.ask().status == 200


def wait_back(steady: Deployed, killed_at: float) -> None:
    """Wait until a second of good answers lies behind, of which the first came in time."""
    with asking(steady) as timeline:
        wait_until(
            lambda: timeline.good_since(time.monotonic() - 1.0) and len(timeline.answers) > 5,
            BACK_S + 3.0,
            "requests succeed again",
        )
    failures = timeline.bad_after(killed_at)
    assert all(after < BACK_S for after, _ in failures), failures


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_listens_where_its_network_policy_lets_in(
    cluster: Cluster, component: str
) -> None:
    pod = component_pod(cluster, component)
    labels = pod["metadata"]["labels"].items()
    let_in = {
        port["port"]
        for policy in cluster.list(NETWORK_POLICY, SYSTEM)
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }
    process = component_process(cluster, component)
    assert listening_ports(process, pod["status"]["podIP"]) == let_in


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_killed_component_is_back_and_requests_succeed(
    cluster: Cluster,
    steady: Deployed,
    sleepers: Iterator[Deployed],
    deploy: Deploy,
    component: str,
) -> None:
    asleep = next(sleepers)
    pid = component_process(cluster, component)
    killed_at = time.monotonic()
    send(pid, signal.SIGKILL)
    wait_gone(pid)
    if component == "activator":
        wait_back(steady, killed_at)
    else:
        assert steady.ask().status == 200, "the data path does not need it"
    assert asleep.ask().status == 200, "a sleeping Service wakes"
    assert time.monotonic() - killed_at < BACK_S
    wait_until(lambda: component_process(cluster, component) != pid, BACK_S, "it is back")
    wait_until(lambda: _admitted(lambda: deploy(name="late")), BACK_S, "a manifest is admitted")
    assert time.monotonic() - killed_at < BACK_S
    deploy(name="late").ready(BACK_S)


def _admitted(write: Callable[[], object]) -> bool:
    try:
        write()
    except ApiException as error:
        if error.status not in (500, 503):  # the webhook does not answer
            raise
        return False
    return True


@pytest.mark.parametrize("word", ["pilotlight_queue_proxy", "app.py"], ids=["queue-proxy", "app"])
def test_a_killed_container_is_started_again(deploy: Deploy, word: str) -> None:
    service = deploy(annotations={"min-scale": "1"}).ready()
    pid = container_process(service, word)
    killed_at = time.monotonic()
    send(pid, signal.SIGKILL)
    wait_gone(pid)
    wait_back(service, killed_at)


@pytest.mark.parametrize("component", [*COMPONENTS, "queue-proxy"])
def test_requests_in_flight_finish_on_sigterm(
    cluster: Cluster, deploy: Deploy, component: str
) -> None:
    service = deploy(annotations={"min-scale": "1"}).ready()
    if component == "queue-proxy":
        pid = container_process(service, "pilotlight_queue_proxy")
    else:
        pid = component_process(cluster, component)
    statuses: list[str] = []

    def ask() -> None:
        try:
            statuses.append(str(service.ask("/sleep?ms=2000").status))
        except OSError as error:
            statuses.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(
        lambda: int(service.ask().headers["X-Inflight"]) >= 6, 5.0, "five requests are in flight"
    )
    send(pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert statuses == ["200"] * 5
    wait_gone(pid)
    wait_back(service, time.monotonic())
