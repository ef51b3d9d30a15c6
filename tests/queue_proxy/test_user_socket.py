"""A container that listens at a UNIX socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotlight_queue_proxy.probe import ProbeSpec
from pilotlight_queue_proxy.prober import attempt
from pilotlight_queue_proxy.settings import parse
from tests.http.peers import Peers, until
from tests.queue_proxy.test_grpc_check import OK, SERVING, SETTINGS, frame
from tests.queue_proxy.test_proxy import GET, Pod, pod, read_answer

__all__ = ["pod"]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Any request, of either version of HTTP."""
    data = await reader.read(65536)
    if data.startswith(b"PRI"):
        writer.write(SETTINGS + frame(1, 4, OK) + frame(0, 1, SERVING))
    elif data:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\napp")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("kind", ["tcp", "http", "grpc"])
async def test_probes(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "s")
    spec = ProbeSpec(kind, 1, socket=path)
    assert not await attempt(spec, 5)
    server = await asyncio.start_unix_server(answer, path)
    assert await attempt(spec, 5)
    server.close()


async def test_requests(pod: Pod, peers: Peers, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    environment = {
        "SERVING_NAMESPACE": "n",
        "SERVING_REVISION": "r",
        "PILOTLIGHT_USER_SOCKET": path,
        "SERVING_READINESS_PROBE": '[{"httpGet": {}}, {"tcpSocket": {"port": 1}}]',
    }
    settings = parse(environment)
    assert [probe.socket for probe in settings.probes] == [path, ""]
    proxy = await pod.start(user_socket=path, probes=settings.probes[:1])
    reader, writer = await peers.connect(proxy.port)
    writer.write(GET.replace(b"\r\n\r\n", b"\r\nK-Proxy-Request: activator\r\n\r\n"))
    head, _ = await read_answer(reader)
    assert b"K-Pilotlight-Busy: unreachable" in head
    server = await asyncio.start_unix_server(answer, path)
    await until(lambda: proxy.pod.ready)
    writer.write(GET)
    assert (await read_answer(reader))[1] == b"app"
    server.close()
