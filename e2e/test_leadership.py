"""Two operators and two autoscalers: whoever leads may go at any time."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.harness import (
    DEPLOYMENT,
    LEASE,
    POD,
    READY_S,
    SLOW,
    SYSTEM,
    Cluster,
    Deployed,
    Gateway,
    Object,
    Wish,
    wait_until,
)
from e2e.local_harness import asking, module_processes, send
from pilotlight.cli.load import Tally, Target, sustain

pytestmark = [pytest.mark.e2e, pytest.mark.disruptive]

PAIRS = ["operator", "autoscaler"]
# As manifests/base has them: how long a silent leader keeps its place, and how often others look.
LEASE_S = 15.0
RETRY_S = 2.0
WOKEN_S = 3.0 * SLOW
# Far from where one pod more or less would do.
CONCURRENCY = 13
POD_TAKES = 5
PODS = 3
WINDOW_S = 10.0


def pods_of(cluster: Cluster, component: str) -> list[Object]:
    listed = cluster.list(POD, SYSTEM, f"app={component}")
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def leader(cluster: Cluster, component: str) -> str:
    """The name of the pod that leads; empty while none does."""
    lease = cluster.get(LEASE, SYSTEM, component) or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def scale(cluster: Cluster, component: str, replicas: int) -> None:
    cluster.patch(DEPLOYMENT, SYSTEM, component, {"spec": {"replicas": replicas}})

    def are_there() -> bool:
        found = cluster.get(DEPLOYMENT, SYSTEM, component) or {}
        ready = (found.get("status") or {}).get("readyReplicas")
        names = [pod["metadata"]["name"] for pod in pods_of(cluster, component)]
        whole = len(cluster.list(POD, SYSTEM, f"app={component}")) == replicas
        return whole and ready == replicas and leader(cluster, component) in names

    wait_until(are_there, 2 * READY_S, f"{replicas} of the {component}, one of which leads")


@pytest.fixture(scope="module", name="pairs", autouse=True)
def pairs_fixture(cluster: Cluster) -> Iterator[None]:
    for component in PAIRS:
        scale(cluster, component, 2)
    yield
    for component in PAIRS:
        scale(cluster, component, 1)


@dataclass
class Watched:
    """A Service under a load that needs three pods, all the time, and what became of it."""

    service: Deployed
    tally: Tally = field(default_factory=Tally)
    replicas: set[int] = field(default_factory=set)

    def look(self) -> int:
        name = f"{self.service.name}-00001-deployment"
        found = self.service.cluster.get(DEPLOYMENT, self.service.namespace, name) or {}
        return int(found["spec"].get("replicas", 1))


@pytest.fixture(scope="module", name="busy")
def busy_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    notes = {"target-utilization-percentage": "100", "min-scale": "1", "window": f"{WINDOW_S:g}s"}
    cluster.apply(Wish(name="busy", concurrency=POD_TAKES, annotations=notes).manifest(shared))
    return Deployed(cluster, gateway, shared, "busy").ready()


@pytest.fixture(name="asleep")
def asleep_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    cluster.apply(Wish(name="asleep").manifest(shared))
    return Deployed(cluster, gateway, shared, "asleep").ready().asleep()


@contextmanager
def under_load(busy: Deployed) -> Iterator[Watched]:
    """Requests while the block runs; the number of pods is watched from when it is steady."""
    watched, end = Watched(busy), threading.Event()
    target = Target(busy.gateway.url, busy.host, "/sleep?ms=1000")

    async def load() -> None:
        task = asyncio.create_task(sustain(target, 600.0, CONCURRENCY, watched.tally))
        await asyncio.to_thread(end.wait)
        task.cancel()
        await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(load()), name="load")
    thread.start()
    try:
        wait_until(lambda: len(busy.ready_pods()) == PODS == watched.look(), READY_S, "three pods")
        # Panic has its own number; it ends a stable window after it began.
        time.sleep(1.5 * WINDOW_S)
        with watching(watched):
            yield watched
    finally:
        end.set()
        thread.join()


@contextmanager
def watching(watched: Watched) -> Iterator[None]:
    end = threading.Event()

    def watch() -> None:
        while not end.wait(0.25):
            watched.replicas.add(watched.look())

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def admitted(write: Callable[[], object]) -> Callable[[], bool]:
    """Try until it is: a webhook may be asked of a pod that is just going."""

    def attempt() -> bool:
        try:
            write()
        except ApiException as error:
            if error.status not in (500, 503, 504):
                raise
            return False
        return True

    return attempt


def wait_led_by_another(cluster: Cluster, component: str, before: str, within_s: float) -> None:
    wait_until(
        lambda: leader(cluster, component) not in ("", before),
        within_s,
        f"another {component} leads",
    )


@pytest.mark.parametrize("component", PAIRS)
def test_a_leader_whose_pod_is_deleted_is_replaced(
    cluster: Cluster, busy: Deployed, asleep: Deployed, component: str
) -> None:
    late = Wish(name=f"after-{component}", annotations={"min-scale": "1"})
    with under_load(busy) as watched, asking(busy) as timeline:
        before = leader(cluster, component)
        began = time.monotonic()
        cluster.delete(POD, SYSTEM, before, grace_s=0)
        assert asleep.ask().status == 200
        assert time.monotonic() - began < WOKEN_S, "it is woken"
        wait_led_by_another(cluster, component, before, LEASE_S + 2 * RETRY_S)
        apply = admitted(lambda: cluster.apply(late.manifest(busy.namespace)))
        wait_until(apply, LEASE_S, "a manifest is admitted")
        Deployed(cluster, busy.gateway, busy.namespace, late.name).ready()
        assert time.monotonic() - began < LEASE_S + READY_S
    assert watched.replicas == {PODS}
    assert watched.tally.lost == 0, watched.tally.explain()
    assert timeline.good_since(began - 1.0)
    scale(cluster, component, 2)


@pytest.mark.local
@pytest.mark.parametrize("component", PAIRS)
def test_a_leader_that_stands_still_is_replaced_and_does_not_come_back_as_one(
    cluster: Cluster, busy: Deployed, asleep: Deployed, component: str
) -> None:
    late = Wish(name=f"without-{component}", annotations={"min-scale": "1"})
    before = leader(cluster, component)
    (pod,) = (p for p in pods_of(cluster, component) if p["metadata"]["name"] == before)
    (pid,) = module_processes(pod, component)
    with under_load(busy) as watched, asking(busy) as timeline:
        began = time.monotonic()
        send(pid, signal.SIGSTOP)
        try:
            assert asleep.ask().status == 200
            assert time.monotonic() - began < WOKEN_S, "nobody has to lead for that"
            apply = admitted(lambda: cluster.apply(late.manifest(busy.namespace)))
            wait_until(apply, LEASE_S + READY_S, "a manifest is admitted")
            wait_led_by_another(cluster, component, before, LEASE_S + 2 * RETRY_S)
            Deployed(cluster, busy.gateway, busy.namespace, late.name).ready()
        finally:
            send(pid, signal.SIGCONT)
        after = leader(cluster, component)
        assert after != before
        time.sleep(2 * RETRY_S)
        assert leader(cluster, component) == after
    assert watched.replicas == {PODS}
    assert watched.tally.lost == 0, watched.tally.explain()
    assert timeline.good_since(began - 1.0)
    scale(cluster, component, 2)


def test_a_rollout_hands_over_at_once(cluster: Cluster, busy: Deployed) -> None:
    """Each new pod stands by first; nobody waits for a Lease to run out."""
    with under_load(busy) as watched:
        for component in PAIRS:
            before = {pod["metadata"]["name"] for pod in pods_of(cluster, component)}
            stamp = {"e2e/restarted-at": f"{time.time()}"}
            template = {"template": {"metadata": {"annotations": stamp}}}
            cluster.patch(DEPLOYMENT, SYSTEM, component, {"spec": template})

            def is_new(component: str = component, before: set[str] = before) -> bool:
                names = {pod["metadata"]["name"] for pod in pods_of(cluster, component)}
                return not names & before and leader(cluster, component) in names

            began, led = time.monotonic(), time.monotonic()
            longest = 0.0
            while not is_new():
                assert time.monotonic() - began < 3 * READY_S, f"the {component} is rolled out"
                names = {pod["metadata"]["name"] for pod in cluster.list(POD, SYSTEM)}
                if leader(cluster, component) in names:
                    led = time.monotonic()
                longest = max(longest, time.monotonic() - led)
                time.sleep(0.05)
            assert longest < 2 * RETRY_S * SLOW
            scale(cluster, component, 2)
    assert watched.replicas == {PODS}
    assert watched.tally.lost == 0, watched.tally.explain()
