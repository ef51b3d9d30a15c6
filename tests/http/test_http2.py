"""HTTP/2 on either side, good peers and bad ones."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable

import pytest
from h2 import events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from pilotlight.http import (
    LEG_QUEUE,
    Exchange,
    ForwardListener,
    Limits,
    Outcome,
    Pool,
    Server,
    Timeouts,
    Upstream,
    answer_error,
)
from pilotlight.http.http2.patience import Patience
from pilotlight.http.http2.server import ServerConnection2
from pilotlight.http.http2.upstream import Upstream2
from tests.http.h2_peers import E, Pairs, Peer, asking, connect, listen
from tests.http.peers import OK, Peers, Recorder, read_head, read_rest, read_some, until

App = Callable[[Exchange], None]
LATE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"


async def serve(peers: Peers, app: App, limits: Limits | None = None) -> tuple[Server, int]:
    server = Server(app, limits=limits, http2=True)
    peers.closers.append(server.close)
    return server, await server.listen("127.0.0.1", 0)


async def client(peers: Peers, port: int) -> Peer:
    peer = await connect(port)
    peers.closers.append(peer.transport.close)
    return peer


async def upstream_of(
    peers: Peers, script: Callable[[Peer, E], None], settings: dict[SettingCodes, int] | None = None
) -> tuple[Upstream2, list[Peer]]:
    server, connections = await listen(script, settings)
    upstream = Upstream2("127.0.0.1", server.sockets[0].getsockname()[1])
    peers.closers += [server.close, upstream.close]
    return upstream, connections


def forwarding(
    upstream: Upstream, recorder: Recorder | None = None, *, expect: bool = False
) -> App:
    def app(exchange: Exchange) -> None:
        exchange.forward(upstream, recorder or Recorder(), expect=expect)

    return app


def ok(peer: Peer, event: E) -> None:
    """Answers each request when it is complete, with its body."""
    if isinstance(event, events.StreamEnded):
        number = event.stream_id
        peer.h2.send_headers(number, [(b":status", b"200"), (b"x-seen", b"yes")])
        peer.h2.send_data(number, b"seen:" + peer.body(number))
        peer.h2.send_headers(number, [(b"x-sum", b"1")], end_stream=True)


# The client's side


async def test_a_port_speaks_both_versions(peers: Peers) -> None:
    _, port = await serve(peers, lambda exchange: exchange.respond(200, exchange.request.target))
    reader, writer = await peers.connect(port)
    writer.write(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"200 OK" in await read_head(reader)
    peer = await client(peers, port)
    first, second = peer.ask(asking(path=b"/two")), peer.ask(asking(path=b"/three"))
    await until(lambda: peer.is_over(first) and peer.is_over(second))
    assert (peer.body(first), peer.body(second)) == (b"/two", b"/three")


async def test_the_preface_may_come_in_pieces(peers: Peers) -> None:
    _, port = await serve(peers, lambda exchange: exchange.respond(204))
    reader, writer = await peers.connect(port)
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await read_some(reader, 4))[3] == 4  # SETTINGS


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_where_http2_is_not_spoken_its_preface_is_refused(
    peers: Peers, before: bytes
) -> None:
    server, port = await serve(peers, lambda exchange: exchange.respond(200, b"ok"))
    server.http2 = bool(before)
    reader, writer = await peers.connect(port)
    writer.write(before)
    if before:
        await read_head(reader)
        await read_some(reader, 2)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"HTTP/1.1 505 " in await read_rest(reader)


BAD: list[tuple[str, Pairs, int]] = [
    ("upper case", asking(b"GET", b"/", (b"X-Upper", b"1")), 400),
    ("line end", asking(b"GET", b"/", (b"x", b"a\r\nb: c")), 400),
    ("line end in a name", asking(b"GET", b"/", (b"x\r\ny", b"a")), 400),
    ("line end in the path", asking(b"GET", b"/ HTTP/1.1\r\nx: y"), 400),
    ("connection", asking(b"GET", b"/", (b"connection", b"close")), 400),
    ("transfer-encoding", asking(b"GET", b"/", (b"transfer-encoding", b"chunked")), 400),
    ("te", asking(b"GET", b"/", (b"te", b"gzip")), 400),
    ("late pseudo-field", [*asking(), (b"x", b"1"), (b":path", b"/b")], 400),
    ("repeated pseudo-field", [*asking(), (b":path", b"/b")], 400),
    ("unknown pseudo-field", [*asking(), (b":protocol", b"websocket")], 400),
    ("other host", asking(b"GET", b"/", (b"host", b"b")), 400),
    ("no host", [pair for pair in asking() if pair[0] != b":authority"], 400),
    ("no path", asking()[:3], 400),
    ("space in method", asking(b"GE T"), 400),
    ("connect", asking(b"CONNECT"), 501),
    ("expectation", asking(b"GET", b"/", (b"expect", b"more")), 417),
    ("two lengths", asking(b"GET", b"/", *[(b"content-length", b"0")] * 2), 400),
    ("too many fields", asking(b"GET", b"/", *[(b"x", b"1")] * 140), 431),
    ("too large", asking(b"GET", b"/", (b"x", b"1" * 70_000)), 431),
    ("long path", asking(b"GET", b"/" + b"x" * 9000), 414),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "status"), [pytest.param(*b[1:], id=b[0]) for b in BAD])
async def test_a_bad_head_costs_its_stream_only(peers: Peers, pairs: Pairs, status: int) -> None:
    seen: list[Exchange] = []

    def app(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.respond(200)

    _, port = await serve(peers, app)
    peer = await client(peers, port)
    bad = peer.ask(pairs)
    good = peer.ask(asking())
    await until(lambda: peer.is_over(bad) and peer.is_over(good))
    assert (peer.status(bad), peer.status(good)) == (status, 200)
    assert len(seen) == 1


async def test_more_streams_than_allowed_end_the_connection(peers: Peers) -> None:
    server, port = await serve(peers, lambda exchange: None)
    peer = await client(peers, port)
    await until(lambda: peer.has_seen(events.RemoteSettingsChanged))
    most = peer.h2.remote_settings.max_concurrent_streams
    assert most == 100
    peer.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
    peer.h2.remote_settings.acknowledge()
    for _ in range(most + 1):
        peer.ask(asking())
    await until(lambda: peer.closed)
    await until(lambda: not server.exchanges, "nothing is under way")


async def test_rapid_resets_are_read_slowly(peers: Peers) -> None:
    """CVE-2023-44487: the cost of streams that are taken back at once is bounded."""
    began = 0
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        nonlocal began
        began += 1
        exchange.listener = recorder

    server, port = await serve(peers, app)
    peer = await client(peers, port)
    await until(lambda: peer.has_seen(events.RemoteSettingsChanged))
    for _ in range(4000):
        number = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(number, asking(), end_stream=True)
        peer.h2.reset_stream(number)
    peer.flush()
    (connection,) = server.connections
    await until(lambda: not connection.transport.is_reading(), "it is not read")  # type: ignore[attr-defined]
    assert connection.framing.highest_inbound_stream_id < 2 * 2500  # type: ignore[attr-defined]
    assert not server.exchanges
    assert len(recorder.outcomes) == began


async def test_pings_that_nobody_hears_the_answers_of(peers: Peers) -> None:
    server, port = await serve(peers, lambda exchange: None)
    peer = await client(peers, port)
    await until(lambda: peer.has_seen(events.RemoteSettingsChanged))
    peer.transport.pause_reading()
    (connection,) = server.connections
    for _ in range(12):
        peer.send(*[PingFrame(0, b"12345678")] * 1000)
    await until(lambda: not connection.transport.is_reading(), "it is not read")  # type: ignore[attr-defined]
    assert connection.transport.get_write_buffer_size() < 2 << 20  # type: ignore[attr-defined]


async def test_heads_without_end_end_the_connection(peers: Peers) -> None:
    """The CONTINUATION flood."""
    server, port = await serve(peers, lambda exchange: None)
    peer = await client(peers, port)
    await until(lambda: peer.has_seen(events.RemoteSettingsChanged))
    head = HeadersFrame(1, peer.h2.encoder.encode(asking()))
    more = [ContinuationFrame(1, peer.h2.encoder.encode([(b"x%d" % n, b"y")])) for n in range(200)]
    peer.send(head, *more)
    await until(lambda: peer.closed)
    await until(lambda: not server.connections)


async def test_a_large_head_that_is_compressed_well_ends_the_connection(peers: Peers) -> None:
    server, port = await serve(peers, lambda exchange: None)
    peer = await client(peers, port)
    peer.ask(asking(b"GET", b"/", *[(b"x", b"y" * 3000)] * 100))
    await until(lambda: peer.closed)
    await until(lambda: not server.connections)


async def test_a_peer_cannot_make_our_table_large(peers: Peers) -> None:
    server, port = await serve(peers, lambda exchange: exchange.respond(204))
    peer = await client(peers, port)
    peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    number = peer.ask(asking())
    await until(lambda: peer.is_over(number))
    (connection,) = server.connections
    assert connection.framing.encoder.header_table_size == 4096  # type: ignore[attr-defined]


async def test_idle_connections_to_an_upstream_are_closed(peers: Peers) -> None:
    listener, connections = await listen(ok)
    port_of = listener.sockets[0].getsockname()[1]
    upstream = Upstream2("127.0.0.1", port_of, pool=Pool(idle_s=0.05))
    peers.closers += [listener.close, upstream.close]
    _, port = await serve(peers, forwarding(upstream))
    peer = await client(peers, port)
    number = peer.ask(asking())
    await until(lambda: peer.is_over(number))
    await until(lambda: connections[0].closed and not upstream.connections)


async def test_a_draining_server_says_goodbye_and_finishes(peers: Peers) -> None:
    held: list[Exchange] = []
    server, port = await serve(peers, held.append)
    peer = await client(peers, port)
    number = peer.ask(asking())
    await until(lambda: bool(held))
    draining = asyncio.get_running_loop().create_task(server.drain(5))
    (connection,) = server.connections
    await until(lambda: server.draining)
    connection.check(0.0)
    await until(lambda: peer.has_seen(events.ConnectionTerminated))
    assert not draining.done()
    held[0].respond(200, b"late")
    assert await draining
    await until(lambda: peer.closed)
    assert [type(e).__name__ for e in peer.events].count("ConnectionTerminated") >= 1
    assert number == 1


async def test_an_early_answer_ends_the_upload(peers: Peers) -> None:
    _, port = await serve(peers, lambda exchange: exchange.respond(403, b"no"))
    peer = await client(peers, port)
    number = peer.ask(asking(b"POST"), end=False)
    await until(lambda: bool(peer.of(number, events.StreamReset)))
    assert (peer.status(number), peer.body(number)) == (403, b"no")
    (reset,) = peer.of(number, events.StreamReset)
    assert reset.error_code == ErrorCodes.NO_ERROR


async def test_timeouts_and_ends_reset_the_stream(peers: Peers) -> None:
    def app(exchange: Exchange) -> None:
        exchange.limit(Timeouts(total_s=0.2))

    class Silent(ForwardListener):
        def on_timeout(self, exchange: Exchange, kind: str) -> None:
            exchange.cancel()

    def silent(exchange: Exchange) -> None:
        exchange.listener = Silent()
        app(exchange)

    _, port = await serve(peers, silent)
    peer = await client(peers, port)
    number = peer.ask(asking())
    await until(lambda: bool(peer.of(number, events.StreamReset)))


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"application/grpc", 200, b"14"), (b"application/grpc+json", 200, b"14"),
     (b"application/grpc-web", 503, None), (b"text/plain", 503, None)],
)  # fmt: skip
async def test_errors_of_ours_in_the_words_of_grpc(
    peers: Peers, content: bytes, status: int, code: bytes | None
) -> None:
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        exchange.listener = recorder
        answer_error(exchange, 503, "queue full: 100%", LEG_QUEUE)
        assert exchange.status == 503

    _, port = await serve(peers, app)
    peer = await client(peers, port)
    number = peer.ask(asking(b"POST", b"/", (b"content-type", content)))
    await until(lambda: peer.is_over(number))
    fields = peer.fields(number)
    assert (peer.status(number), fields.get(b"grpc-status")) == (status, code)
    if code is not None:
        assert fields[b"grpc-message"] == b"queue full: 100%25"
        assert peer.body(number) == b""


# Translation


async def test_http2_to_http1(peers: Peers) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        heads.append(await read_some(reader, len(b"4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n")))
        writer.write(LATE + b"2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n")

    upstream = await peers.upstream(script)
    _, port = await serve(peers, forwarding(upstream))
    peer = await client(peers, port)
    cookies = (b"cookie", b"a=1"), (b"cookie", b"b=2")
    number = peer.ask(asking(b"POST", b"/p", (b"te", b"trailers"), *cookies), end=False)
    peer.h2.send_data(number, b"body")
    peer.h2.send_headers(number, [(b"x-t", b"1")], end_stream=True)
    peer.flush()
    await until(lambda: peer.is_over(number))
    assert heads[0] == (
        b"POST /p HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: TE\r\nTE: trailers\r\n\r\n"
    )
    assert heads[1] == b"4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n"
    assert (peer.status(number), peer.body(number)) == (200, b"ok")
    assert b"transfer-encoding" not in peer.fields(number)
    (trailers,) = peer.of(number, events.TrailersReceived)
    assert trailers.headers == [(b"x-sum", b"2")]


async def test_http1_to_http2(peers: Peers) -> None:
    upstream, connections = await upstream_of(peers, ok)
    _, port = await serve(peers, forwarding(upstream))
    reader, writer = await peers.connect(port)
    writer.write(b"POST /p HTTP/1.1\r\nHost: a\r\nX-Case: 1\r\nConnection: x-gone\r\nX-Gone: 1\r\n")
    writer.write(b"Content-Length: 4\r\n\r\nbody")
    head = await read_head(reader)
    assert head.startswith(b"HTTP/1.1 200 OK\r\nx-seen: yes\r\nTransfer-Encoding: chunked\r\n")
    expected = b"9\r\nseen:body\r\n0\r\nx-sum: 1\r\n\r\n"
    assert await read_some(reader, len(expected)) == expected
    (peer,) = connections
    (asked,) = peer.of(1, events.RequestReceived)
    assert asked.headers == [
        (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/p"),
        (b"x-case", b"1"), (b"content-length", b"4"),
    ]  # fmt: skip
    assert (upstream.busy, upstream.connections) == (0, 1)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_answers_without_a_body(peers: Peers, method: bytes) -> None:
    def script(peer: Peer, event: E) -> None:
        if isinstance(event, events.RequestReceived):
            peer.h2.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)

    upstream, _ = await upstream_of(peers, script)
    _, port = await serve(peers, forwarding(upstream))
    reader, writer = await peers.connect(port)
    writer.write(method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await read_rest(reader)
    assert answer.endswith(b"0\r\n\r\n" if method == b"GET" else b"Connection: close\r\n\r\n")


async def test_an_upgrade_goes_by_http1(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Upgrade: websocket" in await read_head(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        writer.write(await reader.readexactly(4))

    plain = await peers.upstream(script)
    upstream = Upstream2("127.0.0.1", plain.port)
    peers.closers.append(upstream.close)
    _, port = await serve(peers, forwarding(upstream))
    reader, writer = await peers.connect(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert b" 101 " in await read_head(reader)
    writer.write(b"ping")
    assert await read_some(reader, 4) == b"ping"


async def test_a_body_waits_for_the_upstreams_word(peers: Peers) -> None:
    """What two of our own proxies say to each other before the body of a request."""
    taken: list[Exchange] = []

    def pod(exchange: Exchange) -> None:
        taken.append(exchange)
        assert exchange.request.expects_continue
        exchange.forward(plain)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"xpect" not in await read_head(reader)
        await read_some(reader, len(b"4\r\nbody\r\n0\r\n\r\n"))
        writer.write(OK)

    plain = await peers.upstream(script)
    _, pod_port = await serve(peers, pod)
    upstream = Upstream2("127.0.0.1", pod_port)
    peers.closers.append(upstream.close)
    _, port = await serve(peers, forwarding(upstream, expect=True))
    peer = await client(peers, port)
    number = peer.ask(asking(b"POST"), end=False)
    await until(lambda: bool(taken))
    peer.h2.send_data(number, b"body", end_stream=True)
    peer.flush()
    await until(lambda: peer.is_over(number))
    assert (peer.status(number), peer.body(number)) == (200, b"ok")


# The upstream's side


async def test_the_upstreams_limit_of_streams_is_respected(peers: Peers) -> None:
    most = 0

    def script(peer: Peer, event: E) -> None:
        nonlocal most
        most = max(most, peer.h2.open_inbound_streams)
        if isinstance(event, events.RequestReceived):
            number = event.stream_id
            asyncio.get_running_loop().call_later(0.01, answer, peer, number)

    def answer(peer: Peer, number: int) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")], end_stream=True)
        peer.flush()

    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 3}
    upstream, connections = await upstream_of(peers, script, settings)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    first = peer.ask(asking())
    await until(lambda: peer.is_over(first))
    numbers = [peer.ask(asking()) for _ in range(90)]
    await until(lambda: all(peer.is_over(number) for number in numbers))
    assert {peer.status(number) for number in numbers} == {200}
    assert most <= 3
    assert len(connections) <= 32
    assert upstream.busy == 0


async def test_a_goodbye_lets_streams_finish_and_sends_new_ones_elsewhere(peers: Peers) -> None:
    def script(peer: Peer, event: E) -> None:
        if isinstance(event, events.RequestReceived) and len(connections) == 2:
            peer.h2.send_headers(event.stream_id, [(b":status", b"204")], end_stream=True)

    upstream, connections = await upstream_of(peers, script)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    old, refused = peer.ask(asking()), peer.ask(asking(b"POST"))
    await until(
        lambda: bool(connections) and len(connections[0].of(3, events.RequestReceived)) == 1
    )
    first = connections[0]
    first.transport.write(bytes.fromhex("000008 07 00 00000000 00000001 00000000"))
    await until(lambda: peer.is_over(refused))
    assert recorder.errors == [("app", True)], "it was not looked at, so it may be sent again"
    new = peer.ask(asking())
    await until(lambda: peer.is_over(new))
    assert (peer.status(new), len(connections)) == (204, 2)
    first.h2.send_headers(1, [(b":status", b"200")], end_stream=True)
    first.flush()
    await until(lambda: peer.is_over(old))
    assert peer.status(old) == 200
    await until(lambda: first.closed, "a connection ends with its last stream")


@pytest.mark.parametrize(
    ("code", "replayable"), [(ErrorCodes.REFUSED_STREAM, True), (ErrorCodes.INTERNAL_ERROR, False)]
)
async def test_resets_of_the_upstream(peers: Peers, code: ErrorCodes, replayable: bool) -> None:
    def script(peer: Peer, event: E) -> None:
        if isinstance(event, events.RequestReceived):
            peer.h2.reset_stream(event.stream_id, code)

    upstream, _ = await upstream_of(peers, script)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    number = peer.ask(asking(b"POST"))
    await until(lambda: peer.is_over(number))
    assert (peer.status(number), recorder.errors) == (502, [("app", replayable)])


async def test_a_reset_in_the_middle_of_an_answer_is_passed_on(peers: Peers) -> None:
    def script(peer: Peer, event: E) -> None:
        if isinstance(event, events.RequestReceived):
            peer.h2.send_headers(event.stream_id, [(b":status", b"200")])
            peer.h2.send_data(event.stream_id, b"half")

    upstream, connections = await upstream_of(peers, script)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    number = peer.ask(asking())
    await until(lambda: peer.body(number) == b"half")
    connections[0].send(RstStreamFrame(1, error_code=ErrorCodes.ENHANCE_YOUR_CALM))
    await until(lambda: bool(peer.of(number, events.StreamReset)))
    (reset,) = peer.of(number, events.StreamReset)
    assert reset.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert recorder.outcomes == [Outcome.TRUNCATED]


async def test_a_client_that_leaves_takes_its_streams_along(peers: Peers) -> None:
    upstream, connections = await upstream_of(peers, lambda peer, event: None)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    peer.ask(asking())
    peer.ask(asking(b"POST"), end=False)
    await until(lambda: bool(connections) and bool(connections[0].of(3, events.RequestReceived)))
    peer.transport.abort()
    await until(lambda: len(recorder.outcomes) == 2)
    await until(
        lambda: len([e for e in connections[0].events if isinstance(e, events.StreamReset)]) == 2
    )
    assert recorder.outcomes == [Outcome.GONE] * 2
    assert upstream.busy == 0


async def test_an_upstream_that_is_not_there(peers: Peers) -> None:
    upstream = Upstream2("127.0.0.1", 1)
    recorder = Recorder()
    _, port = await serve(peers, forwarding(upstream, recorder))
    peer = await client(peers, port)
    numbers = [peer.ask(asking()) for _ in range(5)]
    await until(lambda: all(peer.is_over(number) for number in numbers))
    assert {peer.status(number) for number in numbers} == {502}
    assert recorder.errors == [("connect", True)] * 5


async def test_a_head_larger_than_the_upstream_takes_costs_one_request(peers: Peers) -> None:
    settings = {SettingCodes.MAX_HEADER_LIST_SIZE: 1000}
    upstream, connections = await upstream_of(peers, ok, settings)
    _, port = await serve(peers, forwarding(upstream))
    peer = await client(peers, port)
    first = peer.ask(asking())
    await until(lambda: peer.is_over(first))
    large, small = peer.ask(asking(b"GET", b"/", (b"x", b"y" * 2000))), peer.ask(asking())
    await until(lambda: peer.is_over(large) and peer.is_over(small))
    assert (peer.status(large), peer.status(small), len(connections)) == (502, 200, 1)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
async def test_curl(peers: Peers) -> None:
    upstream, _ = await upstream_of(peers, ok)
    _, port = await serve(peers, forwarding(upstream))
    for option in ("--http2-prior-knowledge", "--http2", "--http1.1"):
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", option, "-d", "body", "-w", " %{http_version}",
            f"http://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        version = b"2" if option == "--http2-prior-knowledge" else b"1.1"
        assert output == b"seen:body " + version


class Unread(asyncio.Transport):
    """A transport whose peer reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent = 0
        self.aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.unsent += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True


async def test_answers_that_pile_up_unread_end_the_connection() -> None:
    server = Server(lambda exchange: None, http2=True)
    connection, transport = ServerConnection2(server, ""), Unread()
    connection.begin(transport, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
    pings = PingFrame(0, b"12345678").serialize() * 900
    for _ in range(100):
        connection._patience = Patience(0.0)
        connection.data_received(pings)
    assert transport.aborted
    assert transport.unsent < 1.1 * (1 << 20)
