"""The two proxies before a gRPC server, in this process; the client has threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import uvloop

from pilotlight_activator.objects import RevisionSpec
from pilotlight_activator.pods import Endpoint
from pilotlight_activator.routes import compile_ingress
from pilotlight_activator.service import Service
from pilotlight_activator.settings import Ports, Shutdown
from pilotlight_activator.settings import Settings as ActivatorSettings
from pilotlight_queue_proxy.proxy import QueueProxy
from pilotlight_queue_proxy.settings import Settings, parse
from tests.activator.conftest import Knowledge, here, route_rule, until
from tests.grpc.echo import Client, EchoServer

HOST = "cart.shop.localhost"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The processes run on uvloop, and so do their tests."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Path:
    """A way to the server."""

    server: EchoServer
    proxy: QueueProxy
    activator: Service | None
    port: int
    client: Client

    @property
    def inflight(self) -> int:
        """Requests that a proxy holds."""
        held = len(self.proxy.server.exchanges)
        if self.activator is not None:
            held += self.activator.gateway.statistics().active
        return held


def queue_settings(port: int, user_port: int, **changes: str) -> Settings:
    environ = {
        "SERVING_NAMESPACE": "shop",
        "SERVING_REVISION": "cart-1",
        "QUEUE_SERVING_PORT": "8013",
        "USER_PORT": str(user_port),
        "PILOTLIGHT_BIND": "127.0.0.1",
        **changes,
    }
    return parse(environ)._replace(admin_port=0, metrics_port=0)


@pytest.fixture
def server() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.stop().wait(5)


@pytest.fixture
async def proxy(server: EchoServer) -> AsyncIterator[QueueProxy]:
    settings = queue_settings(8013, server.port, CONTAINER_CONCURRENCY="50")
    proxy = QueueProxy(settings, 0.0)
    proxy._settings = settings._replace(port=0)
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
async def activator(proxy: QueueProxy) -> AsyncIterator[tuple[Service, int]]:
    settings = ActivatorSettings(
        bind="127.0.0.1",
        pod_ip="127.0.0.1",
        autoscaler="autoscaler:1",
        ports=Ports(0, 0, 0, 0),
        shutdown=Shutdown(linger_s=0.0, drain_s=5.0),
    )
    service = Service(settings, here)
    service.know(Knowledge())
    spec = RevisionSpec("shop", "cart-1", "uid-1", concurrency=50, h2c=True)
    service.backends.revision_changed(replace(spec))
    ingress = {
        "metadata": {"namespace": "shop", "name": "cart"},
        "spec": {"rules": [route_rule(HOST, "cart-1")]},
    }
    service.gateway.table.replace(compile_ingress(ingress, "digest"))
    addresses = await service.start()
    address = f"127.0.0.1:{proxy.port}"
    service.backends.listed("shop/cart-1", [Endpoint("pod-1", address, True, False)])
    backend = service.backends.get("shop/cart-1")
    assert backend is not None
    await until(backend.throttle.has_pods, "the pod is used")
    yield service, addresses.external
    await service.stop()


@pytest.fixture(params=["queue-proxy", "activator and queue-proxy"])
async def path(
    request: pytest.FixtureRequest,
    server: EchoServer,
    proxy: QueueProxy,
    activator: tuple[Service, int],
) -> AsyncIterator[Path]:
    """Once through the queue-proxy alone, once through both."""
    service, port = activator
    if request.param == "queue-proxy":
        found = Path(server, proxy, None, proxy.port, Client(proxy.port, HOST))
    else:
        found = Path(server, proxy, service, port, Client(port, HOST))
    yield found
    await asyncio.to_thread(found.client.close)
