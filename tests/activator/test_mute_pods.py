"""Pods whose queue-proxy does not report its load, such as Knative's: the activator does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pilotlight import names
from pilotlight.http import Exchange
from pilotlight.load import wire
from pilotlight_activator.pods import Endpoint, Probe, RevisionPods, Voice

from .conftest import App, FakePod, Held, Rig, until


def probed(app: App, *headers: tuple[bytes, bytes]) -> App:
    """A program behind a queue-proxy that answers probes with these headers."""

    def serve(exchange: Exchange) -> None:
        if names.PROBE_HEADER.lower().encode() in exchange.request.index:
            exchange.respond(200, b"queue", list(headers))
        else:
            app(exchange)

    return serve


async def listed(rig: Rig, app: App) -> FakePod:
    """A pod that the API shows, and that has not greeted."""
    pod = await rig.pod(app, greet=False)
    rig.listed(Endpoint(pod.name, pod.address, ready=True, terminating=False))
    await until(lambda: rig.is_used(pod), "the pod is used")
    return pod


def loads(rig: Rig) -> list[wire.Load]:
    return [load for _, load in rig.autoscaler.loads]


async def test_requests_in_a_mute_pod_are_reported_until_they_end(rig: Rig) -> None:
    held = Held()
    await listed(rig, probed(held))
    under_way = [asyncio.create_task(rig.get()) for _ in range(3)]
    await until(lambda: held.holds == 3)
    await until(lambda: any(load.average >= 2.5 for load in loads(rig)), "the load is reported")
    assert loads(rig)[-1].inflight == 3
    assert sum(load.requests for load in loads(rig)) == 3
    for _ in range(3):
        held.let_go()
        await until(lambda: True)
    assert [got.status for got in await asyncio.gather(*under_way)] == [200] * 3
    await until(lambda: loads(rig)[-1].average == 0.0, "the end is reported")
    assert loads(rig)[-1].inflight == 0
    assert sum(load.requests for load in loads(rig)) == 3


async def test_a_request_that_waited_counts_once(rig: Rig) -> None:
    held = Held()
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    await listed(rig, probed(held))
    await until(lambda: held.holds == 1)
    await until(lambda: any(load.requests for load in loads(rig)))
    assert {load.inflight for load in loads(rig)} == {1}
    assert max(load.average for load in loads(rig)) <= 1.0
    held.let_go()
    assert (await waiting).status == 200
    await until(lambda: loads(rig)[-1].inflight == 0)
    assert sum(load.requests for load in loads(rig)) == 1


async def test_a_client_that_leaves_counts_no_more(rig: Rig) -> None:
    held = Held()
    await listed(rig, probed(held))
    asking = asyncio.create_task(rig.get())
    await until(lambda: held.holds == 1)
    asking.cancel()
    await until(lambda: [load.inflight for load in loads(rig)][-1:] == [0], "it is over")


async def test_a_pod_that_will_report_is_left_to_do_so(rig: Rig) -> None:
    """One of ours that has not connected to this activator yet: it reports to the autoscaler."""
    held = Held()
    await listed(rig, probed(held, (names.REPORTS_HEADER.encode(), b"load")))
    asking = asyncio.create_task(rig.get())
    await until(lambda: held.holds == 1)
    await asyncio.sleep(1.1)
    assert loads(rig) == []
    held.let_go()
    assert (await asking).status == 200


async def test_a_request_that_waited_is_left_to_a_pod_that_reports(rig: Rig) -> None:
    held = Held()
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    await rig.pod(held)
    await until(lambda: held.holds == 1)
    await until(lambda: [load.inflight for load in loads(rig)][-1:] == [0], "it is held no more")
    held.let_go()
    assert (await waiting).status == 200
    assert sum(load.requests for load in loads(rig)) == 0


def greeted(pods: RevisionPods) -> None:
    pods.greeted(Voice(1, "p", "10.0.0.1:8012", uid="u"), 0.0)


def asked_again(pods: RevisionPods) -> None:
    pods.probed("p@10.0.0.1:8012")


@pytest.mark.parametrize("change", [greeted, asked_again])
def test_a_pod_is_mute_until_it_is_known_to_speak(change: Callable[[RevisionPods], None]) -> None:
    pods = RevisionPods()
    pods.listed([Endpoint("p", "10.0.0.1:8012", ready=True, terminating=False)])
    pods.probed("p@10.0.0.1:8012", Probe.MUTE)
    (known,) = pods.usable(0.0)
    assert known.mute
    change(pods)
    assert not known.mute
