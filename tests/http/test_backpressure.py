"""Slow peers cost a bounded amount of memory, in both directions."""

from __future__ import annotations

import asyncio
import resource
import socket

import pytest

from pilotlight.http import Exchange, Server, Upstream
from tests.http.peers import OK, Peers, read_head, read_some, until

TOTAL = 64 * 1024 * 1024
BLOCK = b"x" * 65536
MOST_KEPT = 6 * 1024 * 1024


def unsent(upstream: Upstream, exchange: Exchange) -> int:
    """Bytes that the engine holds for one exchange."""
    leg = exchange._up
    down = exchange._down
    size: int = down.transport.get_write_buffer_size() + len(down._buffer)  # type: ignore[attr-defined]
    if leg is not None:
        size += leg.transport.get_write_buffer_size()  # type: ignore[attr-defined]
    return size + sum(map(len, exchange._kept or ()))


async def connect_small(port: int) -> socket.socket:
    """A client whose receive buffer is small, so that the kernel hides nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_a_client_that_reads_slowly(peers: Peers, framing: str) -> None:
    produced = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal produced
        await reader.readuntil(b"\r\n\r\n")
        heads = {
            "length": b"Content-Length: %d\r\n" % TOTAL,
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "until close": b"",
        }
        writer.write(b"HTTP/1.1 200 OK\r\n" + heads[framing] + b"\r\n")
        block = b"10000\r\n" + BLOCK + b"\r\n" if framing == "chunked" else BLOCK
        while produced < TOTAL:
            writer.write(block)
            produced += len(BLOCK)
            await writer.drain()
        if framing == "chunked":
            writer.write(b"0\r\n\r\n")

    upstream = await peers.upstream(script)
    exchanges: list[Exchange] = []

    def app(exchange: Exchange) -> None:
        exchanges.append(exchange)
        exchange.forward(upstream)

    _, port = await peers.server(app)
    loop = asyncio.get_running_loop()
    with await connect_small(port) as sock:
        await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        before = produced
        while produced == before or produced == 0:
            await asyncio.sleep(0.05)
        stalled = -1
        while stalled != produced:
            stalled = produced
            await asyncio.sleep(0.2)
        assert produced < TOTAL / 2, "the upstream must be stopped by a client that does not read"
        assert unsent(upstream, exchanges[0]) < 1024 * 1024
        received = 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with asyncio.timeout(40):
            while data := await loop.sock_recv(sock, 1 << 20):
                received += len(data)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        assert received > TOTAL
        assert produced == TOTAL
        assert grown * 1024 < MOST_KEPT + 8 * 1024 * 1024


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_upstream_that_reads_slowly(peers: Peers, chunked: bool) -> None:
    read = 0
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        while read < TOTAL:
            read += len(await reader.read(1 << 20))
        writer.write(OK)

    upstream = await peers.upstream(script)
    exchanges: list[Exchange] = []

    def app(exchange: Exchange) -> None:
        exchanges.append(exchange)
        exchange.forward(upstream)

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % TOTAL
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < TOTAL:
            writer.write(b"10000\r\n" + BLOCK + b"\r\n" if chunked else BLOCK)
            sent += len(BLOCK)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")

    sender = asyncio.get_running_loop().create_task(send())
    stalled = -1
    while stalled != sent:
        stalled = sent
        await asyncio.sleep(0.2)
    assert 0 < sent < TOTAL / 2, "the client must be stopped by an upstream that does not read"
    assert unsent(upstream, exchanges[0]) < 1024 * 1024
    go_on.set()
    async with asyncio.timeout(40):
        await sender
        assert await reader.readexactly(len(OK)) == OK
    assert read >= TOTAL


async def test_a_body_that_nobody_takes_stops_the_client(peers: Peers) -> None:
    waiting: list[Exchange] = []
    upstream = await peers.upstream(swallow)
    _, port = await peers.server(waiting.append)
    reader, writer = await peers.connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % TOTAL)
    sent = 0
    try:
        async with asyncio.timeout(0.5):
            while sent < TOTAL:
                writer.write(BLOCK)
                sent += len(BLOCK)
                await writer.drain()
    except TimeoutError:
        pass
    assert sent < TOTAL / 2
    assert waiting[0]._kept_size < 1024 * 1024
    assert waiting[0].can_retry
    waiting[0].forward(upstream)
    while sent < TOTAL:
        writer.write(BLOCK)
        sent += len(BLOCK)
        async with asyncio.timeout(10):
            await writer.drain()
    assert (await read_head(reader)).startswith(b"HTTP/1.1 200")
    assert not waiting[0].can_retry


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(TOTAL)
    writer.write(OK)


async def test_the_pool_gets_back_a_connection_that_was_paused(peers: Peers) -> None:
    """A client that reads slowly, and then another that uses the same upstream connection."""
    size = 8 * 1024 * 1024

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await writer.drain()

    upstream = await peers.upstream(script)
    _, port = await peers.server(lambda exchange: exchange.forward(upstream))
    for _ in range(3):
        reader, writer = await peers.connect(port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await read_head(reader)
        await asyncio.sleep(0.05)
        assert len(await read_some(reader, size)) == size
        assert upstream.idle + upstream.busy == 1


async def test_streams_of_an_upstream_that_reads_slowly(peers: Peers) -> None:
    """HTTP/2 on both sides: what nobody reads stays with who sends it, stream by stream."""
    from h2 import events

    from pilotlight.http.http2.upstream import Upstream2
    from tests.http.h2_peers import E, Peer, asking, connect, listen

    def script(peer: Peer, event: E) -> None:
        peer.reading = False

    listener, upstreams = await listen(script)
    upstream = Upstream2("127.0.0.1", listener.sockets[0].getsockname()[1])
    server = Server(lambda exchange: exchange.forward(upstream), http2=True)
    peers.closers += [listener.close, upstream.close, server.close]
    peer = await connect(await server.listen("127.0.0.1", 0))
    peers.closers.append(peer.transport.close)
    numbers = [peer.ask(asking(b"POST"), end=False) for _ in range(8)]
    await until(lambda: bool(upstreams) and len(upstreams[0].events) >= len(numbers))
    sent, before = 0, -1
    while sent != before:
        before = sent
        for number in numbers:
            while (room := peer.h2.local_flow_control_window(number)) > 0 and sent < TOTAL:
                peer.h2.send_data(number, b"x" * min(room, 16384))
                sent += min(room, 16384)
        peer.flush()
        await asyncio.sleep(0.2)
    (connection,) = upstream._connections
    assert all(leg.queued <= 2 * 65535 + 16384 for leg in connection.streams.values())
    assert sent <= 2 * 65535 + len(numbers) * 3 * 65535
    upstreams[0].reading = True
    for event in [e for e in upstreams[0].events if isinstance(e, events.DataReceived)]:
        upstreams[0].h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    upstreams[0].script = None
    upstreams[0].flush()
    for number in numbers:
        await until(lambda number=number: peer.h2.local_flow_control_window(number) > 0)  # type: ignore[misc]
