"""A server seen from a raw client: framing, order, limits, times, closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pilotlight.http import (
    AdminServer,
    ConnectionTimes,
    Exchange,
    Limits,
    Outcome,
    StateError,
    Target,
    Timeouts,
    answer_error,
    fetch,
)
from pilotlight.http.downstream import ServerConnection
from tests.http.peers import Peers, Recorder, read_head, read_rest, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def echo(exchange: Exchange) -> None:
    exchange.respond(200, exchange.request.target)


async def ask(peers: Peers, port: int, data: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    reader, writer = await peers.connect(port)
    writer.write(data)
    return await read_rest(reader)


async def test_pipelined_requests_are_answered_in_order(peers: Peers) -> None:
    waiting: list[Exchange] = []
    _, port = await peers.server(waiting.append)
    reader, writer = await peers.connect(port)
    writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(50)))
    for number in range(50):
        await until(lambda n=number: len(waiting) == n + 1)  # type: ignore[misc]
        echo(waiting[-1])
        head = await read_head(reader)
        size = 2 if number < 10 else 3
        assert b"Content-Length: %d" % size in head
        assert await reader.readexactly(size) == b"/%d" % number


async def test_ten_thousand_pipelined_requests_do_not_nest(peers: Peers) -> None:
    _, port = await peers.server(echo)
    many = GET * 9999 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = await ask(peers, port, many)
    assert answer.count(b"HTTP/1.1 200 OK") == 10000


async def test_pipelining_is_bounded(peers: Peers) -> None:
    waiting: list[Exchange] = []
    server, port = await peers.server(waiting.append, Limits(ahead=1000))
    _, writer = await peers.connect(port)
    writer.write(GET)
    await until(lambda: len(waiting) == 1)
    sent = 0
    try:
        async with asyncio.timeout(1):
            while True:
                writer.write(GET * 4000)
                await writer.drain()
                sent += len(GET) * 4000
    except TimeoutError:
        pass
    (connection,) = server.connections
    assert isinstance(connection, ServerConnection)
    assert len(connection._buffer) < 1000 + 300_000
    assert sent < 50_000_000


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_keep_alive_and_close(peers: Peers, version: bytes) -> None:
    _, port = await peers.server(echo)
    keep = b"GET /1 HTTP/%b\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % version
    close = b"GET /2 HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version
    answer = await ask(peers, port, keep + close)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"Connection: close\r\n\r\n/2")
    assert (b"Connection: keep-alive" in answer) is (version == b"1.0")


async def test_head_has_no_body(peers: Peers) -> None:
    _, port = await peers.server(echo)
    answer = await ask(peers, port, b"HEAD /abc HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\n", 400),
    ],
)
async def test_refusals_are_answered_and_closed(peers: Peers, data: bytes, status: int) -> None:
    seen: list[Exchange] = []
    _, port = await peers.server(seen.append)
    answer = await ask(peers, port, data)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert not seen


async def test_a_refusal_survives_a_client_that_still_sends(peers: Peers) -> None:
    _, port = await peers.server(lambda exchange: exchange.respond(503, b"full"))
    reader, writer = await peers.connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
    for _ in range(3):
        writer.write(b"x" * 50_000)
        await asyncio.sleep(0.02)
    assert (await read_rest(reader)).endswith(b"Connection: close\r\n\r\nfull")


async def test_bad_chunks_after_the_application_was_called(peers: Peers) -> None:
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        exchange.listener = recorder

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.02)
    writer.write(b"zz\r\n")
    assert (await read_rest(reader)).startswith(b"HTTP/1.1 400 ")
    assert recorder.outcomes == [Outcome.ANSWERED]


async def test_requests_follow_a_body(peers: Peers) -> None:
    _, port = await peers.server(echo)
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = (
        b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    )
    last = b"GET /g HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await ask(peers, port, post + chunked + last)
    assert [part[:2] for part in answer.split(b"\r\n\r\n")[1:]] == [b"/p", b"/c", b"/g"]


async def test_the_client_goes_while_it_waits(peers: Peers) -> None:
    recorder = Recorder()
    waiting: list[Exchange] = []

    def app(exchange: Exchange) -> None:
        exchange.listener = recorder
        waiting.append(exchange)

    server, port = await peers.server(app)
    _, writer = await peers.connect(port)
    writer.write(GET)
    await until(lambda: bool(waiting))
    writer.close()
    await until(lambda: bool(recorder.outcomes))
    assert recorder.outcomes == [Outcome.GONE]
    assert waiting[0].ended
    with pytest.raises(StateError):
        waiting[0].respond(200)
    await until(lambda: not server.connections and not server.exchanges)


async def test_timeouts_of_an_exchange(peers: Peers) -> None:
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        exchange.listener = recorder
        exchange.limit(Timeouts(total_s=0.2))

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    head = await read_head(reader)
    assert head.startswith(b"HTTP/1.1 504 ")
    assert b"K-Pilotlight-Leg: timeout" in head
    assert recorder.timeouts == ["total"]
    assert recorder.outcomes == [Outcome.ANSWERED]


async def test_a_slow_head_is_given_up(peers: Peers) -> None:
    _, port = await peers.server(echo, times=ConnectionTimes(header_s=0.5))
    reader, writer = await peers.connect(port)
    silent, _ = await peers.connect(port)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    answer = b""
    for byte in GET * 100:
        writer.write(bytes([byte]) if byte != 13 else b"a")
        try:
            async with asyncio.timeout(0.05):
                answer = await reader.read(1000)
                break
        except TimeoutError:
            pass
    assert answer.startswith(b"HTTP/1.1 4")
    assert loop.time() - begin < 4
    assert await read_rest(silent) == b""


async def test_idle_connections_are_closed(peers: Peers) -> None:
    server, port = await peers.server(echo, times=ConnectionTimes(idle_s=0.3))
    reader, writer = await peers.connect(port)
    writer.write(GET)
    await read_head(reader)
    assert await read_rest(reader) == b"/"
    await until(lambda: not server.connections)


async def test_too_many_connections(peers: Peers) -> None:
    server, port = await peers.server(echo, Limits(connections=2))
    for _ in range(2):
        await peers.connect(port)
    await until(lambda: len(server.connections) == 2)
    reader, _ = await peers.connect(port)
    try:
        assert await read_rest(reader) == b""
    except ConnectionError:
        pass
    assert server.refused == 1


async def test_drain_lets_requests_end(peers: Peers) -> None:
    waiting: list[Exchange] = []
    server, port = await peers.server(waiting.append)
    idle, _ = await peers.connect(port)
    busy, writer = await peers.connect(port)
    late, late_writer = await peers.connect(port)
    writer.write(GET)
    await until(lambda: bool(waiting) and len(server.connections) == 3)
    drain = asyncio.get_running_loop().create_task(server.drain(5))
    await asyncio.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        await peers.connect(port)
    late_writer.write(GET)
    await until(lambda: len(waiting) == 2)
    for exchange, reader in zip(waiting, (busy, late), strict=True):
        assert not drain.done()
        exchange.respond(200, b"done")
        assert (await read_rest(reader)).endswith(b"Connection: close\r\n\r\ndone")
    assert await read_rest(idle) == b""
    assert await drain


async def test_drain_does_not_close_a_connection_in_use_before_its_client(peers: Peers) -> None:
    """A request that is sent as the drain begins, or whose head is still arriving, is answered."""
    server, port = await peers.server(echo)
    kept, kept_writer = await peers.connect(port)
    slow, slow_writer = await peers.connect(port)
    slow_writer.write(GET[:10])
    await until(lambda: len(server.connections) == 2)
    drain = asyncio.get_running_loop().create_task(server.drain(5, parting_s=1.0))
    await asyncio.sleep(0.3)
    kept_writer.write(GET)
    assert b"Connection: close" in await read_head(kept)
    await asyncio.sleep(1.2)
    slow_writer.write(GET[10:])
    assert b"Connection: close" in await read_head(slow)
    assert await drain


async def test_drain_has_an_end(peers: Peers) -> None:
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        exchange.listener = recorder

    server, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    await until(lambda: bool(server.exchanges))
    assert not await server.drain(0.1)
    assert recorder.outcomes == [Outcome.CANCELLED]
    assert await read_rest(reader) == b""


async def test_errors_in_json_and_text(peers: Peers) -> None:
    def app(exchange: Exchange) -> None:
        answer_error(exchange, 503, "no room", "queue", revision="r-1")

    _, port = await peers.server(app)
    target = Target("127.0.0.1", port, headers=[(b"Host", b"a")])
    plain = await fetch(target, timeout_s=5)
    assert (plain.status, plain.body) == (503, b"no room")
    assert plain.response.get(b"k-pilotlight-leg") == b"queue"
    asked = [(b"Host", b"a"), (b"Accept", b"application/json")]
    structured = await fetch(Target("127.0.0.1", port, headers=asked), timeout_s=5)
    assert structured.body == b'{"error": "no room", "leg": "queue", "revision": "r-1"}'


async def test_the_admin_server() -> None:
    from prometheus_client import CollectorRegistry, Counter

    registry = CollectorRegistry()
    Counter("things", "Counted.", registry=registry).inc()
    state: dict[str, Any] = {"reason": "starting"}
    held: list[Exchange] = []
    admin = AdminServer(
        ready=lambda: state["reason"], metrics=lambda: registry, routes={"/wait": held.append}
    )
    port = await admin.listen("127.0.0.1", 0)

    async def get(path: bytes, method: bytes = b"GET") -> tuple[int, bytes]:
        target = Target("127.0.0.1", port, path, [(b"Host", b"a")], method)
        answer = await fetch(target, timeout_s=5)
        return answer.status, answer.body

    assert await get(b"/healthz?x") == (200, b"ok\n")
    assert await get(b"/readyz") == (503, b"starting\n")
    state["reason"] = None
    assert await get(b"/readyz") == (200, b"ok\n")
    status, body = await get(b"/metrics")
    assert status == 200
    assert b"things_total 1.0" in body
    assert (await get(b"/other"))[0] == 404
    assert (await get(b"/readyz", b"POST"))[0] == 405
    waiting = asyncio.get_running_loop().create_task(get(b"/wait"))
    await until(lambda: bool(held))
    held[0].respond(200, b"at last")
    assert await waiting == (200, b"at last")
    admin.close()
