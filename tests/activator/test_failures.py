"""Pods that fail, are full, drain or vanish: no request is lost that could be saved."""

from __future__ import annotations

import asyncio

import pytest

from pilotlight.http import Exchange
from pilotlight.load import wire
from pilotlight_activator.pods import Endpoint

from .conftest import App, FakePod, Held, Rig, answer, ask, until

BUSY = b"K-Pilotlight-Busy"


def busy(reason: bytes, times: int, then: App) -> App:
    """A program that refuses its first requests."""
    left = times

    def app(exchange: Exchange) -> None:
        nonlocal left
        if left:
            left -= 1
            exchange.respond(503, b"", [(BUSY, reason)])
        else:
            then(exchange)

    return app


def cut(times: int, then: App) -> App:
    """A program whose pod breaks its first connections."""
    left = times

    def app(exchange: Exchange) -> None:
        nonlocal left
        if left:
            left -= 1
            exchange.cancel()
        else:
            then(exchange)

    return app


async def dead_pod(rig: Rig) -> FakePod:
    """A pod that is believed to be ready, and refuses connections."""
    pod = await rig.pod(answer())
    pod.server.close()
    return pod


async def test_a_request_for_a_dead_pod_goes_to_another(rig: Rig) -> None:
    await dead_pod(rig)
    await rig.pod(answer(b"alive"))
    for _ in range(10):
        assert (await rig.get()).body == b"alive"
    backend = rig.service.backends.get("shop/cart-1")
    assert backend is not None
    assert backend.tally.retries >= 1


async def test_a_request_for_the_only_pod_waits_until_it_is_back(rig: Rig) -> None:
    pod = await dead_pod(rig)
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    rig.pods.append(await FakePod(rig, answer(b"back"), "again", pod.host, port=pod.port).start())
    assert (await waiting).body == b"back"


async def test_a_pod_that_never_comes_back_is_told_with_its_leg(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotlight_activator.flight.MOST_FAILURES", 2)
    await dead_pod(rig)
    got = await rig.get()
    assert (got.status, got.headers["k-pilotlight-leg"]) == (502, "connect")
    assert b"connect to 127.0.0.11" in got.body


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("PUT", 200), ("DELETE", 200), ("POST", 502)]
)
async def test_what_may_be_repeated_is_repeated(rig: Rig, method: str, status: int) -> None:
    await rig.pod(cut(1, answer(b"second")))
    got = await ask(
        rig.addresses.external,
        f"{method} / HTTP/1.1",
        {"Host": "cart.shop.localhost", "Content-Length": "2"},
        b"hi",
    )
    assert got.status == status
    if status == 502:
        assert got.headers["k-pilotlight-leg"] == "app"


@pytest.mark.parametrize("size", [0, 5, 300_000])
@pytest.mark.parametrize("reason", [b"full", b"unreachable"])
async def test_a_busy_answer_is_never_seen(rig: Rig, size: int, reason: bytes) -> None:
    def count(exchange: Exchange) -> None:
        exchange.respond(200, b"%d" % exchange.request.length)

    rig.revision(concurrency=1)
    await rig.pod(busy(reason, 3, count))
    got = await ask(
        rig.addresses.external,
        "POST / HTTP/1.1",
        {"Host": "cart.shop.localhost", "Content-Length": str(size)},
        b"x" * size,
    )
    assert (got.status, got.body) == (200, b"%d" % size)
    assert "queue;dur=" in got.headers["server-timing"]


async def test_a_busy_answer_of_the_program_itself_is_bounded_by_the_timeout(rig: Rig) -> None:
    rig.revision(timeout_s=0.3)
    await rig.pod(busy(b"full", 10**6, answer()))
    assert (await rig.get()).status == 504


async def test_a_full_pod_is_left_for_one_that_is_free(rig: Rig) -> None:
    rig.revision(concurrency=1)
    await rig.pod(busy(b"full", 10**6, answer()))
    await rig.pod(answer(b"free"))
    for _ in range(5):
        assert (await rig.get()).body == b"free"


async def test_a_report_of_a_free_slot_ends_the_pause(rig: Rig) -> None:
    rig.revision(concurrency=1)
    pod = await rig.pod(busy(b"full", 10, answer()))
    waiting = asyncio.create_task(rig.get())
    backend = rig.service.backends.get("shop/cart-1")
    assert backend is not None
    await until(lambda: backend.tally.busy >= 10)
    assert pod.reporter is not None
    pod.reporter.broadcast(wire.encode_load(wire.Load(1, 0.0, 1.0, 0, 0)))
    assert (await waiting).status == 200


