"""Spans of requests."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from pilotlight.http import Limits
from pilotlight.http.head import parse_request
from pilotlight_queue_proxy.observability import Observability
from pilotlight_queue_proxy.request_log import Lines
from pilotlight_queue_proxy.tracing import MOST_WAITING, Context, Tracer, context_of
from tests.http.peers import Peers, until
from tests.queue_proxy.test_proxy import GET, Pod, pod, probe, read_answer
from tests.queue_proxy.test_push import IDENTITY, Fields, decoded, inside

__all__ = ["pod"]

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
SAMPLED = b"00-" + TRACE + b"-" + PARENT + b"-01"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (SAMPLED, Context(TRACE, PARENT, True)),
        (SAMPLED[:-1] + b"0", Context(TRACE, PARENT, False)),
        (b"cc" + SAMPLED[2:] + b"-more", Context(TRACE, PARENT, True)),
        (b"ff" + SAMPLED[2:], None),
        (SAMPLED.replace(TRACE, b"0" * 32), None),
        (SAMPLED.replace(PARENT, b"0" * 16), None),
        (SAMPLED.upper(), None),
        (b"", None),
    ],
)
def test_contexts(value: bytes, wanted: Context | None) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: %b\r\n\r\n" % value
    parsed = parse_request(head, Limits())
    assert parsed is not None
    assert context_of(parsed[0]) == wanted


def named(request: bytes) -> dict[str, Fields]:
    spans = [span for span in decoded(inside(request, 1, 2))[2] if isinstance(span, bytes)]
    return {inside(span, 5).decode(): decoded(span) for span in spans}


async def test_a_traced_request(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    sent: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/traces HTTP/1.1\r\n")
        size = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        sent.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    endpoint = f"127.0.0.1:{(await peers.upstream(script)).port}"
    proxy = await pod.start(
        observability=Observability(traces="http/protobuf", traces_endpoint=endpoint),
        concurrency=1,
    )
    clients = [await peers.connect(proxy.port) for _ in range(2)]
    clients[0][1].write(GET)
    await until(lambda: len(pod.app.held) == 1)
    clients[1][1].write(GET.replace(b"\r\n\r\n", b"\r\nTraceparent: " + SAMPLED + b"\r\n\r\n"))
    await until(lambda: proxy.requests.meter.inflight == 2)
    assert (await probe(proxy)).status == 200
    pod.app.let_go()
    await until(lambda: len(pod.app.held) == 1)
    pod.app.let_go()
    for reader, _ in clients:
        await read_answer(reader)
    assert pod.app.seen[0].request.get(b"traceparent") is None, "the rate is 0"
    told = (pod.app.seen[1].request.all(b"traceparent"))[0].split(b"-")
    assert told[1] == TRACE
    await proxy.close()
    (request,) = sent
    spans = named(request)
    assert set(spans) == {"queue", "kn.queueproxy.wait", "kn.queueproxy.proxy"}
    queue, wait, passed = spans.values()
    assert queue[1] == [bytes.fromhex(TRACE.decode())]
    assert queue[4] == [bytes.fromhex(PARENT.decode())]
    assert wait[4] == passed[4] == queue[2]
    assert passed[2] == [bytes.fromhex(told[2].decode())]
    assert wait[8] == passed[7]
    begin, end = (int.from_bytes(queue[n][0], "little") for n in (7, 8))  # type: ignore[arg-type]
    assert 0 < end - begin < 10e9


async def test_a_trace_begins_here_at_the_rate(pod: Pod, peers: Peers) -> None:
    reading, writing = os.pipe()
    proxy = await pod.start(observability=Observability(traces="stdout", traces_rate=1.0))
    assert proxy.extras is not None
    lines = proxy.extras.lines
    assert lines is not None
    lines._descriptor = writing
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET + GET.replace(b"\r\n\r\n", b"\r\ntraceparent: " + SAMPLED[:-1] + b"0\r\n\r\n"))
    await read_answer(reader)
    await read_answer(reader)
    await lines.close()
    (line,) = (json.loads(line) for line in os.read(reading, 65536).splitlines())
    assert (line["name"], line["status"], line["parentSpanId"]) == ("queue", 200, "")
    told = pod.app.seen[0].request.get(b"traceparent")
    assert told is not None
    assert told.split(b"-")[1].decode() == line["traceId"]
    assert pod.app.seen[1].request.get(b"traceparent") == SAMPLED[:-1] + b"0"
    os.close(reading)
    os.close(writing)


async def test_spans_that_nobody_takes_are_dropped(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start(
        observability=Observability(traces="grpc", traces_endpoint="127.0.0.1:1", traces_rate=1.0)
    )
    tracer = proxy.requests.metrics.tracer
    assert tracer is not None
    tracer._waiting = [b"x"] * MOST_WAITING
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await read_answer(reader)
    assert tracer.dropped == 1
    assert Tracer(IDENTITY, 1.0).take() == b""


def test_the_default_of_the_log_is_standard_output() -> None:
    assert Lines()._descriptor == 1
