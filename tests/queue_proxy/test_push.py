"""Metrics that are pushed to a collector."""

from __future__ import annotations

import asyncio
import struct

import pytest

from pilotlight_queue_proxy.metrics import Metrics
from pilotlight_queue_proxy.observability import Observability
from pilotlight_queue_proxy.otlp import Span, encode_metrics
from pilotlight_queue_proxy.push import Collector, Push, collector
from pilotlight_queue_proxy.settings import parse
from tests.http.peers import Peers, until
from tests.queue_proxy.test_grpc_check import OK, SETTINGS, Peer, frame, peer
from tests.queue_proxy.test_proxy import GET, Pod, pod, read_answer

__all__ = ["peer", "pod"]

METRICS_PATH = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
IDENTITY = parse(
    {"SERVING_NAMESPACE": "ns", "SERVING_REVISION": "r-1", "SERVING_SERVICE": "s"}
).identity
Fields = dict[int, list["int | bytes"]]


def decoded(message: bytes) -> Fields:
    """The fields of a message, numbers and bytes as they are."""
    fields: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(message):
        key = varint()
        value: int | bytes
        if key & 7 == 0:
            value = varint()
        elif key & 7 == 1:
            value, at = message[at : at + 8], at + 8
        else:
            size = varint()
            value, at = message[at : at + size], at + size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def inside(message: bytes, *path: int) -> bytes:
    for field in path:
        value = decoded(message)[field][0]
        assert isinstance(value, bytes)
        message = value
    return message


def by_name(request: bytes) -> dict[str, bytes]:
    found = {}
    for metric in decoded(inside(request, 1, 2))[2]:
        assert isinstance(metric, bytes)
        found[inside(metric, 1).decode()] = metric
    return found


def test_the_message() -> None:
    metrics = Metrics(IDENTITY, lambda: 3)
    metrics.record(200, "kn:disabled", 0.03, 0.02)
    metrics.record(200, "kn:disabled", 20.0, None)
    metrics.busy["full"] += 2
    request = encode_metrics(metrics, IDENTITY, Span(1, 2))
    attributes = [decoded(a) for a in decoded(inside(request, 1, 1))[1] if isinstance(a, bytes)]
    names = {key: inside(value, 1) for a in attributes if isinstance(key := a[1][0], bytes)
             and isinstance(value := a[2][0], bytes)}  # fmt: skip
    assert names[b"service.name"] == b"s"
    assert names[b"kn.revision.name"] == b"r-1"
    assert b"k8s.pod.name" not in names
    found = by_name(request)
    assert set(found) == {
        "kn.serving.queue.depth",
        "kn.serving.invocation.duration",
        "http.client.request.duration",
        "http.server.request.duration",
        "pilotlight.queue_proxy.busy_answers",
    }
    depth = decoded(inside(found["kn.serving.queue.depth"], 5, 1))
    assert depth[6] == [struct.pack("<q", 3)]
    served = decoded(inside(found["http.server.request.duration"], 9, 1))
    assert served[4] == [struct.pack("<Q", 2)]
    assert served[5] == [struct.pack("<d", 20.03)]
    counts = inside(found["http.server.request.duration"], 9, 1, 6)
    bounds = inside(found["http.server.request.duration"], 9, 1, 7)
    assert len(counts) == len(bounds) + 8
    assert struct.unpack("<15Q", counts) == (0, 0, 0, 1, *([0] * 10), 1)
    assert decoded(inside(found["http.server.request.duration"], 9))[2] == [2]


@pytest.mark.parametrize(
    ("protocol", "endpoint", "wanted"),
    [
        ("grpc", "c:99", Collector("grpc", "c", 99, METRICS_PATH)),
        ("grpc", "http://c", Collector("grpc", "c", 4317, METRICS_PATH)),
        ("http/protobuf", "http://c/", Collector("http/protobuf", "c", 4318, "/v1/metrics")),
        ("http/protobuf", "http://c:1/a/b", Collector("http/protobuf", "c", 1, "/a/b")),
    ],
)
def test_where_to(protocol: str, endpoint: str, wanted: Collector) -> None:
    assert collector(protocol, endpoint) == wanted


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [("udp", "c:1"), ("grpc", "https://c"), ("grpc", ""), ("grpc", "c:none")],
)
def test_where_to_is_refused(protocol: str, endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"unknown protocol|must be host:port|Port could not"):
        collector(protocol, endpoint)


async def test_over_http(pod: Pod, peers: Peers) -> None:
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        asked.append(head)
        asked.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    port = (await peers.upstream(script)).port
    endpoint = f"http://127.0.0.1:{port}/v1/metrics"
    proxy = await pod.start(
        observability=Observability(
            metrics="http/protobuf", metrics_endpoint=endpoint, metrics_interval_s=0.05
        )
    )
    assert proxy.metrics_port == 0
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await read_answer(reader)
    await until(lambda: len(asked) >= 4)
    assert asked[0].startswith(b"POST /v1/metrics HTTP/1.1\r\n")
    assert b"Content-Type: application/x-protobuf" in asked[0]
    assert "kn.serving.queue.depth" in by_name(asked[1])


async def test_over_grpc(peer: Peer) -> None:
    peer.answer = [SETTINGS + frame(1, 4, OK) + frame(0, 0, b"\0\0\0\0\0") + frame(1, 5, b"\x88")]
    push = Push(collector("grpc", f"127.0.0.1:{peer.port}"))
    assert await push.send(b"x" * 40000, 5)
    assert METRICS_PATH.encode() in peer.asked
    peer.answer = [SETTINGS + frame(1, 5, OK)]
    assert not await push.send(b"", 5)
    assert push.failures == 1


async def test_failures_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    push = Push(collector("http/protobuf", f"127.0.0.1:{port}"))
    await push.send(b"", 5)
    await push.send(b"", 5)
    server.close()
    big = Push(collector("grpc", f"127.0.0.1:{port}"))
    await big.send(b"x" * 65531, 5)
    assert (push.failures, big.failures) == (2, 1)
    assert len([r for r in caplog.records if r.message == "telemetry cannot be pushed"]) == 2
