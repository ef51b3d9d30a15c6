"""The queue-proxy as a whole, in this process, on real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pilotlight.http import Exchange, Server, Target, Timeouts, fetch
from pilotlight.http.fetch import Answer
from pilotlight.load import wire
from pilotlight.load.meter import LATEST_PHASE_S
from pilotlight.load.server import Collector, Session
from pilotlight_queue_proxy.proxy import QueueProxy
from pilotlight_queue_proxy.settings import Settings, parse
from tests.http.peers import Peers, read_head, read_rest, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
FROM_ACTIVATOR = b"GET / HTTP/1.1\r\nHost: a\r\nK-Proxy-Request: activator\r\n\r\n"
PROBE = [(b"Host", b"a"), (b"K-Network-Probe", b"queue"), (b"User-Agent", b"kube-probe/1")]


class UserApp:
    """The user's container: holds requests until told, and counts how many it has at a time."""

    def __init__(self) -> None:
        self.held: list[Exchange] = []
        self.most = 0
        self.holding = False
        self.seen: list[Exchange] = []
        self.healthy = True
        self.answering: tuple[int, list[tuple[bytes, bytes]]] = (200, [])
        self.server = Server(self.answer)
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self.port = await self.server.listen("127.0.0.1", port)

    def answer(self, exchange: Exchange) -> None:
        if exchange.request.path == b"/health":
            exchange.respond(200 if self.healthy else 500)
            return
        self.seen.append(exchange)
        if not self.holding:
            status, headers = self.answering
            exchange.respond(status, b"app", headers)
            return
        self.held = [held for held in self.held if not held.ended] + [exchange]
        self.most = max(self.most, len(self.held))

    def let_go(self, count: int = 1) -> None:
        for exchange in self.held[:count]:
            exchange.respond(200, b"app")
        del self.held[:count]


class Activator:
    """A collector that remembers."""

    def __init__(self) -> None:
        self.key = b"k" * 32
        self.sessions: list[Session] = []
        self.frames: list[wire.Frame] = []
        self.gone = 0
        self.releases = True
        self.collector = Collector(self)

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        return self.key

    def on_greeting(self, session: Session) -> None:
        self.sessions.append(session)

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        self.frames.append(frame)
        state = frame.state if isinstance(frame, wire.State) else None
        if state is wire.PodState.DRAINING and self.releases:
            session.send(wire.encode_released())

    def on_gone(self, session: Session) -> None:
        self.gone += 1

    def states(self) -> list[wire.PodState]:
        return [frame.state for frame in self.frames if isinstance(frame, wire.State)]


class Pod:
    """A queue-proxy, its user's container, and an activator that hears it."""

    def __init__(self) -> None:
        self.app = UserApp()
        self.activator = Activator()
        self.proxy: QueueProxy | None = None

    async def start(self, **changes: object) -> QueueProxy:
        if not self.app.port:
            await self.app.start()
        reports = await self.activator.collector.start("127.0.0.1", 0)
        settings: Settings = parse(
            {
                "SERVING_NAMESPACE": "ns",
                "SERVING_REVISION": "r-1",
                "SERVING_READINESS_PROBE": '{"httpGet": {"path": "/health"}, "periodSeconds": 1}',
                "USER_PORT": str(self.app.port),
                "PILOTLIGHT_BIND": "127.0.0.1",
                "PILOTLIGHT_KEY": self.activator.key.hex(),
                "PILOTLIGHT_ACTIVATOR": f"127.0.0.1:{reports}",
                "PILOTLIGHT_AUTOSCALER": "127.0.0.1:1",
            }
        )
        free = settings._replace(
            port=0, admin_port=0, metrics_port=0, autometric_port=0, profiling_port=0, quiet_s=0.3
        )
        free = free._replace(**changes)  # type: ignore[arg-type]
        self.proxy = QueueProxy(free, time.time())
        await self.proxy.start()
        return self.proxy

    async def close(self) -> None:
        if self.proxy is not None:
            await self.proxy.close()
        self.app.server.close()
        await self.activator.collector.close()
        await asyncio.sleep(0.01)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod = Pod()
    yield pod
    await pod.close()


