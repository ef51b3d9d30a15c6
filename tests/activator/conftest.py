"""An activator on real sockets, with pods, autoscalers and clients that are small real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pilotlight.http import Exchange, Server
from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.keys import revision_key
from pilotlight.load.server import Collector, Session
from pilotlight_activator.objects import RevisionSpec
from pilotlight_activator.pods import Endpoint
from pilotlight_activator.routes import compile_ingress
from pilotlight_activator.service import Addresses, Service
from pilotlight_activator.settings import Ports, Settings, Shutdown

MASTER = b"m" * 32
LOCALHOST = "127.0.0.1"
App = Callable[[Exchange], None]


async def here(name: str) -> list[str]:
    return [LOCALHOST]


async def until(condition: Callable[[], Any], what: str = "", seconds: float = 5.0) -> None:
    """Waits for a condition, and fails when it does not come true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Knowledge:
    """What the tests say the API says."""

    def __init__(self) -> None:
        self.has_synced = True
        self.connected = True
        self.master: bytes | None = MASTER

    async def synced(self) -> None:
        await until(lambda: self.has_synced)

    async def key_known(self) -> bytes:
        assert self.master is not None
        return self.master


class Autoscaler:
    """Notes what is reported; answers `Waiting` when told to."""

    def __init__(self) -> None:
        self.collector = Collector(self)
        self.sessions: list[Session] = []
        self.waiting: list[str] = []
        self.loads: list[tuple[str, wire.Load]] = []
        self.decided: tuple[float, float] | None = None

    async def start(self) -> int:
        return await self.collector.start(LOCALHOST, 0)

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        return MASTER if greeting.kind == "activator" else None

    def on_greeting(self, session: Session) -> None:
        self.sessions.append(session)

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Waiting):
            self.waiting.append(session.names[frame.id])
            if self.decided is not None:
                session.send(wire.encode_decided(wire.Decided(frame.id, *self.decided)))
        elif isinstance(frame, wire.Load):
            self.loads.append((session.names[frame.id], frame))

    def on_gone(self, session: Session) -> None:
        self.sessions.remove(session)


