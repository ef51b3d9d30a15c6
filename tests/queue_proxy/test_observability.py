"""What is on only where the cluster asks for it, and what Knative scrapes."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import threading
from collections.abc import Iterator

import pytest

from pilotlight.config.log_template import FIELDS
from pilotlight.http import Target, fetch
from pilotlight.http.fetch import Answer
from pilotlight_queue_proxy.observability import (
    Observability,
    ObservabilityError,
    parse_observability,
)
from pilotlight_queue_proxy.profiling import profile
from pilotlight_queue_proxy.request_log import _READERS, LARGEST_BACKLOG, Lines
from pilotlight_queue_proxy.stat import encode_stat
from tests.http.peers import Peers, until
from tests.queue_proxy.test_proxy import FROM_ACTIVATOR, GET, Pod, pod, probe, read_answer

__all__ = ["pod"]


async def get(port: int, path: bytes, timeout_s: float = 5) -> Answer:
    target = Target("127.0.0.1", port, path, [(b"Host", b"a")])
    return await fetch(target, timeout_s=timeout_s, max_body=1 << 20)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Observability()),
        ("{}", Observability(metrics="none")),
        ('{"requestMetrics": {"protocol": "prometheus"}}', Observability()),
        (
            '{"requestMetrics": {"protocol": "prometheus", "endpoint": "127.0.0.1:9999"}}',
            Observability(
                metrics_host="127.0.0.1", metrics_port=9999, metrics_endpoint="127.0.0.1:9999"
            ),
        ),
        ('{"requestMetrics": {"protocol": "prometheus", "endpoint": ":9999"}}',
         Observability(metrics_port=9999, metrics_endpoint=":9999")),
        ('{"requestMetrics": {"protocol": "grpc", "endpoint": "c:4317"}}',
         Observability(metrics="grpc", metrics_endpoint="c:4317")),
        (
            '{"enableRequestLog": true, "requestLogTemplate": "x", "enableProbeRequestLog": true,'
            '"runtime": {"profiling": "enabled"}}',
            Observability("x", True, "none", profiling=True),
        ),
        ('{"enableRequestLog": false, "requestLogTemplate": "x"}', Observability(metrics="none")),
    ],
)  # fmt: skip
def test_what_the_environment_says(text: str, wanted: Observability) -> None:
    assert parse_observability(text) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"runtime": 1}', "runtime must be an object"),
        ('{"requestMetrics": {"protocol": "prometheus", "endpoint": "a:b"}}', "must be host:port"),
        ('{"requestMetrics": {"protocol": "prometheus", "endpoint": "a:0"}}', "must be host:port"),
    ],
)
def test_what_it_must_not_say(text: str, complaint: str) -> None:
    with pytest.raises(ObservabilityError) as caught:
        parse_observability(text)
    assert complaint in str(caught.value)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the request log writes, with a pipe in place of standard output."""
    reading, writing = os.pipe()
    lines: list[str] = []

    def collect() -> None:
        with os.fdopen(reading) as stream:
            lines.extend(stream)

    thread = threading.Thread(target=collect)
    thread.start()
    monkeypatch.setattr(Lines.__init__, "__defaults__", (writing,))
    yield lines
    os.close(writing)
    thread.join(5)


TEMPLATE = (
    '{"m": "{{.Request.Method}}", "u": "{{js .Request.RequestURI}}", "p": "{{.Request.URL.Path}}", '
    '"c": {{.Response.Code}}, "s": {{.Response.Size}}, "l": {{.Response.Latency}}, '
    '"h": "{{.Request.Host}}", "x": "{{.Request.Header.Get "X-Y"}}", "t": "{{.TraceID}}", '
    '"r": "{{.Revision.Name}}", "v": "{{.Request.Proto}}", "a": "{{.Request.RemoteAddr}}"}'
)


async def test_a_line_for_each_request(pod: Pod, peers: Peers, written: list[str]) -> None:
    proxy = await pod.start(observability=Observability(TEMPLATE), concurrency=1)
    reader, writer = await peers.connect(proxy.port)
    writer.write(
        b'GET /pq?x=1" HTTP/1.1\r\nHost: app\r\nX-Y: z\r\n'
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
    )
    await read_answer(reader)
    assert (await probe(proxy)).status == 200
    pod.app.holding = True
    writer.write(GET)
    await until(lambda: len(pod.app.held) == 1)
    busy, busy_writer = await peers.connect(proxy.port)
    busy_writer.write(FROM_ACTIVATOR)
    await read_answer(busy)
    writer.close()
    await until(lambda: len(written) == 3)
    first, given_back, gone = (json.loads(line) for line in written)
    assert 0 < first.pop("l") < 5
    assert first == {
        "m": "GET",
        "u": '/pq?x=1"',
        "p": "/pq",
        "c": 200,
        "s": 3,
        "h": "app",
        "x": "z",
        "t": "4bf92f3577b34da6a3ce929d0e0e4736",
        "r": "r-1",
        "v": "HTTP/1.1",
        "a": "127.0.0.1",
    }
    assert (given_back["c"], gone["c"]) == (503, 499)


