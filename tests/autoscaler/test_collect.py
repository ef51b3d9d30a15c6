"""Reports over real sockets: from a reporter's records to what the autoscaler wants to write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.keys import revision_key
from pilotlight.load.server import Collector
from pilotlight.load.wire import Greeting, PodState
from pilotlight_autoscaler.collect import Reports
from pilotlight_autoscaler.control import Control
from pilotlight_autoscaler.scale import Done, Writer
from pilotlight_autoscaler.windows import Share

MASTER = os.urandom(32)
KEY = "default/hello-00001"
UID = "revision-uid"
CLOSED = "http://127.0.0.1:9"


def autoscaler_object(**annotations: str) -> dict[str, Any]:
    notes = {"autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"}
    notes |= {f"autoscaling.knative.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": "pa-uid",
            "generation": 1,
            "resourceVersion": "1",
            "annotations": notes,
            "ownerReferences": [{"kind": "Revision", "name": "hello-00001", "uid": UID}],
        },
        "spec": {"scaleTargetRef": {"name": "hello-00001-deployment"}},
    }


@dataclass
class Autoscaler:
    """Everything but the API: what would be written is looked up in the writer's lanes."""

    control: Control
    reports: Reports
    writer: Writer
    collector: Collector
    port: int
    leads: bool = True
    now: float = 1_700_000_000.0
    reporters: list[Reporter] = field(default_factory=list)
    answers: list[wire.Frame] = field(default_factory=list)

    def reporter(self, greeting: Greeting, key: bytes, names: dict[int, str]) -> Reporter:
        async def here(_: str) -> list[str]:
            return ["127.0.0.1"]

        spec = ReporterSpec(
            endpoint=f"autoscaler:{self.port}",
            greeting=greeting,
            key=key,
            snapshot=lambda: b"".join(wire.encode_name(i, n) for i, n in names.items()),
            on_frame=lambda _, frame: self.answers.append(frame),
            resolve=here,
        )
        reporter = Reporter(spec)
        self.reporters.append(reporter)
        reporter.start()
        return reporter

    def queue_proxy(self, pod: str = "pod-1", names: dict[int, str] | None = None) -> Reporter:
        greeting = Greeting("queue-proxy", "default", "hello-00001", UID, pod, "127.0.0.1:8012")
        key = revision_key(MASTER, "default", "hello-00001", UID)
        return self.reporter(greeting, key, names or {1: KEY})

    def activator(self) -> Reporter:
        greeting = Greeting("activator", "", "", "", "activator-1", "127.0.0.1:8012")
        return self.reporter(greeting, MASTER, {7: KEY})

    @property
    def replicas(self) -> int:
        return int(self.control.engine.table.replicas[self.control.engine.row(KEY)])


@pytest.mark.timeout(10)
async def test_one_that_does_not_know_yet_that_it_leads_no_longer(autoscaler: Autoscaler) -> None:
    """Its Lease has run out and its term has not ended: nothing is written, and nothing spins."""
    control, writer = autoscaler.control, autoscaler.writer
    control.see_replicas(KEY, 1, "7")
    autoscaler.leads = False
    control.see_autoscaler(KEY, autoscaler_object(min_scale="3"))
    assert KEY in writer.replicas
    await until(lambda: KEY not in writer.replicas and KEY not in writer.statuses)
    assert (writer.replicas.sent, writer.replicas.failed) == (0, 0)
    assert autoscaler.replicas == 1
    control.scale_refused(KEY)
    assert KEY not in writer.replicas, "the next tick is soon enough"


@pytest.fixture
async def autoscaler() -> AsyncIterator[Autoscaler]:
    holder: list[Autoscaler] = []
    control = Control(lambda: holder[0].now if holder else 1_700_000_000.0)
    reports = Reports(control)
    reports.master = MASTER
    client = KubeClient(KubeConfig(CLOSED))
    writer = Writer(client, control, lambda: 0.0, lambda: not holder or holder[0].leads)
    control.use(writer)
    control.lead()
    collector = Collector(reports)
    port = await collector.start("127.0.0.1", 0)
    holder.append(Autoscaler(control, reports, writer, collector, port))
    yield holder[0]
    for reporter in holder[0].reporters:
        await reporter.close()
    await collector.close()
    await writer.close()
    await client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def connected(reporter: Reporter, autoscaler: Autoscaler) -> None:
    await until(lambda: autoscaler.reports.sessions == len(autoscaler.reporters))


async def test_a_pod_that_announces_itself_is_ready(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 1)
    control.see_autoscaler(KEY, autoscaler_object())
    proxy = autoscaler.queue_proxy()
    await connected(proxy, autoscaler)
    proxy.broadcast(wire.encode_state(wire.State(PodState.READY, 1.0, 2.0)))
    await until(lambda: control.tally(KEY).ready == 1)
    assert bool(control.engine.table.initialized[control.engine.row(KEY)])
    await proxy.close()
    await until(lambda: control.tally(KEY).connected == 0)
    assert control.tally(KEY).ready == 0


