"""A cluster in memory, and a server in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pilotlight.kube.resources import NAMESPACES
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.server import ApiServer, ServerOptions
from pilotlight_local.certificates import certificates
from pilotlight_local.kubeconfig import kubeconfig
from tests.local.apiserver.harness import (
    TOKEN,
    FakeLogs,
    Object,
    Running,
    Secured,
    make_crd,
    make_deployment,
    make_pod,
)


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


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    logs = FakeLogs()
    server = ApiServer(Cluster(), ServerOptions(token=TOKEN), logs)
    await server.start()
    session = aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {TOKEN}"})
    yield Running(server, session, logs)
    await session.close()
    await server.stop()


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


@pytest.fixture
def deployment() -> Callable[..., Object]:
    return make_deployment


@pytest.fixture
def pod() -> Callable[..., Object]:
    return make_pod


@pytest.fixture
def crd() -> Callable[..., Object]:
    return make_crd