async def test_a_pod_that_says_it_drains_gets_no_more_and_is_released(rig: Rig) -> None:
    program = Held()
    pod = await rig.pod(program)
    running = asyncio.create_task(rig.get())
    await until(lambda: program.holds == 1)
    pod.say(wire.PodState.DRAINING)
    await until(lambda: not rig.is_used(pod))
    await asyncio.wait_for(pod.released.wait(), 2)

    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.autoscaler.waiting == ["shop/cart-1"])
    assert program.holds == 1
    program.let_go()
    assert (await running).body == b"held"
    await rig.pod(answer(b"new"))
    assert (await waiting).body == b"new"


async def test_an_idle_pod_that_drains_is_released_at_once(rig: Rig) -> None:
    pod = await rig.pod(answer())
    pod.say(wire.PodState.DRAINING)
    await asyncio.wait_for(pod.released.wait(), 0.09)


async def test_a_pod_that_refuses_because_it_drains_is_not_asked_again(rig: Rig) -> None:
    pod = await rig.pod(busy(b"draining", 10**6, answer()))
    waiting = asyncio.create_task(rig.get())
    await until(lambda: not rig.is_used(pod))
    await until(lambda: rig.autoscaler.waiting == ["shop/cart-1"])
    await rig.pod(answer(b"new"))
    assert (await waiting).body == b"new"


async def test_a_pod_that_is_not_ready_any_more_is_left_alone(rig: Rig) -> None:
    pod = await rig.pod(answer())
    pod.say(wire.PodState.NOT_READY)
    await until(lambda: not rig.is_used(pod))
    pod.say(wire.PodState.READY)
    await until(lambda: rig.is_used(pod))


async def test_a_pod_that_is_being_deleted_is_left_alone(rig: Rig) -> None:
    pod = await rig.pod(answer())
    rig.listed(Endpoint(pod.name, pod.address, ready=True, terminating=True))
    assert not rig.is_used(pod)


async def test_a_pod_that_is_silent_is_left_alone(rig: Rig) -> None:
    pod = await rig.pod(answer())
    assert pod.reporter is not None
    await pod.reporter.close()
    await until(lambda: not rig.is_used(pod))


def offsets(step_s: float, count: int) -> list[float]:
    return [step * step_s for step in range(count)]


@pytest.mark.parametrize("offset", offsets(0.01, 8))
async def test_no_request_is_lost_at_any_moment_of_a_descent_to_zero(
    rig: Rig, offset: float
) -> None:
    """The last pod ends as a queue-proxy does, while requests arrive; then a new one comes."""
    state = {"draining": False}

    def program(exchange: Exchange) -> None:
        if state["draining"]:
            exchange.respond(503, b"", [(BUSY, b"draining")])
        else:
            exchange.respond(200, b"old")

    async def descend(pod: FakePod) -> None:
        state["draining"] = True
        pod.say(wire.PodState.DRAINING)
        await asyncio.wait_for(pod.released.wait(), 2)
        await pod.server.drain(2)
        await pod.close()

    async def arrive(after: float) -> bytes:
        await asyncio.sleep(after)
        got = await rig.get()
        assert got.status == 200, got
        return got.body

    pod = await rig.pod(program)
    arriving = [asyncio.create_task(arrive(offset + number * 0.003)) for number in range(20)]
    await asyncio.sleep(0.05)
    await descend(pod)
    await until(lambda: all(task.done() for task in arriving) or rig.autoscaler.waiting)
    await rig.pod(answer(b"new"))
    assert set(await asyncio.gather(*arriving)) <= {b"old", b"new"}


async def test_many_kills_lose_nothing_that_may_be_repeated(rig: Rig) -> None:
    done = False

    async def ask_on() -> int:
        count = 0
        while not done:
            got = await rig.get()
            assert got.status == 200, got
            count += 1
        return count

    asking = [asyncio.create_task(ask_on()) for _ in range(8)]
    pods = [await rig.pod(answer()) for _ in range(2)]
    for _ in range(8):
        pods.append(await rig.pod(answer()))
        await asyncio.sleep(0.02)
        killed = pods.pop(0)
        killed.server.close()
        await killed.close()
    done = True
    assert sum(await asyncio.gather(*asking)) > 20


async def test_a_refusal_that_comes_too_late_is_told_without_our_own_header(rig: Rig) -> None:
    """The pod asks for the body and refuses then: what has flowed cannot be sent again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(150_000)
        writer.write(b"HTTP/1.1 503 x\r\nK-Pilotlight-Busy: full\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.41", 0)
    port = server.sockets[0].getsockname()[1]
    pod = FakePod(rig, answer(), "late", "127.0.0.41", port=port)
    rig.pods.append(await pod.greet())
    await until(lambda: rig.is_used(pod))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.addresses.external)
    writer.write(b"POST / HTTP/1.1\r\nHost: cart.shop.localhost\r\nContent-Length: 200000\r\n\r\n")
    writer.write(b"x" * 150_000)
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 503")
    assert b"k-pilotlight-busy" not in head
    assert b"k-pilotlight-leg: queue" in head
    assert b"retry-after: 1" in head
    writer.close()
    server.close()
    await server.wait_closed()
