"""Upgraded connections: byte tunnels with half-close, and real WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.exceptions

from pilotlight.http import Exchange, Outcome, Timeouts, Upstream
from tests.http.peers import OK, Peers, Recorder, read_head, read_rest, read_some, until

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Connection: Upgrade\r\nUpgrade: thing\r\n" in head
    writer.write(SWITCH + b"hello")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")


def forwarding(
    upstream: Upstream, recorder: Recorder, timeouts: Timeouts | None = None
) -> Callable[[Exchange], None]:
    def app(exchange: Exchange) -> None:
        if timeouts is not None:
            exchange.limit(timeouts)
        exchange.forward(upstream, recorder)

    return app


async def test_bytes_flow_and_either_side_may_end_first(peers: Peers) -> None:
    recorder = Recorder()
    upstream = await peers.upstream(echo)
    _, port = await peers.server(forwarding(upstream, recorder))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE + b"early")
    assert await read_some(reader, len(SWITCH)) == SWITCH
    assert await read_some(reader, 10) == b"helloearly"
    writer.write(b"\x00\x01GET / HTTP/1.1\r\n\r\n")
    assert await read_some(reader, 20) == b"\x00\x01GET / HTTP/1.1\r\n\r\n"
    assert upstream.busy == 1
    writer.write_eof()
    assert await read_rest(reader) == b"bye"
    writer.close()
    await until(lambda: recorder.outcomes == [Outcome.ANSWERED])
    assert (upstream.busy, upstream.idle) == (0, 0)


async def test_the_upstream_ends_first(peers: Peers) -> None:
    got = b""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        writer.write_eof()
        got = await reader.read()

    recorder = Recorder()
    _, port = await peers.server(forwarding(await peers.upstream(script), recorder))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE)
    await read_head(reader)
    assert await read_rest(reader) == b""
    writer.write(b"still sending")
    await asyncio.sleep(0.05)
    assert recorder.outcomes == []
    writer.write_eof()
    await until(lambda: recorder.outcomes == [Outcome.ANSWERED])
    await until(lambda: got == b"still sending")


async def test_a_client_that_vanishes_ends_the_tunnel(peers: Peers) -> None:
    recorder = Recorder()
    upstream = await peers.upstream(echo)
    _, port = await peers.server(forwarding(upstream, recorder))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE)
    await read_head(reader)
    writer.transport.abort()
    await until(lambda: len(recorder.outcomes) == 1)
    assert upstream.busy == 0


async def test_an_upgrade_that_is_declined_is_an_ordinary_answer(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)

    recorder = Recorder()
    _, port = await peers.server(forwarding(await peers.upstream(script), recorder))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE + UPGRADE)
    assert await read_some(reader, 2 * len(OK)) == OK * 2


@pytest.mark.parametrize(
    "timeouts",
    [Timeouts(total_s=0.4), Timeouts(idle_s=0.3), Timeouts(response_start_s=0.3)],
    ids=["total", "idle", "response-start"],
)
async def test_tunnels_stay_under_the_timeouts(peers: Peers, timeouts: Timeouts) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        await reader.read()

    recorder = Recorder()
    upstream = await peers.upstream(script)
    _, port = await peers.server(forwarding(upstream, recorder, timeouts))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE)
    await read_head(reader)
    assert await read_rest(reader) == b""
    assert recorder.outcomes == [Outcome.TIMED_OUT]


async def test_a_tunnel_in_which_only_the_client_speaks_is_not_idle(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH + b"hello")
        await reader.read()

    recorder = Recorder()
    upstream = await peers.upstream(script)
    _, port = await peers.server(forwarding(upstream, recorder, Timeouts(idle_s=0.5)))
    reader, writer = await peers.connect(port)
    writer.write(UPGRADE)
    await read_some(reader, len(SWITCH) + 5)
    for _ in range(12):
        await asyncio.sleep(0.1)
        writer.write(b"x")
    assert recorder.outcomes == []
    assert await read_rest(reader) == b""
    assert recorder.outcomes == [Outcome.TIMED_OUT]


async def test_a_tunnel_has_back_pressure(peers: Peers) -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        while sent < 200 * 1024 * 1024:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    _, port = await peers.server(forwarding(await peers.upstream(script), Recorder()))
    _, writer = await peers.connect(port)
    writer.write(UPGRADE)
    stalled = -1
    while stalled != sent or sent == 0:
        stalled = sent
        await asyncio.sleep(0.2)
    assert sent < 100 * 1024 * 1024


async def test_websockets_through_the_proxy(peers: Peers) -> None:
    async def handler(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0, max_size=None) as server:
        inner = next(iter(server.sockets)).getsockname()[1]
        upstream = Upstream("127.0.0.1", inner)
        recorder = Recorder()
        _, port = await peers.server(forwarding(upstream, recorder))
        url = f"ws://127.0.0.1:{port}/x"
        async with websockets.asyncio.client.connect(url, max_size=None) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            await client.send([b"a" * 1000, b"b" * 1000, b"c"])
            assert await client.recv() == b"a" * 1000 + b"b" * 1000 + b"c"
            large = b"z" * (4 * 1024 * 1024)
            await client.send(large)
            assert await client.recv() == large
            waiter = await client.ping()
            await waiter
        assert client.close_code == 1000
        await until(lambda: recorder.outcomes == [Outcome.ANSWERED])
        assert upstream.busy == 0
        upstream.close()
