"""Runs the probes of the user's containers; one run at a time, shared by all who ask."""

from __future__ import annotations

import asyncio
import errno
import socket
import time

from pilotlight.http.errors import HttpError
from pilotlight.http.fetch import Target, fetch
from pilotlight_queue_proxy.probe import GRPC, HTTP, ProbeSpec

_USER_AGENT = (b"User-Agent", b"kube-probe//")
LOOPBACK = "127.0.0.1"
_AGGRESSIVE_INTERVAL_S = 0.05
_AGGRESSIVE_TIMEOUT_S = 0.1
_AGGRESSIVE_TOTAL_S = 10.0


class Prober:
    """Asks whether all containers are ready. `http2`: an HTTP probe is tried as HTTP/2 first."""

    def __init__(self, specs: tuple[ProbeSpec, ...], *, http2: bool = False) -> None:
        self._specs = specs
        self._http2 = http2
        self._running: asyncio.Task[bool] | None = None

    async def once(self, *, starting: bool = False) -> bool:
        """One attempt at each probe, with its own timeout. Of a container that is `starting` it is
        enough that nobody listens yet.
        """
        if starting and any(is_refused(s.host, s.port) for s in self._specs if not s.socket):
            return False
        specs, http2 = self._specs, self._http2
        return all(await asyncio.gather(*(attempt(s, s.timeout_s, http2=http2) for s in specs)))

    async def ready(self) -> bool:
        """What a health check is told. Those who ask at the same time get the same answer."""
        if self._running is None or self._running.done():
            task = asyncio.get_running_loop().create_task(self._run(), name="user probe")
            self._running = task
        return await asyncio.shield(self._running)

    async def _run(self) -> bool:
        return all(await asyncio.gather(*(self._probe(spec) for spec in self._specs)))

    async def _probe(self, spec: ProbeSpec) -> bool:
        """One attempt; without a period, attempts until it passes or ten seconds are over."""
        if spec.period_s > 0:
            return await attempt(spec, spec.timeout_s, http2=self._http2)
        deadline = time.monotonic() + _AGGRESSIVE_TOTAL_S
        passed = 0
        while True:
            again = await attempt(spec, _AGGRESSIVE_TIMEOUT_S, http2=self._http2)
            passed = passed + 1 if again else 0
            if passed >= spec.success_threshold:
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_AGGRESSIVE_INTERVAL_S)

    def close(self) -> None:
        if self._running is not None:
            self._running.cancel()


async def attempt(spec: ProbeSpec, timeout_s: float, *, http2: bool = False) -> bool:
    """Whether a probe passes now: a status of 200-399, SERVING, or a connection."""
    try:
        if spec.kind == HTTP:
            if http2 and not (spec.tls or spec.socket) and await _passes_http2(spec, timeout_s):
                return True
            return await _ask(spec, timeout_s)
        if spec.kind == GRPC:
            from pilotlight_queue_proxy.grpc_check import is_serving

            return await is_serving((spec.host, spec.port, spec.socket), spec.service, timeout_s)
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            if spec.socket:
                transport, _ = await loop.create_unix_connection(asyncio.Protocol, spec.socket)
            else:
                transport, _ = await loop.create_connection(asyncio.Protocol, spec.host, spec.port)
            transport.abort()
    except (OSError, HttpError):
        return False
    return True


def is_refused(host: str, port: int) -> bool:
    """Whether nobody listens on a port of the loopback, which says so before `connect` returns. A
    container that starts is asked a hundred times, and this costs a thirtieth of a connection of
    the event loop's. Of other hosts nothing is known at once: False.
    """
    if host != LOOPBACK:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex((host, port))
        if code == errno.EINPROGRESS:
            code = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return code == errno.ECONNREFUSED


async def _passes_http2(spec: ProbeSpec, timeout_s: float) -> bool:
    from pilotlight_queue_proxy.grpc_check import status_of_get

    try:
        status = await status_of_get(
            (spec.host, spec.port, ""), spec.path, _headers(spec), timeout_s
        )
    except (OSError, HttpError):
        return False
    return 200 <= status < 400


async def _ask(spec: ProbeSpec, timeout_s: float) -> bool:
    headers = _headers(spec)
    context = None
    if spec.tls:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    target = Target(spec.host, spec.port, spec.path, headers, ssl=context, socket=spec.socket)
    answer = await fetch(target, timeout_s=timeout_s, max_body=0)
    return 200 <= answer.status < 400


def _headers(spec: ProbeSpec) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in spec.headers}
    headers = list(spec.headers)
    if b"host" not in given:
        headers.append((b"Host", b"%b:%d" % (spec.host.encode(), spec.port)))
    if b"user-agent" not in given:
        headers.append(_USER_AGENT)
    return headers
