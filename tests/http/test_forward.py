"""Requests forwarded to an upstream, both sides being raw sockets."""

from __future__ import annotations

import asyncio

import pytest

from pilotlight.http import (
    RETRY,
    Exchange,
    Forwarding,
    ForwardListener,
    Limits,
    Outcome,
    Pool,
    Response,
    Timeouts,
    Upstream,
)
from pilotlight.http.body import ChunkedBody
from pilotlight.http.fields import trailer_lines
from tests.http.peers import OK, Peers, Recorder, Script, read_head, read_rest, read_some, until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def answering(answer: bytes, seen: list[bytes] | None = None) -> Script:
    """An upstream that reads heads and sends the same bytes for each."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(head)
            writer.write(answer)

    return script


def closing(answer: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return script


def unchunked(body: bytes) -> tuple[bytes, list[bytes]]:
    decoder = ChunkedBody(Limits())
    payload = decoder.feed(body)
    assert decoder.done
    assert not decoder.rest
    return payload, trailer_lines(decoder.trailers)


async def proxy(
    peers: Peers, upstream: Upstream, recorder: Recorder | None = None, *, expect: bool = False
) -> int:
    def app(exchange: Exchange) -> None:
        exchange.forward(upstream, recorder or Recorder(), expect=expect)

    _, port = await peers.server(app)
    return port


async def test_connections_are_reused_on_both_sides(peers: Peers) -> None:
    seen: list[bytes] = []
    upstream = await peers.upstream(answering(OK, seen))
    recorder = Recorder()
    port = await proxy(peers, upstream, recorder)
    reader, writer = await peers.connect(port)
    for _ in range(5):
        writer.write(GET)
        assert await read_some(reader, len(OK)) == OK
    assert seen == [GET] * 5
    assert (upstream.idle, upstream.busy) == (1, 0)
    assert recorder.outcomes == [Outcome.ANSWERED] * 5


@pytest.mark.parametrize(
    ("answer", "version", "received"),
    [
        pytest.param(
            b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-Case: y\r\nKeep-Alive: 1\r\n\r\nabc",
            b"1.1",
            b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-Case: y\r\n\r\nabc",
            id="length",
        ),
        pytest.param(
            CHUNKED + b"1;x=y\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            b"1.1",
            CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(
            CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
            b"1.1",
            CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
            id="trailers",
        ),
        pytest.param(
            CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
            b"1.0",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
            id="chunked for 1.0",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc",
            b"1.1",
            b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            id="until close",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc",
            b"1.0",
            b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nabc",
            id="until close for 1.0",
        ),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
            b"1.1",
            b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
            id="204",
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
            b"1.1",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
            id="304",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
            b"1.1",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
            id="103",
        ),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"1.0", None, id="103 for 1.0"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"1.1", OK, id="100 unasked"),
    ],
)
@pytest.mark.parametrize("by_byte", [False, True], ids=["whole", "bytes"])
async def test_answers(
    peers: Peers, answer: bytes, version: bytes, received: bytes | None, by_byte: bool
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not by_byte:
            writer.write(answer)
        else:
            for n in range(len(answer)):
                writer.write(answer[n : n + 1])
                await asyncio.sleep(0)

    port = await proxy(peers, await peers.upstream(script))
    reader, writer = await peers.connect(port)
    writer.write(GET.replace(b"1.1", version))
    if received is None:
        received = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    if by_byte and b"chunked" in received:
        end = b"0\r\n" + received.partition(b"\r\n0\r\n")[2]
        head, _, body = (await reader.readuntil(end)).partition(b"\r\n\r\n")
        assert head == received.partition(b"\r\n\r\n")[0]
        assert unchunked(body) == unchunked(received.partition(b"\r\n\r\n")[2])
    else:
        assert await read_some(reader, len(received)) == received
    if version == b"1.0":
        assert await read_rest(reader) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
    ],
)
async def test_bad_answers_are_502(peers: Peers, answer: bytes) -> None:
    recorder = Recorder()
    upstream = await peers.upstream(closing(answer))
    port = await proxy(peers, upstream, recorder)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    while not (head := await read_head(reader)).startswith(b"HTTP/1.1 502 Bad Gateway"):
        assert head.startswith(b"HTTP/1.1 103")
    assert b"K-Pilotlight-Leg: app" in head
    assert recorder.errors == [("app", answer == b"")]
    assert (upstream.busy, upstream.idle) == (0, 0)


@pytest.mark.parametrize(
    ("framing", "rest"),
    [
        pytest.param(b"Content-Length: 11", b"abc", id="length"),
        pytest.param(b"Transfer-Encoding: chunked", b"3\r\nabc\r\n", id="chunked"),
        pytest.param(b"Transfer-Encoding: chunked", b"3\r\nabc\r\nx\r\n", id="bad chunk"),
    ],
)
async def test_a_truncated_answer_is_seen_as_truncated(
    peers: Peers, framing: bytes, rest: bytes
) -> None:
    sent = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        await sent.wait()
        writer.write(rest)

    recorder = Recorder()
    port = await proxy(peers, await peers.upstream(script), recorder)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert (await read_head(reader)).startswith(b"HTTP/1.1 200 OK")
    sent.set()
    assert await read_rest(reader) in (rest, b"3\r\nabc\r\n", b"")
    assert recorder.outcomes == [Outcome.TRUNCATED]


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 204 No Content\r\n\r\n"], ids=["200", "204"])
async def test_surplus_bytes_end_the_connection(peers: Peers, answer: bytes) -> None:
    upstream = await peers.upstream(answering(answer + b"HTTP/1.1 200 OK\r\n"))
    port = await proxy(peers, upstream)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert await read_some(reader, len(answer)) == answer
    await until(lambda: upstream.busy == 0)
    assert upstream.idle == 0


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("by_byte", [False, True], ids=["whole", "bytes"])
async def test_request_bodies(peers: Peers, body: bytes, by_byte: bool) -> None:
    got = b""
    end = b"hello" if b"Length" in body else b"X-Sum: 1\r\n\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        while True:
            got += await reader.readuntil(end)
            writer.write(OK)

    port = await proxy(peers, await peers.upstream(script))
    reader, writer = await peers.connect(port)
    data = (b"POST / HTTP/1.1\r\nHost: a\r\n" + body) * 2
    if by_byte:
        for n in range(len(data)):
            writer.write(data[n : n + 1])
            await asyncio.sleep(0)
    else:
        writer.write(data)
    assert await read_some(reader, 2 * len(OK)) == OK * 2
    heads = [part for part in got.split(b"POST / HTTP/1.1\r\n") if part]
    assert len(heads) == 2
    for head in heads:
        assert head.startswith(b"Host: a\r\n")
        if b"chunked" in body:
            assert unchunked(head.partition(b"\r\n\r\n")[2]) == (b"hello", [b"X-Sum: 1"])


async def test_expect_is_answered_when_the_request_is_accepted(peers: Peers) -> None:
    waiting: list[Exchange] = []
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"hello"))
        writer.write(OK)

    upstream = await peers.upstream(script)
    _, port = await peers.server(waiting.append)
    reader, writer = await peers.connect(port)
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head)
    await until(lambda: bool(waiting))
    waiting[0].forward(upstream)
    assert await read_head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    assert await read_some(reader, len(OK)) == OK
    assert b"Expect" not in seen[0]


async def test_a_client_is_asked_for_its_body_once(peers: Peers) -> None:
    async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"hello")
        writer.write(OK)

    bad_upstream = await peers.upstream(closing(b""))
    good_upstream = await peers.upstream(good)

    class Again(ForwardListener):
        def on_error(
            self, exchange: Exchange, leg: str, error: Exception, replayable: bool
        ) -> None:
            exchange.forward(good_upstream)

    _, port = await peers.server(lambda exchange: exchange.forward(bad_upstream, Again()))
    reader, writer = await peers.connect(port)
    writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert await read_head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await until(lambda: good_upstream.busy == 1)
    writer.write(b"hello")
    assert await read_some(reader, len(OK)) == OK


async def test_expect_is_refused_by_a_final_answer(peers: Peers) -> None:
    _, port = await peers.server(lambda exchange: exchange.respond(503, b"full"))
    reader, writer = await peers.connect(port)
    writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    answer = await read_rest(reader)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close" in answer


async def test_a_large_body_waits_for_the_upstream(peers: Peers) -> None:
    """With `expect`, a refusal can be taken back although the body is larger than what is kept."""
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if len(asked) == 1:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(5)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(1_000_000)
        writer.write(OK)

    upstream = await peers.upstream(script)

    class Busy(Recorder):
        def on_head(self, exchange: Exchange, response: Response) -> bool:
            super().on_head(exchange, response)
            return response.status == 503

        def on_retry(self, exchange: Exchange) -> None:
            exchange.forward(upstream, expect=True)

    port = await proxy(peers, upstream, Busy(), expect=True)
    reader, writer = await peers.connect(port)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    )
    assert await read_some(reader, len(OK)) == OK
    assert len(asked) == 2
    assert all(b"Expect: 100-continue\r\n" in head for head in asked)


@pytest.mark.parametrize("size", [100_000, 8_000_000], ids=["soon complete", "large"])
async def test_a_body_that_comes_back_again_and_again_is_neither_lost_nor_grows(
    peers: Peers, size: int
) -> None:
    """Each busy answer must leave the body as it was: unread beyond the limit, and unsent."""
    heads: list[bytes] = []
    held: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) <= 20:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(size)
        writer.write(OK)

    upstream = await peers.upstream(script)

    class Busy(Recorder):
        def on_head(self, exchange: Exchange, response: Response) -> bool:
            super().on_head(exchange, response)
            return response.status == 503

        def on_retry(self, exchange: Exchange) -> None:
            held.append(exchange._kept_size)
            asyncio.get_running_loop().call_later(
                0.005, lambda: exchange.forward(upstream, expect=True)
            )

    port = await proxy(peers, upstream, Busy(), expect=True)
    reader, writer = await peers.connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    writer.write(b"x" * size)
    assert await read_some(reader, len(OK)) == OK
    assert len(heads) == 21
    assert all(b"Expect: 100-continue\r\n" in head for head in heads)
    assert max(held) <= 65536 + 262144, "the limit, and the one read that passes it"


async def test_a_busy_answer_is_taken_back(peers: Peers) -> None:
    busy = await peers.upstream(answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx"))
    good = await peers.upstream(answering(OK))

    class Listener(Recorder):
        def on_head(self, exchange: Exchange, response: Response) -> bool:
            super().on_head(exchange, response)
            return RETRY if response.status == 503 else False

        def on_retry(self, exchange: Exchange) -> None:
            assert exchange.can_retry
            exchange.forward(good)

    listener = Listener()
    port = await proxy(peers, busy, listener)
    reader, writer = await peers.connect(port)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for data in (GET, post):
        writer.write(data)
        assert await read_some(reader, len(OK)) == OK
    assert listener.answers == [503, 200, 503, 200]
    assert listener.outcomes == [Outcome.ANSWERED] * 2
    assert (busy.idle, good.idle) == (1, 1)


async def test_what_may_be_replayed(peers: Peers) -> None:
    """Nothing answered: replayable for idempotent methods whose body is in hand. Not connected:
    always."""
    silent = await peers.upstream(closing(b""))

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)

    hungry = await peers.upstream(reset)
    nowhere = Upstream("127.0.0.1", 1)

    async def replayable(data: bytes, upstream: Upstream) -> tuple[str, bool]:
        recorder = Recorder()
        port = await proxy(peers, upstream, recorder)
        reader, writer = await peers.connect(port)
        writer.write(data)
        assert (await read_head(reader)).startswith(b"HTTP/1.1 502 ")
        (error,) = recorder.errors
        return error

    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    large = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    assert await replayable(GET, silent) == ("app", True)
    assert await replayable(post.replace(b"POST", b"PUT"), silent) == ("app", True)
    assert await replayable(post, silent) == ("app", False)
    assert await replayable(large, hungry) == ("app", False)
    assert await replayable(post, nowhere) == ("connect", True)
    assert await replayable(large, nowhere) == ("connect", True)


async def test_a_replay_sends_the_body_again(peers: Peers) -> None:
    good_bodies: list[bytes] = []

    async def good_script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        good_bodies.append(await reader.readexactly(5))
        writer.write(OK)

    good = await peers.upstream(good_script)

    class Again(ForwardListener):
        def on_error(
            self, exchange: Exchange, leg: str, error: Exception, replayable: bool
        ) -> None:
            assert replayable
            exchange.forward(good)

    bad = await peers.upstream(closing(b""))
    _, port = await peers.server(lambda exchange: exchange.forward(bad, Again()))
    reader, writer = await peers.connect(port)
    writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.write(b"hello")
    assert await read_some(reader, len(OK)) == OK
    assert good_bodies == [b"hello"]


async def test_an_early_answer_reaches_a_client_that_is_still_sending(peers: Peers) -> None:
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"
    upstream = await peers.upstream(answering(early))
    port = await proxy(peers, upstream)
    reader, writer = await peers.connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 1000)
    assert await read_some(reader, len(early)) == early
    assert await read_rest(reader) == b""
    await until(lambda: upstream.busy == 0)
    assert upstream.idle == 0


async def test_server_sent_events_are_not_held_back(peers: Peers) -> None:
    ready = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for n in range(3):
            await ready.wait()
            ready.clear()
            writer.write(b"data: %d\n\n" % n)

    port = await proxy(peers, await peers.upstream(script))
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert b"text/event-stream" in await read_head(reader)
    for n in range(3):
        ready.set()
        event = b"9\r\ndata: %d\n\n\r\n" % n
        assert await read_some(reader, len(event)) == event


async def test_client_goes_and_the_upstream_is_cancelled(peers: Peers) -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await reader.read()
        finally:
            closed.set()

    recorder = Recorder()
    upstream = await peers.upstream(script)
    port = await proxy(peers, upstream, recorder)
    _, writer = await peers.connect(port)
    writer.write(GET)
    await until(lambda: upstream.busy == 1)
    writer.close()
    async with asyncio.timeout(5):
        await closed.wait()
    assert recorder.outcomes == [Outcome.GONE]
    assert upstream.busy == 0


async def test_client_goes_while_connecting(peers: Peers) -> None:
    upstream = await peers.upstream(answering(OK))
    recorder = Recorder()

    def app(exchange: Exchange) -> None:
        exchange.forward(upstream, recorder)
        exchange.cancel()

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert await read_rest(reader) == b""
    assert recorder.outcomes == [Outcome.CANCELLED]
    await until(lambda: upstream.idle == 1)
    assert upstream.busy == 0


async def test_a_timeout_before_the_answer_is_504(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    upstream = await peers.upstream(script)

    def app(exchange: Exchange) -> None:
        exchange.limit(Timeouts(total_s=5, response_start_s=0.2))
        exchange.forward(upstream)

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert (await read_head(reader)).startswith(b"HTTP/1.1 504 ")
    assert await read_some(reader, 15) == b"request timeout"
    assert (upstream.busy, upstream.idle) == (0, 0)
    writer.write(GET)
    assert (await read_head(reader)).startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize(
    "timeouts", [Timeouts(total_s=0.4), Timeouts(idle_s=0.3)], ids=["total", "idle"]
)
async def test_a_timeout_within_the_answer_cuts_it_off(peers: Peers, timeouts: Timeouts) -> None:
    port_app_recorder = Recorder()
    upstream = await peers.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))

    def app(exchange: Exchange) -> None:
        exchange.limit(timeouts)
        exchange.forward(upstream, port_app_recorder)

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert (await read_rest(reader)).endswith(b"\r\n\r\nabc")
    assert port_app_recorder.outcomes == [Outcome.TIMED_OUT]


async def test_an_active_answer_is_not_idle(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(b"x")

    upstream = await peers.upstream(script)

    def app(exchange: Exchange) -> None:
        exchange.limit(Timeouts(response_start_s=0.4, idle_s=0.4))
        exchange.forward(upstream)

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    await read_head(reader)
    assert await read_some(reader, 10) == b"x" * 10


async def test_the_pool_is_bounded_and_forgets(peers: Peers) -> None:
    gate = asyncio.Event()
    closed = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await gate.wait()
            writer.write(OK)

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        try:
            await script(reader, writer)
        finally:
            closed += 1

    upstream = await peers.upstream(counting, pool=Pool(max_idle=3, idle_s=0.2))
    port = await proxy(peers, upstream)
    clients = [await peers.connect(port) for _ in range(8)]
    for _, writer in clients:
        writer.write(GET)
    await until(lambda: upstream.busy == 8)
    gate.set()
    for reader, _ in clients:
        assert await read_some(reader, len(OK)) == OK
    assert upstream.idle == 3
    await until(lambda: upstream.idle == 0)
    await until(lambda: closed == 8)


async def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool(peers: Peers) -> None:
    upstream = await peers.upstream(closing(OK))
    port = await proxy(peers, upstream)
    reader, writer = await peers.connect(port)
    for _ in range(3):
        writer.write(GET)
        assert await read_some(reader, len(OK)) == OK
        await until(lambda: upstream.idle == 0)
    assert upstream.busy == 0


async def test_header_fields_of_ours_are_added(peers: Peers) -> None:
    seen: list[bytes] = []
    upstream = await peers.upstream(answering(OK, seen))

    def app(exchange: Exchange) -> None:
        exchange.add_header(b"Server-Timing", b"total;dur=1")
        exchange.forward(upstream, edit=Forwarding(add=[(b"X-By", b"us")]))

    _, port = await peers.server(app)
    reader, writer = await peers.connect(port)
    writer.write(GET)
    assert b"\r\nServer-Timing: total;dur=1\r\n" in await read_head(reader)
    assert seen[0].endswith(b"\r\nX-By: us\r\n\r\n")


async def test_a_pipelining_client_gets_forwarded_answers_in_order(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1]
            await asyncio.sleep(0.02 if path == b"/0" else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)

    port = await proxy(peers, await peers.upstream(script))
    reader, writer = await peers.connect(port)
    writer.write(b"".join(GET.replace(b"/x", b"/%d" % n) for n in range(9)))
    for n in range(9):
        await read_head(reader)
        assert await read_some(reader, 2) == b"/%d" % n


def test_limits_are_values() -> None:
    assert Limits() == Limits()
    assert Pool() == Pool()