async def test_load_is_counted_once_for_each_second(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 1)
    control.see_autoscaler(KEY, autoscaler_object(target="10", target_utilization_percentage="100"))
    proxy, activator = autoscaler.queue_proxy(), autoscaler.activator()
    await connected(activator, autoscaler)
    end = autoscaler.now
    for second in range(4):
        end += 1
        autoscaler.now = end
        activator.broadcast(wire.encode_load(wire.Load(7, 30.0, 1.0, 3, 30)))
        await until(lambda n=2 * second + 1: autoscaler.reports.counters.loads == n)  # type: ignore[misc]
        # Measured to the same moment, and sent later.
        autoscaler.now = end + 0.15
        proxy.broadcast(wire.encode_load(wire.Load(1, 12.0, 1.0, 3, 12, 0.15)))
        await until(lambda n=2 * second + 2: autoscaler.reports.counters.loads == n)  # type: ignore[misc]
    autoscaler.now = end
    control.tick()
    row = control.engine.row(KEY)
    assert control.engine.table.stable[row] == pytest.approx(42.0)
    # 11 a pod while it wakes: 10, and one in a second turn.
    assert control.engine.table.desired[row] == 4


async def test_a_record_that_comes_late_counts_no_moment_twice_and_leaves_none_out(
    autoscaler: Autoscaler,
) -> None:
    control = autoscaler.control
    control.see_autoscaler(KEY, autoscaler_object(window="6s"))
    activator = autoscaler.activator()
    await connected(activator, autoscaler)
    begin = autoscaler.now
    for second, late in enumerate((0.0, 0.4, 0.0, 0.3, 0.0, 0.0), start=1):
        autoscaler.now = begin + second + late
        activator.broadcast(wire.encode_load(wire.Load(7, 100.0, 1.0, 0, 100)))
        await until(lambda n=second: autoscaler.reports.counters.loads == n)  # type: ignore[misc]
        autoscaler.now = begin + second + 0.5
        control.tick()
        # Of one second at most this is known: never more than there were.
        assert control.engine.table.panic[control.engine.row(KEY)] <= 100.0
    assert control.engine.table.stable[control.engine.row(KEY)] >= 99.9


