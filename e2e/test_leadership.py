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

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

PAIRS = ["operator", "autoscaler"]
# As manifests/base has them: how long a silent leader keeps its place, and how often others look.
LEASE_S = 15.0
RETRY_S = 2.0
# What takes longer may have waited for the next leader.
WOKEN_S = 10.0
# Far from where one pod more or less would do.
CONCURRENCY = 13
POD_TAKES = 5
PODS = 3


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


@pytest.fixture(scope="module", name="pairs")
def pairs_fixture(cluster: Cluster) -> Iterator[None]:
    for component in PAIRS:
        scale(cluster, component, 2)
    yield
    for component in PAIRS:
        scale(cluster, component, 1)


@dataclass
class Busy:
    """A Service under a load that needs three pods, all the time."""

    service: Deployed
    tally: Tally = field(default_factory=Tally)

    def replicas(self) -> int:
        service = self.service
        name = f"{service.name}-00001-deployment"
        found = service.cluster.get(DEPLOYMENT, service.namespace, name) or {}
        return int(found["spec"].get("replicas", 1))

    def load(self, end: threading.Event) -> None:
        target = Target(self.service.gateway.url, self.service.host, "/sleep?ms=1000")

        async def run() -> None:
            task = asyncio.create_task(sustain(target, 3600.0, CONCURRENCY, self.tally))
            await asyncio.to_thread(end.wait)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(run())

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Meanwhile the number of pods stays, and every request is answered."""
        seen, end = {self.replicas()}, threading.Event()

        def watch() -> None:
            while not end.wait(0.25):
                seen.add(self.replicas())

        with asking(self.service) as timeline, in_thread(watch, end):
            yield
        assert seen == {PODS}
        assert self.tally.lost == 0, self.tally.explain()
        assert all(good for _, good, _ in timeline.answers), timeline.answers


@contextmanager
def in_thread(work: Callable[[], None], end: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.fixture(scope="module", name="busy")
def busy_fixture(cluster: Cluster, gateway: Gateway, shared: str, pairs: None) -> Iterator[Busy]:
    notes = {"target-utilization-percentage": "100", "min-scale": "1"}
    cluster.apply(Wish(name="busy", concurrency=POD_TAKES, annotations=notes).manifest(shared))
    busy, end = Busy(Deployed(cluster, gateway, shared, "busy").ready()), threading.Event()
    with in_thread(lambda: busy.load(end), end):
        wait_until(lambda: len(busy.service.ready_pods()) == PODS, READY_S, "three pods")
        # Panic has its own number of pods; it ends a stable window of 6 s after it began.
        time.sleep(9.0)
        yield busy


@pytest.fixture(name="asleep")
def asleep_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    cluster.apply(Wish(name="asleep").manifest(shared))
    return Deployed(cluster, gateway, shared, "asleep").ready().asleep()


def make(cluster: Cluster, busy: Busy, wish: Wish) -> Deployed:
    """Apply a Service, again and again: a webhook may be asked of a pod that is just going."""
    service = busy.service

    def admitted() -> bool:
        try:
            cluster.apply(wish.manifest(service.namespace))
        except ApiException as error:
            if error.status not in (500, 503, 504):
                raise
            return False
        return True

    wait_until(admitted, LEASE_S + READY_S, "a manifest is admitted")
    return Deployed(cluster, service.gateway, service.namespace, wish.name)


def wait_led_by_another(cluster: Cluster, component: str, before: str) -> None:
    within_s = LEASE_S + 2 * RETRY_S
    wait_until(
        lambda: leader(cluster, component) not in ("", before), within_s, f"another {component}"
    )


@pytest.mark.parametrize("component", PAIRS)
def test_a_leader_whose_pod_is_deleted_is_replaced(
    cluster: Cluster, busy: Busy, asleep: Deployed, component: str
) -> None:
    late = Wish(name=f"after-{component}", annotations={"min-scale": "1"})
    before = leader(cluster, component)
    with busy.undisturbed():
        began = time.monotonic()
        cluster.delete(POD, SYSTEM, before, grace_s=0)
        assert asleep.ask().status == 200
        assert time.monotonic() - began < WOKEN_S, "nobody has to lead for that"
        wait_led_by_another(cluster, component, before)
        make(cluster, busy, late).ready()
        assert time.monotonic() - began < LEASE_S + READY_S
    scale(cluster, component, 2)


@pytest.mark.local
@pytest.mark.parametrize("component", PAIRS)
def test_a_leader_that_stands_still_is_replaced_and_does_not_come_back_as_one(
    cluster: Cluster, busy: Busy, asleep: Deployed, component: str
) -> None:
    late = Wish(name=f"without-{component}", annotations={"min-scale": "1"})
    before = leader(cluster, component)
    (pod,) = (pod for pod in pods_of(cluster, component) if pod["metadata"]["name"] == before)
    (pid,) = module_processes(pod, component)
    with busy.undisturbed():
        began = time.monotonic()
        send(pid, signal.SIGSTOP)
        try:
            assert asleep.ask().status == 200
            assert time.monotonic() - began < WOKEN_S, "nobody has to lead for that"
            service = make(cluster, busy, late)
            wait_led_by_another(cluster, component, before)
            service.ready()
        finally:
            send(pid, signal.SIGCONT)
        after = leader(cluster, component)
        time.sleep(2 * RETRY_S)
        assert leader(cluster, component) == after != before
    scale(cluster, component, 2)


@pytest.mark.parametrize("component", PAIRS)
def test_a_rollout_hands_over_at_once(cluster: Cluster, busy: Busy, component: str) -> None:
    """Each new pod stands by first; nobody waits for a Lease to run out."""
    before = {pod["metadata"]["name"] for pod in pods_of(cluster, component)}
    with busy.undisturbed():
        stamp = {"e2e/restarted-at": f"{time.time()}"}
        template = {"template": {"metadata": {"annotations": stamp}}}
        cluster.patch(DEPLOYMENT, SYSTEM, component, {"spec": template})
        led, longest, end = time.monotonic(), 0.0, time.monotonic() + 3 * READY_S
        names: set[str] = set()
        while before & names or leader(cluster, component) not in names:
            assert time.monotonic() < end, f"the {component} is rolled out"
            names = {pod["metadata"]["name"] for pod in cluster.list(POD, SYSTEM)}
            if leader(cluster, component) in names:
                led = time.monotonic()
            longest = max(longest, time.monotonic() - led)
            time.sleep(0.05)
        assert longest < 2 * RETRY_S * SLOW
    scale(cluster, component, 2)