async def probe(proxy: QueueProxy, headers: list[tuple[bytes, bytes]] = PROBE) -> Answer:
    return await fetch(Target("127.0.0.1", proxy.port, headers=headers), timeout_s=5)


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head, and a body of known length."""
    head = await read_head(reader)
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def test_a_request_goes_through(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start()
    await until(lambda: proxy.pod.ready)
    reader, writer = await peers.connect(proxy.port)
    writer.write(
        b"GET /p HTTP/1.1\r\nHost: pod\r\nK-Original-Host: app.example\r\n"
        b"Knative-Serving-Revision: r-1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
    )
    assert (await read_answer(reader))[1] == b"app"
    request = pod.app.seen[0].request
    assert request.host == b"app.example"
    assert request.get(b"forwarded") == b"for=9.9.9.9"
    assert request.get(b"knative-serving-revision") is None
    assert request.get(b"k-original-host") is None


async def test_concurrency_is_never_exceeded(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start(concurrency=2)
    clients = [await peers.connect(proxy.port) for _ in range(22)]
    for _, writer in clients:
        writer.write(GET)
    await until(lambda: proxy.requests.meter.inflight == 22)
    extra, writer = await peers.connect(proxy.port)
    writer.write(GET)
    head, body = await read_answer(extra)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert body == b"pending request queue full"
    assert b"K-Pilotlight-Leg: queue" in head
    for _ in range(11):
        await until(lambda: len(pod.app.held) == 2)
        pod.app.let_go(2)
    for reader, _ in clients:
        assert (await read_answer(reader))[1] == b"app"
    assert pod.app.most == 2
    assert proxy.requests.meter.inflight == 0
    assert proxy.requests.breaker is not None
    assert proxy.requests.breaker.statistics() == (0, 0)


async def test_an_activator_is_told_busy_before_the_body(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start(concurrency=1)
    _, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    await until(lambda: len(pod.app.held) == 1)
    reader, writer = await peers.connect(proxy.port)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nK-Proxy-Request: activator\r\nContent-Length: 9\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    head = await read_head(reader)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"K-Pilotlight-Busy: full" in head
    reader, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR * 2)
    for _ in range(2):
        head, _ = await read_answer(reader)
        assert b"K-Pilotlight-Busy: full" in head
        assert b"Connection: close" not in head
    assert len(pod.app.seen) == 1
    assert proxy.requests.meter.inflight == 1
    assert proxy.requests.metrics.busy["full"] == 3


async def test_a_program_cannot_say_that_the_proxy_is_busy(pod: Pod, peers: Peers) -> None:
    pod.app.answering = (503, [(b"K-PILOTLIGHT-Busy", b"full"), (b"X-Kept", b"1")])
    proxy = await pod.start()
    reader, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    head = await read_head(reader)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"X-Kept: 1" in head
    assert b"busy" not in head.lower()


async def test_those_who_left_the_queue_get_no_slot(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start(concurrency=1)
    clients = [await peers.connect(proxy.port) for _ in range(5)]
    for number, (_, writer) in enumerate(clients):
        writer.write(GET)
        await until(lambda n=number: proxy.requests.meter.inflight == n + 1)  # type: ignore[misc]
    for _, writer in clients[1:4]:
        writer.close()
    await until(lambda: proxy.requests.meter.inflight == 2)
    pod.app.let_go()
    assert (await read_answer(clients[0][0]))[1] == b"app"
    await until(lambda: len(pod.app.seen) == 2)
    pod.app.let_go()
    assert (await read_answer(clients[4][0]))[1] == b"app"
    assert len(pod.app.seen) == 2


async def test_a_client_that_goes_frees_its_slot(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start(concurrency=1)
    _, first = await peers.connect(proxy.port)
    first.write(GET)
    await until(lambda: len(pod.app.held) == 1)
    _, second = await peers.connect(proxy.port)
    second.write(GET)
    await until(lambda: proxy.requests.meter.inflight == 2)
    first.close()
    await until(lambda: len(pod.app.seen) == 2)
    assert proxy.requests.breaker is not None
    assert proxy.requests.breaker.statistics() == (1, 0)


@pytest.mark.parametrize(
    "timeouts",
    [Timeouts(total_s=0.3), Timeouts(5, response_start_s=0.3), Timeouts(5, idle_s=0.3)],
    ids=["total", "response-start", "idle"],
)
async def test_timeouts(pod: Pod, peers: Peers, timeouts: Timeouts) -> None:
    """Time in the queue counts; the slot of a request that timed out is free again."""
    pod.app.holding = True
    proxy = await pod.start(concurrency=1, timeouts=timeouts)
    clients = [await peers.connect(proxy.port) for _ in range(2)]
    for _, writer in clients:
        writer.write(GET)
    for reader, _ in clients:
        head, body = await read_answer(reader)
        assert head.startswith(b"HTTP/1.1 504 ")
        assert body == b"request timeout"
        assert b"K-Pilotlight-Leg: timeout" in head
    assert proxy.requests.meter.inflight == 0
    assert proxy.requests.breaker is not None
    assert proxy.requests.breaker.statistics() == (0, 0)


@pytest.mark.parametrize("timeouts", [Timeouts(total_s=0.3), Timeouts(5, idle_s=0.3)])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"5\r\nhello\r\nf\r\nrequest timeout\r\n0\r\n\r\n",
        ),
        (b"Content-Length: 50\r\n\r\nhello", b"hello"),
    ],
    ids=["chunked", "of known length"],
)
async def test_an_answer_that_has_begun_ends_at_a_timeout(
    pod: Pod, peers: Peers, timeouts: Timeouts, framing: bytes, body: bytes
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing)
        await reader.read()

    pod.app.port = (await peers.upstream(script)).port
    proxy = await pod.start(probes=(), timeouts=timeouts)
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    assert (await read_head(reader)).startswith(b"HTTP/1.1 200 ")
    assert await read_rest(reader) == body
    assert proxy.requests.meter.inflight == 0


async def test_health_checks(pod: Pod) -> None:
    proxy = await pod.start()
    answer = await probe(proxy)
    assert (answer.status, answer.body) == (200, b"queue")
    assert answer.response.get(b"k-pilotlight-reports") == b"load"
    pod.app.healthy = False
    answer = await probe(proxy)
    assert (answer.status, answer.body) == (503, b"")
    wrong = [(b"Host", b"a"), (b"K-Network-Probe", b"activator")]
    answer = await probe(proxy, wrong)
    assert (answer.status, answer.body) == (400, b"unexpected probe header value: activator")
    answer = await probe(proxy, [(b"Host", b"a"), (b"User-Agent", b"kube-probe/1")])
    assert answer.status == 400
    network = [(b"Host", b"a"), (b"K-Network-Probe", b"probe")]
    assert (await probe(proxy, network)).status == 400
    answer = await probe(proxy, [*network, (b"K-Network-Hash", b"abc")])
    assert (answer.status, answer.response.get(b"k-network-hash")) == (200, b"abc")
    assert pod.app.seen == []
    assert proxy.requests.metrics.requests == {}


async def test_readiness_is_announced_at_once(pod: Pod, peers: Peers) -> None:
    sock, port = await free_port()
    pod.app.port = port
    proxy = await pod.start()
    await until(lambda: len(pod.activator.sessions) == 1)
    greeting = pod.activator.sessions[0].greeting
    assert greeting is not None
    assert (greeting.kind, greeting.revision) == ("queue-proxy", "r-1")
    await until(lambda: pod.activator.states() == [wire.PodState.NOT_READY])
    sock.close()
    begin = time.time()
    await pod.app.start(port)
    await until(lambda: wire.PodState.READY in pod.activator.states())
    state = next(f for f in pod.activator.frames[::-1] if isinstance(f, wire.State))
    assert begin <= state.answered_at < begin + 1
    assert state.started_at < begin

    pod.app.server.stop_listening()
    pod.app.server.close()
    reader, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    head, _ = await read_answer(reader)
    assert b"K-Pilotlight-Busy: unreachable" in head
    async with asyncio.timeout(0.5):  # long before its period has passed three times
        await until(lambda: pod.activator.states()[-1] is wire.PodState.NOT_READY)
    assert proxy.requests.meter.inflight == 0


async def test_a_container_that_is_not_there_yet_is_waited_for(pod: Pod, peers: Peers) -> None:
    sock, port = await free_port()
    sock.close()
    pod.app.port = port
    proxy = await pod.start()
    reader, writer = await peers.connect(proxy.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    await until(lambda: proxy.requests.meter.inflight == 1)
    await pod.app.start(port)
    assert (await read_answer(reader))[1] == b"app"


async def free_port() -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return server, port


async def test_load_is_reported_and_ends_with_a_zero(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    proxy = await pod.start()
    await until(lambda: len(pod.activator.sessions) == 1)
    _, writer = await peers.connect(proxy.port)
    writer.write(GET)

    def loads() -> list[wire.Load]:
        return [frame for frame in pod.activator.frames if isinstance(frame, wire.Load)]

    await until(lambda: bool(loads()))
    assert loads()[0].requests == 1
    assert loads()[0].inflight == 1
    pod.app.let_go()
    assert 0.0 <= loads()[0].age < LATEST_PHASE_S + 0.1
    await until(lambda: (loads()[-1].average, *loads()[-1][3:5]) == (0.0, 0, 0))
    count = len(loads())
    await asyncio.sleep(1.3)
    assert len(loads()) == count


async def test_the_drain(pod: Pod, peers: Peers) -> None:
    pod.app.holding = True
    pod.activator.releases = False
    proxy = await pod.start()
    await until(lambda: len(pod.activator.sessions) == 1)
    busy, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    await until(lambda: len(pod.app.held) == 1)
    hook, hook_writer = await peers.connect(proxy.admin_port)
    hook_writer.write(b"GET /wait-for-drain HTTP/1.1\r\nHost: a\r\n\r\n")
    drain = asyncio.get_running_loop().create_task(proxy.drain())
    await until(lambda: pod.activator.states()[-1] is wire.PodState.DRAINING)

    answer = await probe(proxy)
    assert (answer.status, answer.body) == (503, b"shutting down")
    late, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    head, _ = await read_answer(late)
    assert b"K-Pilotlight-Busy: draining" in head
    direct, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await until(lambda: len(pod.app.held) == 2)

    pod.activator.sessions[0].send(wire.encode_released())
    await asyncio.sleep(0.5)
    assert not drain.done(), "requests are in flight"
    pod.app.let_go(2)
    for reader in (busy, direct):
        head, body = await read_answer(reader)
        assert body == b"app"
        assert b"Connection: close" in head
    async with asyncio.timeout(5):
        await drain
        assert (await read_answer(hook))[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("releases", "least", "most"), [(True, 0.0, 0.5), (False, 1.9, 3.0)])
async def test_a_drain_waits_for_release(
    pod: Pod, releases: bool, least: float, most: float
) -> None:
    pod.activator.releases = releases
    proxy = await pod.start()
    await until(lambda: len(pod.activator.sessions) == 1)
    begin = time.monotonic()
    await proxy.drain()
    assert least <= time.monotonic() - begin < most


async def test_a_drain_waits_for_those_who_have_not_heard_of_it(pod: Pod, peers: Peers) -> None:
    """An activator whose connection is open may send on it until it closes it."""
    proxy = await pod.start(quiet_s=0.0)
    await until(lambda: len(pod.activator.sessions) == 1)
    reader, writer = await peers.connect(proxy.port)
    writer.write(FROM_ACTIVATOR)
    await read_answer(reader)
    drain = asyncio.get_running_loop().create_task(proxy.drain())
    await asyncio.sleep(0.5)
    assert not drain.done()
    writer.write(FROM_ACTIVATOR)
    head, _ = await read_answer(reader)
    assert b"K-Pilotlight-Busy: draining" in head
    assert b"Connection: close" in head
    async with asyncio.timeout(1):
        await drain


async def test_requests_past_the_activator_postpone_the_end(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start(quiet_s=0.8)
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await read_answer(reader)
    begin = time.monotonic()
    await proxy.drain()
    assert time.monotonic() - begin > 0.6


async def test_a_hook_without_sigterm_is_a_restart(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start()
    await until(lambda: wire.PodState.READY in pod.activator.states())
    reader, writer = await peers.connect(proxy.admin_port)
    writer.write(b"GET /wait-for-drain HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: pod.activator.states()[-1] is wire.PodState.DRAINING)
    assert (await read_answer(reader))[0].startswith(b"HTTP/1.1 200 ")
    await until(lambda: pod.activator.states()[-1] is wire.PodState.READY)
    assert (await probe(proxy)).status == 200


async def test_metrics_are_scraped(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start()
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await read_answer(reader)
    target = Target("127.0.0.1", proxy.metrics_port, b"/metrics", [(b"Host", b"a")])
    text = (await fetch(target, timeout_s=5)).body.decode()
    assert "http_server_request_duration_seconds_count{" in text


async def test_an_error_of_the_app_is_502_with_its_leg(pod: Pod, peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    pod.app.port = (await peers.upstream(script)).port
    proxy = await pod.start(probes=())
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET.replace(b"GET", b"POST"))
    head, body = await read_answer(reader)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"K-Pilotlight-Leg: app" in head
    assert b"closed" in body


async def test_a_dead_connection_makes_its_siblings_suspect(pod: Pod, peers: Peers) -> None:
    """A container that was killed and is back: the replay goes over a connection of its own."""
    served = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: served >= 2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp")
        await reader.readuntil(b"\r\n\r\n")

    pod.app.port = (await peers.upstream(script)).port
    proxy = await pod.start(probes=())
    clients = [await peers.connect(proxy.port) for _ in range(2)]
    for _, writer in clients:
        writer.write(GET)
    for reader, _ in clients:
        await read_answer(reader)
    clients[0][1].write(GET)
    head, body = await read_answer(clients[0][0])
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"app")
    assert served == 3


async def test_nothing_is_left_behind(pod: Pod, peers: Peers) -> None:
    proxy = await pod.start()
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET)
    await read_answer(reader)
    await proxy.drain()
    await proxy.close()
    assert await read_rest(reader) == b""
    names = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
    assert not names & {"readiness", "reports", "user probe", "health check"}
