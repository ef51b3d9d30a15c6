"""A running API server with Pilotlight's manifests on it, a gateway, and the operator's process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pilotlight import names
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import from_file
from pilotlight.kube.resources import (
    ENDPOINT_SLICES,
    INGRESSES,
    LEASES,
    NAMESPACES,
    POD_AUTOSCALERS,
)
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.server import ApiServer, ServerOptions
from pilotlight_local.certificates import certificates
from pilotlight_local.install import resource_of
from pilotlight_local.kubeconfig import kubeconfig
from pilotlight_local.kustomize import build

Object = dict[str, Any]
TOKEN = "sesame"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


async def eventually(check: Callable[[], Awaitable[Any] | Any], what: str) -> Any:
    """The first value of `check` that is true; fails when there is none in time."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        value = check()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


def loopback(last: int) -> str:
    """An address of this test run's own, so that several can run at once."""
    pid = os.getpid()
    return f"127.{200 + pid % 50}.{pid // 50 % 250}.{last}"


class Gateway:
    """Serves the Ingresses of a cluster as an activator does, as far as probes see it."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.behind = False
        self.address = address
        self._cluster = cluster
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, names.ACTIVATOR_HTTP_PORT).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.headers[names.PROBE_HEADER] == "probe"
        for ingress in self._cluster.list(INGRESSES):
            hosts = [host for rule in ingress["spec"]["rules"] for host in rule["hosts"]]
            if request.host in hosts and not self.behind:
                return web.Response(headers={names.HASH_HEADER: ingress_hash(ingress)})
        return web.Response(status=404)


class Replica:
    """A pod of the operator, whose container can be started again and again."""

    def __init__(self, name: str, address: str, env: Object) -> None:
        self.name = name
        self.address = address
        self._env = {**env, names.ENV_POD_NAME: name, names.ENV_BIND: address}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pilotlight_operator", env=self._env
        )
        await eventually(self._is_ready, "the operator is ready")

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self.send(number)
        async with asyncio.timeout(10):
            code = await self._process.wait()
        self._process = None
        return code

    async def stop(self) -> None:
        if self._process is not None:
            await self.end(signal.SIGKILL)

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = await self._get("/metrics") or ""
        lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, "the operator has ended"
        return await self._get("/readyz") is not None

    async def _get(self, path: str) -> str | None:
        url = f"http://{self.address}:{names.ADMIN_PORT}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await response.text() if response.status == 200 else None
        except aiohttp.ClientError:
            return None


class Bench:
    """All of it, and a client. The webhooks' Service leads to the first replica."""

    def __init__(self, cluster: Cluster, client: KubeClient, gateway: Gateway, env: Object) -> None:
        self.cluster = cluster
        self.client = client
        self.gateway = gateway
        self.one = Replica("operator-one", loopback(1), env)
        self.two = Replica("operator-two", loopback(3), env)
        self.address = self.one.address
        self.kubeconfig = Path(env["KUBECONFIG"])

    async def connect(self) -> None:
        """Let the Services of the webhooks and of the gateway lead to what serves here."""
        if self.cluster.get(NAMESPACES, None, "default") is None:
            await self.cluster.create(NAMESPACES, {"metadata": {"name": "default"}})
        await _endpoints(self.cluster, names.WEBHOOK_SERVICE, self.address, names.WEBHOOK_PORT)
        address, port = self.gateway.address, names.ACTIVATOR_HTTP_PORT
        await _endpoints(self.cluster, names.ACTIVATOR_SERVICE, address, port)

    async def start_operator(self) -> None:
        await self.one.start()

    async def end_operator(self, number: int = signal.SIGTERM) -> int:
        return await self.one.end(number)

    async def stop(self) -> None:
        await self.one.stop()
        await self.two.stop()

    async def metric(self, name: str) -> float:
        return await self.one.metric(name)

    async def ask(self, replica: Replica) -> None:
        """Let the webhooks' Service lead to this replica, and to no other."""
        endpoints = {"endpoints": _endpoint(replica.address)}
        key = (names.SYSTEM_NAMESPACE, names.WEBHOOK_SERVICE)
        await self.client.patch(ENDPOINT_SLICES, key, endpoints)

    def leader(self) -> str:
        """Who holds the Lease."""
        lease = self.cluster.get(LEASES, names.SYSTEM_NAMESPACE, names.OPERATOR_LEASE) or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    def scaled(self, revision: str) -> Callable[[], Awaitable[bool]]:
        """Do once what the autoscaler does when the first pod is ready."""

        async def act() -> bool:
            if self.cluster.get(POD_AUTOSCALERS, "default", revision) is None:
                return False
            kinds = ("Active", "Ready", "SKSReady", "ScaleTargetInitialized")
            conditions = [{"type": kind, "status": "True"} for kind in kinds]
            status = {
                "observedGeneration": 1,
                "conditions": conditions,
                "actualScale": 1,
                "serviceName": revision,
                "metricsServiceName": f"{revision}-private",
            }
            await self.client.patch(
                POD_AUTOSCALERS, ("default", revision), {"status": status}, subresource="status"
            )
            return True

        return act


@asynccontextmanager
async def empty_bench(directory: Path) -> AsyncIterator[Bench]:
    """A bench on which nothing has been installed."""
    pki = certificates(directory / "pki", datetime.now(UTC))
    cluster = Cluster()
    server = ApiServer(cluster, ServerOptions(tls=pki.context, token=TOKEN))
    await server.start()
    path = directory / "kubeconfig"
    path.write_text(kubeconfig(server.url, pki.ca, TOKEN))
    gateway = Gateway(cluster, loopback(2))
    await gateway.start()
    env = {
        **os.environ,
        "KUBECONFIG": str(path),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "operator"))),
    }
    async with KubeClient(from_file(path)) as client:
        made = Bench(cluster, client, gateway, env)
        try:
            yield made
        finally:
            await made.stop()
            await gateway.stop()
            await server.stop()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with empty_bench(tmp_path) as made:
        for obj in build(ROOT / "manifests" / "overlays" / "local"):
            if obj["kind"] == "Deployment":
                continue
            resource, metadata = resource_of(made.cluster, obj), obj["metadata"]
            key = (metadata.get("namespace") or "", metadata["name"])
            await made.cluster.patch(resource, *key, obj, "apply", manager="test", force=True)
        await made.connect()
        yield made


async def _endpoints(cluster: Cluster, service: str, address: str, port: int) -> None:
    name = {names.WEBHOOK_SERVICE: "https-webhook"}.get(service, "http")
    labels = {names.ENDPOINT_SLICE_SERVICE_LABEL: service}
    slice_ = {
        "metadata": {"name": service, "namespace": names.SYSTEM_NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "endpoints": _endpoint(address),
        "ports": [{"name": name, "port": port, "protocol": "TCP"}],
    }
    await cluster.create(ENDPOINT_SLICES, slice_)


def _endpoint(address: str) -> list[Object]:
    return [{"addresses": [address], "conditions": {"ready": True}}]