@dataclass
class FakePod:
    """A queue-proxy's place: a server, and a reporter that greets the activator."""

    rig: Rig
    app: App
    name: str
    host: str
    revision: str = "shop/cart-1"
    uid: str = "uid-1"
    port: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.server = Server(self.app)
        self.reporter: Reporter | None = None
        self.state = wire.State(wire.PodState.READY, 0.0, 0.0)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> FakePod:
        self.port = await self.server.listen(self.host, self.port)
        return self

    async def greet(self, state: wire.PodState = wire.PodState.READY) -> FakePod:
        self.state = self.state._replace(state=state)
        namespace, _, revision = self.revision.partition("/")
        greeting = wire.Greeting(
            "queue-proxy", namespace, revision, self.uid, self.name, self.address
        )
        self.reporter = Reporter(
            ReporterSpec(
                endpoint=f"activator-reports:{self.rig.addresses.reports}",
                greeting=greeting,
                key=revision_key(MASTER, namespace, revision, self.uid),
                snapshot=lambda: wire.encode_state(self.state),
                on_frame=self._on_frame,
                resolve=here,
            )
        )
        self.reporter.start()
        return self

    def say(self, state: wire.PodState) -> None:
        assert self.reporter is not None
        self.state = self.state._replace(state=state)
        self.reporter.broadcast(wire.encode_state(self.state))

    async def close(self) -> None:
        if self.reporter is not None:
            await self.reporter.close()
        self.server.close()

    def _on_frame(self, address: str, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Released):
            self.released.set()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Rig:
    """The activator and everything around it."""

    service: Service
    addresses: Addresses
    knowledge: Knowledge
    autoscaler: Autoscaler
    pods: list[FakePod] = field(default_factory=list)

    def revision(self, **changes: Any) -> None:
        spec = RevisionSpec("shop", "cart-1", "uid-1", service="cart", configuration="cart")
        self.service.backends.revision_changed(replace(spec, **changes))

    def route(self, *rules: dict[str, Any], digest: str = "digest") -> None:
        ingress = {
            "metadata": {"namespace": "shop", "name": "cart"},
            "spec": {"rules": list(rules) or [route_rule("cart.shop.localhost", "cart-1")]},
        }
        self.service.gateway.table.replace(compile_ingress(ingress, digest))

    async def pod(self, app: App, *, greet: bool = True, **fields: Any) -> FakePod:
        number = len(self.pods) + 1
        pod = FakePod(self, app, f"pod-{number}", f"127.0.0.{number + 10}", **fields)
        self.pods.append(await pod.start())
        if greet:
            await pod.greet()
            await until(lambda: self.is_used(pod), f"{pod.name} is used")
        return pod

    def is_used(self, pod: FakePod) -> bool:
        backend = self.service.backends.get(pod.revision)
        return backend is not None and f"{pod.name}@{pod.address}" in backend.throttle.usable()

    def listed(self, *endpoints: Endpoint) -> None:
        self.service.backends.listed("shop/cart-1", endpoints)

    def waiting(self) -> int:
        return self.service.gateway.statistics().waiting

    async def get(self, path: str = "/", **headers: str) -> Answer:
        """A request from outside."""
        return await self._get(self.addresses.external, path, headers)

    async def get_inside(self, path: str = "/", **headers: str) -> Answer:
        """A request from within the cluster."""
        return await self._get(self.addresses.internal, path, headers)

    async def _get(self, port: int, path: str, headers: dict[str, str]) -> Answer:
        lines = {"Host": "cart.shop.localhost", **_named(headers)}
        return await ask(port, f"GET {path} HTTP/1.1", lines)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def ask(port: int, first: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    try:
        lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        async with asyncio.timeout(20):
            data = await reader.read(-1)
    finally:
        writer.close()
    head, _, rest = data.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    pairs = [line.partition(": ") for line in fields]
    return Answer(int(status.split()[1]), {p[0].lower(): p[2] for p in pairs}, rest)


def route_rule(
    host: str, revision: str, *, visibility: str = "ExternalIP", **path: Any
) -> dict[str, Any]:
    """An Ingress rule that sends everything to one Revision."""
    split = {
        "serviceNamespace": "shop",
        "serviceName": revision,
        "servicePort": 80,
        "percent": 100,
        "appendHeaders": {
            "Knative-Serving-Revision": revision,
            "Knative-Serving-Namespace": "shop",
        },
    }
    return {
        "hosts": [host],
        "visibility": visibility,
        "http": {"paths": [{"splits": [split], **path}]},
    }


def answer(body: bytes = b"hello") -> App:
    """A program that always gives the same answer."""
    return lambda exchange: exchange.respond(200, body)


def echo(exchange: Exchange) -> None:
    """A program that answers with what it was asked."""
    request = exchange.request
    headers = {name.decode().lower(): value.decode() for name, value in request.headers}
    found = {"target": request.target.decode(), "headers": headers}
    exchange.respond(200, json.dumps(found).encode())


class Held:
    """A program that answers when it is told to."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.most = 0
        self.served = 0

    def __call__(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.most = max(self.most, self.holds)

    @property
    def holds(self) -> int:
        """Requests under way."""
        self.exchanges = [exchange for exchange in self.exchanges if not exchange.ended]
        return len(self.exchanges)

    def let_go(self, body: bytes = b"held") -> None:
        self.served += 1
        assert self.holds
        self.exchanges[0].respond(200, body)


@pytest.fixture
def settings() -> Settings:
    """Overridden where a test needs others."""
    return Settings(
        bind=LOCALHOST,
        pod_ip=LOCALHOST,
        autoscaler="autoscaler:1",
        ports=Ports(0, 0, 0, 0),
        shutdown=Shutdown(linger_s=0.0, drain_s=5.0),
    )


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    autoscaler = Autoscaler()
    port = await autoscaler.start()
    service = Service(replace(settings, autoscaler=f"autoscaler:{port}"), here)
    knowledge = Knowledge()
    service.know(knowledge)
    rig = Rig(service, await service.start(), knowledge, autoscaler)
    rig.revision()
    rig.route()
    await until(lambda: autoscaler.sessions, "the autoscaler is connected")
    before = asyncio.all_tasks()
    yield rig
    for pod in rig.pods:
        await pod.close()
    await service.stop()
    await autoscaler.collector.close()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert left - {asyncio.current_task()} == set()


Waiter = Awaitable[Answer]
