"""The loads: each gives the figures of one running subject."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from benchmarks import h2load, wrk
from benchmarks.processes import Memory
from benchmarks.proxy.bed import HEADERS, Bed, Door, Running, request_bytes
from benchmarks.proxy.websocket import Echoes
from benchmarks.results import CaseError, percentile

Figures = dict[str, float]
Load = Callable[[Bed, Running, int], Awaitable[Figures]]
UPLOAD: Final = Path(__file__).with_name("upload.lua")
_WARM_UP: Final = 300
_SETTLE_S: Final = 0.5
_PEAK_S: Final = 1
_BUSY: Final = 16


def http(
    connections: int, size: int = 0, *, close: bool = False, script: Path | None = None
) -> Load:
    """Every connection busy; `size` of the bodies when they are not the 13 bytes."""
    path = f"/bytes?n={size}" if size and script is None else "/"
    headers = {**HEADERS, **({"Connection": "close"} if close else {})}

    async def run(_: Bed, running: Running, seconds: int) -> Figures:
        if not wrk.available():
            raise CaseError("there is no wrk: a package of Debian's")
        _warm_up(running.door)
        before = running.cpu_us()
        url = running.door.url + path
        load = await wrk.load(url, headers, connections, seconds, script)
        spent = (running.cpu_us() - before) / load.requests
        found = {
            "cpu_us_per_request": spent,
            "requests_per_s": load.per_second,
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
            **_memory(running.memory()),
        }
        if size:
            found["cpu_ns_per_byte"] = spent * 1000 / size
        return found

    return run


async def half_load(bed: Bed, running: Running, seconds: int) -> Figures:
    """Requests at constant times, half as many as the subject can answer at most."""
    if not (h2load.available() and wrk.available()):
        raise CaseError("there is no wrk, or no h2load: of Debian's packages wrk, nghttp2-client")
    _warm_up(running.door)
    peak = await wrk.load(running.door.url + "/", HEADERS, _BUSY, _PEAK_S)
    rate = peak.per_second / 2
    log = bed.folder / "h2load.tsv"
    before = running.cpu_us()
    times = await h2load.steady(running.door, HEADERS, _BUSY, rate, seconds, log)
    return {
        "cpu_us_per_request": (running.cpu_us() - before) / len(times),
        "requests_per_s": rate,
        "p50_ms": percentile(times, 50),
        "p99_ms": percentile(times, 99),
    }


def websocket(connections: int) -> Load:
    """A message of 13 bytes there and back on each connection, over and over."""

    async def run(_: Bed, running: Running, seconds: int) -> Figures:
        echoes = Echoes(running.door)
        try:
            await echoes.open(connections)
            before = running.cpu_us()
            times = await echoes.play(seconds)
            spent = running.cpu_us() - before
        finally:
            echoes.close()
        return {
            "cpu_us_per_message": spent / len(times),
            "messages_per_s": len(times) / seconds,
            "p50_ms": percentile(times, 50),
            "p99_ms": percentile(times, 99),
        }

    return run


def idle(connections: int) -> Load:
    """Connections that have had an answer each, and wait: what one of them takes."""

    async def run(_: Bed, running: Running, seconds: int) -> Figures:
        opened: list[socket.socket] = []
        try:
            _open(running.door, 2 * _BUSY, opened)
            await asyncio.sleep(_SETTLE_S)
            before = running.memory()
            _open(running.door, connections, opened)
            await asyncio.sleep(_SETTLE_S)
            after = running.memory()
        finally:
            for one in opened:
                one.close()
        return {
            "rss_kib_per_connection": (after.rss_mb - before.rss_mb) * 1e6 / 1024 / connections,
            "private_kib_per_connection": (after.private_mb - before.private_mb)
            * 1e6
            / 1024
            / connections,
        }

    return run


async def start(_: Bed, running: Running, seconds: int) -> Figures:
    """From the start of the process to the first answer, and what it takes then."""
    await asyncio.sleep(_SETTLE_S)
    return {"start_ms": running.started_ms, **_memory(running.memory())}


def _memory(found: Memory) -> Figures:
    return {"rss_mb": found.rss_mb, "private_mb": found.private_mb}


def _warm_up(door: Door) -> None:
    connections: list[socket.socket] = []
    _open(door, 1, connections)
    with connections[0] as connection:
        for _ in range(_WARM_UP):
            _ask(connection)


def _open(door: Door, count: int, opened: list[socket.socket]) -> None:
    for _ in range(count):
        opened.append(socket.create_connection(door, timeout=5.0))
        _ask(opened[-1])


def _ask(connection: socket.socket) -> None:
    connection.sendall(request_bytes())
    data = b""
    while not data.endswith(b"World!") and (more := connection.recv(4096)):
        data += more
        if data.endswith(b"0\r\n\r\n"):
            break
    if not data.startswith(b"HTTP/1.1 200"):
        raise CaseError(f"answered {data[:100]!r}")
