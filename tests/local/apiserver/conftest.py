"""A cluster in memory, and a server in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pilotlight.kube.resources import NAMESPACES
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.podlog import LogRequest
from pilotlight_local.apiserver.server import ApiServer, ServerOptions
from pilotlight_local.certificates import certificates
from pilotlight_local.kubeconfig import kubeconfig

Object = dict[str, Any]
TOKEN = "sesame"


@pytest.fixture
async def cluster() -> Cluster:
    made = Cluster()
    for name in ("default", "other"):
        await made.create(NAMESPACES, {"metadata": {"name": name}})
    return made


@pytest.fixture
async def collected(cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster whose garbage is collected."""
    task = asyncio.create_task(cluster.garbage.run())
    yield cluster
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class FakeLogs:
    """Three lines of log, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[LogRequest] = []

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.asked.append(request)
        lines = [b"one\n", b"two\n", b"three\n"]
        for line in lines[-request.tail :] if request.tail else lines:
            yield line


@dataclass
class Running:
    """A running server and a client of it."""

    server: ApiServer
    session: aiohttp.ClientSession
    logs: FakeLogs

    @property
    def cluster(self) -> Cluster:
        return self.server.cluster

    async def call(
        self, method: str, path: str, body: Any = None, status: int | None = None, **headers: str
    ) -> Any:
        """The decoded answer; `status` is asserted when it is given."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, json=body, headers=names) as response:
            answer = await response.json(content_type=None)
            if status is not None:
                assert response.status == status, answer
            return answer


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    logs = FakeLogs()
    server = ApiServer(Cluster(), ServerOptions(token=TOKEN), logs)
    await server.start()
    session = aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {TOKEN}"})
    yield Running(server, session, logs)
    await session.close()
    await server.stop()


@dataclass
class Secured:
    """A server with TLS, and the kubeconfig that leads to it."""

    server: ApiServer
    config: Path
    logs: FakeLogs


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    made = certificates(tmp_path / "tls", datetime.datetime.now(datetime.UTC))
    logs = FakeLogs()
    server = ApiServer(Cluster(), ServerOptions(tls=made.context, token=TOKEN), logs)
    await server.start()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(server.url, made.ca, TOKEN))
    yield Secured(server, path, logs)
    await server.stop()


async def _eventually(check: Callable[[], object], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.002)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`await eventually(lambda: ...)`: until it holds, or a deadline."""
    return _eventually


def make_deployment(name: str = "web", **spec: Any) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


@pytest.fixture
def deployment() -> Callable[..., Object]:
    return make_deployment


def make_pod(name: str = "pod", namespace: str = "default", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }


@pytest.fixture
def pod() -> Callable[..., Object]:
    return make_pod


def make_crd(schema: Object, **version: Any) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "lamps", "kind": "Lamp", "shortNames": ["lp"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": schema}},
                    **version,
                }
            ],
        },
    }


@pytest.fixture
def crd() -> Callable[..., Object]:
    return make_crd
