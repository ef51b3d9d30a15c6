"""Requests that wait: for a first pod, for a slot, in vain."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

import pytest

from pilotlight.http import Exchange
from pilotlight.load import wire
from pilotlight_activator.pods import Endpoint
from pilotlight_activator.settings import Queueing, Settings

from .conftest import Held, Rig, answer, until


def timing(header: str) -> dict[str, float]:
    entries = [entry.split(";dur=") for entry in header.split(", ")]
    return {name: float(value) for name, value in entries}


async def test_a_first_request_waits_for_a_pod_and_tells_where_the_time_went(rig: Rig) -> None:
    start = time.time()
    rig.autoscaler.decided = (start + 0.01, start + 0.02)
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.autoscaler.waiting == ["shop/cart-1"], "the autoscaler is told")
    assert rig.waiting() == 1

    await until(lambda: time.time() > start + 0.06)
    pod = await rig.pod(answer(), greet=False)
    pod.state = wire.State(wire.PodState.READY, start + 0.03, start + 0.05)
    await pod.greet()
    got = await waiting
    assert (got.status, got.body) == (200, b"hello")
    phases = timing(got.headers["server-timing"])
    assert list(phases) == [
        "decide", "patch", "schedule", "start", "announce", "first-byte", "total",
    ]  # fmt: skip
    assert phases["schedule"] == pytest.approx(10, abs=0.2)
    assert phases["start"] == pytest.approx(20, abs=0.2)
    assert sum(phases.values()) == pytest.approx(2 * phases["total"], abs=0.5)
    assert "server-timing" not in (await rig.get()).headers


async def test_a_crowd_is_told_of_as_it_gathers_and_starts_cold_once(rig: Rig) -> None:
    waiting = [asyncio.create_task(rig.get()) for _ in range(20)]
    await until(lambda: rig.waiting() == 20)
    await until(lambda: rig.autoscaler.waiting)
    await rig.pod(answer())
    answers = await asyncio.gather(*waiting)
    assert all(
        got.status == 200 and "total;dur=" in got.headers["server-timing"] for got in answers
    )
    assert set(rig.autoscaler.waiting) == {"shop/cart-1"}
    backend = rig.service.backends.get("shop/cart-1")
    assert backend is not None
    assert sum(backend.tally.cold["total"].counts) == 1


async def test_what_waits_is_reported_each_second_and_its_end_too(rig: Rig) -> None:
    waiting = [asyncio.create_task(rig.get()) for _ in range(4)]
    await until(lambda: len(rig.autoscaler.loads) == 1)
    await rig.pod(answer())
    await asyncio.gather(*waiting)
    await until(lambda: rig.autoscaler.loads[-1][1].average == 0.0)
    key, first = rig.autoscaler.loads[0]
    assert key == "shop/cart-1"
    assert (first.inflight, first.requests) == (4, 0)
    assert 0 < first.average <= 4
    last = rig.autoscaler.loads[-1][1]
    assert (last.average, last.inflight) == (0.0, 0)


async def test_requests_in_a_pod_are_not_reported(rig: Rig) -> None:
    await rig.pod(answer())
    for _ in range(5):
        await rig.get()
    rig.service.reports.report(time.monotonic())
    await asyncio.sleep(0)
    assert rig.autoscaler.loads == []


async def test_an_autoscaler_that_comes_late_hears_what_waits(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.autoscaler.waiting)
    rig.autoscaler.waiting.clear()
    rig.autoscaler.sessions[0].close()
    await until(lambda: rig.autoscaler.waiting == ["shop/cart-1"])
    await rig.pod(answer())
    assert (await waiting).status == 200


class TestFull:
    """A queue for two requests."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, queueing=Queueing(revision_count=2))

    async def test_more_are_refused_at_once(self, rig: Rig) -> None:
        waiting = [asyncio.create_task(rig.get()) for _ in range(2)]
        await until(lambda: rig.waiting() == 2)
        got = await rig.get()
        assert (got.status, got.body) == (503, b"pending request queue full")
        assert got.headers["retry-after"] == "1"
        assert got.headers["k-pilotlight-leg"] == "queue"
        await rig.pod(answer())
        assert {got.status for got in await asyncio.gather(*waiting)} == {200}


async def test_a_client_that_leaves_makes_room(rig: Rig) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", rig.addresses.external)
    writer.write(b"GET / HTTP/1.1\r\nHost: cart.shop.localhost\r\n\r\n")
    await until(lambda: rig.waiting() == 1)
    writer.close()
    await until(lambda: rig.waiting() == 0)


async def test_the_revisions_timeout_counts_while_waiting(rig: Rig) -> None:
    rig.revision(timeout_s=0.2)
    start = time.monotonic()
    got = await rig.get()
    assert 0.15 < time.monotonic() - start < 1.0
    assert (got.status, got.body) == (504, b"activator request timeout")
    assert got.headers["k-pilotlight-leg"] == "timeout"
    assert rig.waiting() == 0


@pytest.mark.parametrize("limit", ["timeout_s", "response_start_s", "idle_s"])
async def test_a_pod_that_does_not_answer_in_time(rig: Rig, limit: str) -> None:
    rig.revision(concurrency=1, **{limit: 0.2})
    program = Held()
    await rig.pod(program)
    got = await rig.get()
    assert (got.status, got.body) == (504, b"activator request timeout")
    # The slot is free again.
    waiting = asyncio.create_task(rig.get())
    await until(lambda: program.holds)
    program.let_go()
    assert (await waiting).status == 200


def holding(programs: list[Held], want: int) -> bool:
    return sum(program.holds for program in programs) == want


async def test_a_slot_is_never_used_twice_and_never_idle(rig: Rig) -> None:
    rig.revision(concurrency=2)
    programs = [Held() for _ in range(3)]
    for program in programs:
        await rig.pod(program)
    waiting = [asyncio.create_task(rig.get()) for _ in range(30)]
    for done in range(30):
        held = partial(holding, programs, min(6, 30 - done))
        await until(held)
        next(program for program in programs if program.holds).let_go()
    answers = await asyncio.gather(*waiting)
    assert {got.status for got in answers} == {200}
    assert all(program.most <= 2 for program in programs)
    assert sum("queue;dur=" in got.headers.get("server-timing", "") for got in answers) == 24


async def test_a_deleted_revision_lets_nobody_wait(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    rig.service.backends.revision_deleted("shop/cart-1")
    got = await waiting
    assert (got.status, got.body) == (503, b"revision cart-1 has been deleted")
    assert (await rig.get()).status == 404


async def test_a_pod_that_only_the_api_knows_is_probed(rig: Rig) -> None:
    ready = False

    def program(exchange: Exchange) -> None:
        if exchange.request.get(b"k-network-probe") != b"queue":
            exchange.respond(200, b"served")
        elif ready:
            exchange.respond(200, b"queue")
        else:
            exchange.respond(503)

    waiting = asyncio.create_task(rig.get())
    pod = await rig.pod(program, greet=False)
    rig.listed(Endpoint(pod.name, pod.address, ready=False, terminating=False))
    await until(lambda: rig.service.prober.failures >= 2)
    assert rig.waiting() == 1
    ready = True
    assert (await waiting).body == b"served"
    rig.listed()
    assert not rig.is_used(pod)


async def test_a_pod_whose_greeting_is_forged_is_not_used(rig: Rig) -> None:
    pod = await rig.pod(answer(), greet=False, uid="another")
    await pod.greet()
    await until(lambda: rig.service.collector.statistics().refused)
    assert not rig.is_used(pod)