async def test_probes_are_logged_when_asked_for(pod: Pod, written: list[str]) -> None:
    proxy = await pod.start(observability=Observability("{{.Request.UserAgent}}", True))
    assert (await probe(proxy)).status == 200
    await until(lambda: written == ["kube-probe/1\n"])


async def test_a_template_of_another_version_costs_the_log_only(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start(observability=Observability("{{.Request.Body}}"))
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    assert (await read_answer(reader))[1] == b"app"


async def test_a_reader_that_is_slow_costs_lines_and_no_memory() -> None:
    reading, writing = os.pipe()
    lines = Lines(writing)
    line = b"x" * 1023 + b"\n"
    for _ in range(2000):
        lines.write(line)
    kept = LARGEST_BACKLOG // len(line)
    assert lines.dropped == 2000 - kept

    def read() -> int:
        count = 0
        while count < kept * len(line):
            count += len(os.read(reading, 65536))
        return count

    got = asyncio.get_running_loop().run_in_executor(None, read)
    await lines.close(5)
    assert await got == kept * len(line)
    os.close(reading)
    os.close(writing)


async def test_metrics_only_where_prometheus_scrapes(pod: Pod) -> None:
    proxy = await pod.start(observability=Observability(metrics="none"))
    assert proxy.metrics_port == 0
    assert proxy.port


async def test_profiling(pod: Pod) -> None:
    proxy = await pod.start(observability=Observability(profiling=True))
    assert proxy.extras is not None
    port = proxy.extras.profiling_port
    text = (await get(port, b"/debug/stacks")).body.decode()
    assert "task readiness" in text
    assert "thread MainThread" in text
    answers = await asyncio.gather(
        get(port, b"/debug/profile?seconds=0.3"), get(port, b"/debug/profile?seconds=0.3")
    )
    assert sorted(answer.status for answer in answers) == [200, 503]
    (made,) = (answer.body.decode() for answer in answers if answer.status == 200)
    assert "asyncio.runners.Runner.run:" in made
    stack, _, count = made.splitlines()[0].rpartition(" ")
    assert stack
    assert int(count) > 0
    for bad in (b"seconds=0", b"seconds=31", b"seconds=nan", b"seconds=x", b"minutes=1"):
        assert (await get(port, b"/debug/profile?" + bad)).status == 400
    assert b"/debug/stacks" in (await get(port, b"/debug/")).body


async def test_no_profiling_unless_asked_for(pod: Pod) -> None:
    proxy = await pod.start()
    assert proxy.extras is None


def test_a_profile_counts_where_a_thread_is() -> None:
    asked = threading.Event()

    def wait_here() -> None:
        asked.wait()

    thread = threading.Thread(target=wait_here)
    thread.start()
    assert thread.ident is not None
    text = profile(thread.ident, 0.05)
    asked.set()
    thread.join()
    assert "wait_here" in text.splitlines()[0]


def test_a_stat_is_protobuf() -> None:
    message = encode_stat("p", (1.5, 0.0, 2.0, 0.0, 300.0), 300)
    assert message == (
        b"\x0a\x01p\x11"
        + struct.pack("<d", 1.5)
        + b"\x21"
        + struct.pack("<d", 2.0)
        + b"\x31"
        + struct.pack("<d", 300.0)
        + b"\x38\xac\x02"
    )


def decoded(message: bytes) -> dict[int, float | bytes]:
    fields: dict[int, float | bytes] = {}
    at = 0
    while at < len(message):
        number, wire = message[at] >> 3, message[at] & 7
        at += 1
        if wire == 1:
            fields[number] = struct.unpack("<d", message[at : at + 8])[0]
            at += 8
        elif wire == 2:
            size = message[at]
            fields[number] = message[at + 1 : at + 1 + size]
            at += 1 + size
        else:
            break
    return fields


async def test_what_knatives_autoscaler_scrapes(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start()
    answer = await get(proxy.autometric_port, b"/metrics")
    assert answer.response.get(b"content-type") == b"application/protobuf"
    for request in (GET, FROM_ACTIVATOR, FROM_ACTIVATOR):
        _, writer = await peers.connect(proxy.port)
        writer.write(request)
    await until(lambda: len(pod.app.held) == 3)

    async def scraped() -> dict[int, float | bytes]:
        return decoded((await get(proxy.autometric_port, b"/metrics")).body)

    async with asyncio.timeout(5):
        while (await scraped()).get(2) != pytest.approx(3.0, abs=0.01):
            await asyncio.sleep(0.05)
    stat = await scraped()
    assert stat[3] == pytest.approx(2.0, abs=0.01)
    direct = proxy.requests.direct
    assert direct is not None
    for exchange in sorted(pod.app.held, key=lambda e: e.request.get(b"k-proxy-request") is None):
        assert direct.inflight == 1
        left = proxy.requests.meter.inflight - 1
        exchange.respond(200, b"app")
        await until(lambda n=left: proxy.requests.meter.inflight == n)  # type: ignore[misc]
    assert direct.inflight == 0
    async with asyncio.timeout(5):
        while (await scraped()).get(2):
            await asyncio.sleep(0.05)


def test_everything_that_a_template_may_name_is_known_here() -> None:
    assert set(_READERS) == FIELDS