async def test_an_idle_pod_tells_of_the_last_second_only(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_autoscaler(KEY, autoscaler_object())
    proxy = autoscaler.queue_proxy()
    await connected(proxy, autoscaler)
    proxy.broadcast(wire.encode_load(wire.Load(1, 0.02, 100.0, 1, 2)))
    await until(lambda: autoscaler.reports.counters.loads == 1)
    control.tick()
    assert control.engine.table.panic[control.engine.row(KEY)] == pytest.approx(2.0)


async def test_rates_count_each_request_once(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_autoscaler(KEY, autoscaler_object(metric="rps"))
    proxy, activator = autoscaler.queue_proxy(), autoscaler.activator()
    await connected(activator, autoscaler)
    proxy.broadcast(wire.encode_load(wire.Load(1, 0.5, 1.0, 50, 0)))
    activator.broadcast(wire.encode_load(wire.Load(7, 9.0, 1.0, 0, 9)))
    await until(lambda: autoscaler.reports.counters.loads == 2)
    control.tick()
    row = control.engine.row(KEY)
    # The requests in the activator's hands keep one target's worth, no more.
    assert control.engine.table.stable[row] == pytest.approx(140.0)
    autoscaler.now += 4
    control.tick()
    assert control.engine.table.stable[row] < 50.0


async def test_an_activator_tells_the_rate_of_pods_that_do_not(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_autoscaler(KEY, autoscaler_object(metric="rps"))
    proxy, activator = autoscaler.queue_proxy(), autoscaler.activator()
    await connected(activator, autoscaler)
    proxy.broadcast(wire.encode_load(wire.Load(1, 0.5, 1.0, 50, 0)))
    activator.broadcast(wire.encode_load(wire.Load(7, 0.3, 1.0, 30, 0)))
    await until(lambda: autoscaler.reports.counters.loads == 2)
    control.tick()
    assert control.engine.table.stable[control.engine.row(KEY)] == pytest.approx(80.0)


async def test_a_waiting_request_asks_for_a_pod_and_is_answered(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 0)
    control.see_autoscaler(KEY, autoscaler_object())
    activator = autoscaler.activator()
    await connected(activator, autoscaler)
    activator.broadcast(wire.encode_waiting(wire.Waiting(7, 1)))
    await until(lambda: autoscaler.replicas == 1)
    assert autoscaler.answers == []
    control.scaled(Done(KEY, 0, 0.5, 1.0))
    control.scaled(Done(KEY, 1, 1.5, 2.5))
    await until(lambda: autoscaler.answers == [wire.Decided(7, 1.5, 2.5)])


async def test_a_request_waits_for_a_revision_that_is_not_known_yet(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    activator = autoscaler.activator()
    await connected(activator, autoscaler)
    activator.broadcast(wire.encode_waiting(wire.Waiting(7, 1)))
    activator.broadcast(wire.encode_load(wire.Load(7, 1.0, 1.0, 1, 1)))
    await until(lambda: autoscaler.reports.counters.unknown == 1)
    control.see_replicas(KEY, 0)
    control.see_autoscaler(KEY, autoscaler_object(initial_scale="1"))
    assert autoscaler.replicas == 1


async def test_load_wakes_a_revision_without_a_waiting_record(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 0)
    control.see_autoscaler(KEY, autoscaler_object())
    control.tick()
    activator = autoscaler.activator()
    await connected(activator, autoscaler)
    activator.broadcast(wire.encode_load(wire.Load(7, 0.3, 0.5, 1, 1)))
    await until(lambda: autoscaler.replicas == 1)


async def test_requests_that_wait_do_not_wait_for_the_tick(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 1)
    control.see_autoscaler(KEY, autoscaler_object(target="10", window="6s"))
    pod, activator = autoscaler.queue_proxy(), autoscaler.activator()
    await connected(pod, autoscaler)
    pod.broadcast(wire.encode_state(wire.State(PodState.READY, 1.0, 2.0)))
    await until(lambda: control.tally(KEY).ready == 1)
    control.tick()
    await connected(activator, autoscaler)
    pod.broadcast(wire.encode_load(wire.Load(1, 5.0, 1.0, 5, 5)))
    await until(lambda: autoscaler.reports.counters.loads == 1)
    autoscaler.now += 2
    control.tick()
    pod.broadcast(wire.encode_load(wire.Load(1, 40.0, 1.0, 40, 40)))
    await until(lambda: autoscaler.reports.counters.loads == 2)
    autoscaler.now += 1
    control.hasten()
    assert autoscaler.replicas == 1
    activator.broadcast(wire.encode_load(wire.Load(7, 30.0, 1.0, 0, 30)))
    await until(lambda: autoscaler.reports.counters.loads == 3)
    control.hasten()
    assert autoscaler.replicas == 5


async def test_a_pod_cannot_report_for_another_revision(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_autoscaler(KEY, autoscaler_object())
    proxy = autoscaler.queue_proxy(names={1: "default/other-00001"})
    await connected(proxy, autoscaler)
    proxy.broadcast(wire.encode_load(wire.Load(1, 100.0, 1.0, 1, 1)))
    await until(lambda: autoscaler.reports.counters.lies == 1)
    assert autoscaler.reports.counters.loads == 0


@pytest.mark.parametrize(
    ("uid", "key"),
    [
        pytest.param(UID, revision_key(MASTER, "default", "other-00001", UID), id="another's key"),
        pytest.param(
            "old", revision_key(MASTER, "default", "hello-00001", "old"), id="predecessor"
        ),
        pytest.param(UID, MASTER[:-1] + b"x", id="no key at all"),
    ],
)
async def test_a_bad_greeting_is_refused(autoscaler: Autoscaler, uid: str, key: bytes) -> None:
    autoscaler.control.see_autoscaler(KEY, autoscaler_object())
    greeting = Greeting("queue-proxy", "default", "hello-00001", uid, "pod-1", "127.0.0.1:8012")
    autoscaler.reporter(greeting, key, {1: KEY})
    await until(lambda: autoscaler.collector.statistics().refused >= 1)
    assert autoscaler.control.tally(KEY).connected == 0


async def test_reporters_are_refused_without_a_master_key(autoscaler: Autoscaler) -> None:
    autoscaler.reports.master = None
    autoscaler.activator()
    await until(lambda: autoscaler.collector.statistics().refused >= 1)
    assert autoscaler.reports.wants_master
    autoscaler.reports.master = MASTER
    await until(lambda: autoscaler.reports.sessions == 1)


async def test_a_revision_made_anew_does_not_inherit(autoscaler: Autoscaler) -> None:
    control = autoscaler.control
    control.see_replicas(KEY, 5)
    control.see_autoscaler(KEY, autoscaler_object())
    control.engine.record(KEY, Share(int(autoscaler.now), 500.0, 0.0))
    autoscaler.now += 2
    control.tick()
    anew = autoscaler_object()
    anew["metadata"]["ownerReferences"][0]["uid"] = "another"
    control.see_autoscaler(KEY, anew)
    assert control.engine.table.stable[control.engine.row(KEY)] == 0.0
    assert control.owner_uid(KEY) == "another"
