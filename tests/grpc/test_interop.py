"""The cases of gRPC's interop tests, with its own client and server at the ends."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from pilotlight_queue_proxy.breaker import Breaker
from tests.activator.conftest import until
from tests.grpc.conftest import Path
from tests.grpc.echo import INITIAL, TRAILING

LARGE = 271_828


async def called(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A blocking call, on a thread."""
    options.setdefault("timeout", 20)
    return await asyncio.to_thread(call, *args, **options)


async def test_empty_unary(path: Path) -> None:
    assert await called(path.client.unary, b"") == b""


async def test_large_unary(path: Path) -> None:
    body = b"x" * LARGE
    assert await called(path.client.unary, body) == body
    assert path.inflight == 0


async def test_many_calls_at_once_share_connections(path: Path) -> None:
    calls = [called(path.client.unary, b"%d" % number) for number in range(200)]
    assert await asyncio.gather(*calls) == [b"%d" % number for number in range(200)]
    assert len(path.server.calls.peers) <= 2


async def test_client_streaming(path: Path) -> None:
    sizes = (27_182, 8, 1828, 45_904)
    assert await called(path.client.sum, iter([b"x" * n for n in sizes])) == b"74922"


async def test_server_streaming(path: Path) -> None:
    sizes = (31_415, 9, 2653, 58_979)
    asked = ",".join(map(str, sizes)).encode()
    got = await asyncio.to_thread(lambda: [len(m) for m in path.client.many(asked, timeout=20)])
    assert tuple(got) == sizes


async def test_ping_pong(path: Path) -> None:
    """Each message is sent when the one before has come back: nothing is held on the way."""

    def play() -> list[int]:
        balls: queue.Queue[bytes | None] = queue.Queue()
        got = []
        balls.put(b"x" * 27_182)
        replies = path.client.chat(iter(balls.get, None), timeout=20)
        for following in (8, 1828, 45_904, None):
            got.append(len(next(replies)))
            balls.put(None if following is None else b"x" * following)
        assert list(replies) == []
        return got

    assert await asyncio.to_thread(play) == [27_182, 8, 1828, 45_904]


async def test_empty_stream(path: Path) -> None:
    assert await asyncio.to_thread(lambda: list(path.client.chat(iter(()), timeout=20))) == []


async def test_a_large_stream_both_ways(path: Path) -> None:
    def play() -> int:
        messages = (b"x" * 100_000 for _ in range(100))
        return sum(len(reply) for reply in path.client.chat(messages, timeout=60))

    assert await asyncio.to_thread(play) == 10_000_000


class Endless:
    """Messages that never end; `over` stops them for good."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"first"
        self.over.wait(20)


async def test_cancel_after_begin(path: Path) -> None:
    endless = Endless()
    call = path.client.sum.future(iter(endless), timeout=20)
    await until(lambda: path.server.calls.began, "the call is at the server")
    assert path.inflight > 0
    call.cancel()
    endless.over.set()
    assert await asyncio.to_thread(call.code) is grpc.StatusCode.CANCELLED
    await asyncio.to_thread(path.server.calls.cancelled.wait, 5)
    await until(lambda: path.inflight == 0, "nothing is counted any more")


async def test_cancel_after_first_response(path: Path) -> None:
    endless = Endless()
    call = path.client.chat(iter(endless), timeout=20)
    assert await asyncio.to_thread(next, call) == b"first"
    call.cancel()
    endless.over.set()
    assert await asyncio.to_thread(call.code) is grpc.StatusCode.CANCELLED
    await asyncio.to_thread(path.server.calls.cancelled.wait, 5)
    await until(lambda: path.inflight == 0, "nothing is counted any more")


async def test_timeout_on_a_sleeping_server(path: Path) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await called(path.client.sleep, b"", timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.to_thread(path.server.calls.cancelled.wait, 5)
    await until(lambda: path.inflight == 0, "nothing is counted any more")


@pytest.mark.parametrize("text", ["test status message", "\t\ntest with whitespace\r\nand ☺\t\n"])
async def test_status_code_and_message(path: Path, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await called(path.client.status, text.encode())
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)


async def test_unimplemented_method(path: Path) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await called(path.client.missing, b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_custom_metadata(path: Path) -> None:
    given = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
    reply, call = await called(path.client.unary.with_call, b"x", metadata=given)
    assert reply == b"x"
    assert (INITIAL, "test_initial_metadata_value") in call.initial_metadata()
    assert (TRAILING, b"\xab\xab\xab") in call.trailing_metadata()


async def test_a_client_that_does_not_read_stops_the_server(path: Path) -> None:
    """Flow control reaches through: what is on the way stays far below what could be sent."""
    total = 64 * 1024 * 1024
    asked = ",".join(["65536"] * (total // 65536)).encode()
    call = path.client.many(asked, timeout=60)
    assert len(await asyncio.to_thread(next, call)) == 65536
    calls, before = path.server.calls, -1
    while before != calls.produced:
        before = calls.produced
        await asyncio.sleep(0.3)
    assert calls.produced < total / 4
    rest = await asyncio.to_thread(lambda: sum(len(m) for m in call))
    assert rest == total - 65536


async def test_a_full_pod_gives_calls_back_untouched(path: Path) -> None:
    """The activator believes in more slots than there are: what is refused waits, and comes again.
    Alone, the queue-proxy lets them wait itself.
    """
    path.proxy.requests.breaker = Breaker(1, 100)
    body = b"x" * 200_000
    calls = [called(path.client.unary, body) for _ in range(12)]
    assert await asyncio.gather(*calls) == [body] * 12
    assert path.inflight == 0


async def test_a_server_that_ends_finishes_its_calls(path: Path) -> None:
    endless = Endless()
    call = path.client.chat(iter(endless), timeout=20)
    assert await asyncio.to_thread(next, call) == b"first"
    stopping = path.server.stop(10)
    endless.over.set()
    assert await asyncio.to_thread(lambda: list(call)) == []
    assert call.code() is grpc.StatusCode.OK
    assert await asyncio.to_thread(stopping.wait, 5)


async def test_a_server_that_is_not_there_is_said_in_grpc(path: Path) -> None:
    await asyncio.to_thread(path.server.stop().wait, 5)
    if path.activator is None:
        call = path.client.unary.future(b"", timeout=2)
        assert await asyncio.to_thread(call.code) is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: path.inflight == 0, "nobody tries to reach it any more")
        return
    path.activator.backends.revision_deleted("shop/cart-1")
    with pytest.raises(grpc.RpcError) as caught:
        await called(path.client.unary, b"")
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "shop/cart-1 not found" in error.details()
