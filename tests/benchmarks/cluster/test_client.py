from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.cluster.client import Address, NoAnswerError, Pool, Steady, ask, parse_head
from pilotlight.cli.load import Tally

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok"


@asynccontextmanager
async def server(answer: Callable[[int], bytes | None]) -> AsyncIterator[tuple[Address, list[int]]]:
    """Gives request number n `answer(n)`, or ends the connection; and how many each connection
    had.
    """
    served: list[int] = []
    writers: list[asyncio.StreamWriter] = []
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        mine = len(served)
        served.append(0)
        writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                served[mine] += 1
                number += 1
                said = answer(number)
                if said is None:
                    break
                writer.write(said)
                if b"Connection: close" in said:
                    break
        except (EOFError, OSError):
            pass
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield Address(*listener.sockets[0].getsockname()), served
        for writer in writers:
            writer.close()
            await writer.wait_closed()


def test_a_head() -> None:
    assert parse_head(b"HTTP/1.1 503 Busy\r\nRetry-After:  1\r\nX: a:b\r\n\r\n") == (
        503,
        {"retry-after": "1", "x": "a:b"},
    )
    with pytest.raises(ValueError, match="no version"):
        parse_head(b"SSH-2.0 1 2\r\n\r\n")


async def test_one_request() -> None:
    async with server(lambda _: GOOD) as (address, _):
        answer = await ask(address, "a.example.com")
        assert (answer.status, answer.text, answer.headers["x-a"]) == (200, "ok", "b")


async def test_a_pool_uses_connections_again_but_no_closed_ones() -> None:
    async with server(lambda number: None if number == 3 else GOOD) as (address, served):
        pool = Pool(address)
        await pool.get("a")
        await pool.get("a")
        with pytest.raises(NoAnswerError):
            await pool.get("a")
        await pool.get("a")
        pool.close()
        assert served == [3, 1]


async def test_a_pool_leaves_what_the_other_side_has_closed() -> None:
    closing = GOOD.replace(b"X-A: b", b"Connection: close")
    async with server(lambda _: closing) as (address, served):
        pool = Pool(address)
        for _ in range(3):
            assert (await pool.get("a")).status == 200
            await asyncio.sleep(0.05)
        pool.close()
        assert served == [1, 1, 1]


@pytest.mark.parametrize("bad", [b"HTTP/1.1 200 OK\r\n\r\n", b"what?\r\n\r\n"])
async def test_what_is_no_answer(bad: bytes) -> None:
    async with server(lambda _: bad) as (address, _):
        with pytest.raises(NoAnswerError):
            await ask(address, "a")


async def test_a_steady_load_keeps_its_rate_whatever_is_answered() -> None:
    """One request in ten is answered by the end of its connection, one by an error."""
    said = {0: None, 5: GOOD.replace(b"200", b"503")}
    async with server(lambda number: said.get(number % 10, GOOD)) as (address, _):
        tally, stop, pool = Tally(), asyncio.Event(), Pool(address)
        steady = Steady(pool, "a", 200.0, tally)
        running = asyncio.create_task(steady.run(stop))
        await asyncio.sleep(0.5)
        stop.set()
        await running
        pool.close()
    assert 90 <= tally.total <= 110
    assert tally.statuses[503] == tally.total // 10 or tally.statuses[503] == tally.total // 10 + 1
    assert tally.lost == tally.statuses[503] + tally.failures.total() >= 18
    assert steady.lag_s < 0.4


async def test_a_latency_counts_from_when_the_request_was_due() -> None:
    async with server(lambda _: GOOD) as (address, _):
        tally, stop, pool = Tally(), asyncio.Event(), Pool(address)
        steady = Steady(pool, "a", 100.0, tally)
        running = asyncio.create_task(steady.run(stop))
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_soon(stop_the_loop_for, 0.2)
        await asyncio.sleep(0.3)
        stop.set()
        await running
        pool.close()
    assert max(tally.latencies) > 0.15
    assert steady.lag_s > 0.15
    assert tally.lost == 0


def stop_the_loop_for(seconds: float) -> None:
    import time

    time.sleep(seconds)
