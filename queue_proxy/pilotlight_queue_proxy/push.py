"""Pushes metrics to a collector, over HTTP or gRPC. Imported only where that is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pilotlight.http.errors import HttpError
from pilotlight.http.fetch import Target, fetch
from pilotlight_queue_proxy.grpc_check import LARGEST_MESSAGE, call

_log: Final = logging.getLogger("push")

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
_USUAL_INTERVAL_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_LAST_TIMEOUT_S: Final = 2.0
_HTTP_PATH: Final = "/v1/metrics"
_GRPC_PATH: Final = b"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_PORTS: Final = {HTTP: 4318, GRPC: 4317}


class Collector(NamedTuple):
    """Where to."""

    protocol: str
    host: str
    port: int
    path: str


def collector(protocol: str, endpoint: str) -> Collector:
    """`host:port`, or a URL without TLS. Raises ValueError."""
    if protocol not in _PORTS:
        raise ValueError(f"unknown protocol {protocol!r}")
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{endpoint!r} must be host:port or http://host:port")
    path = parts.path if parts.path not in ("", "/") else _HTTP_PATH
    return Collector(protocol, parts.hostname, parts.port or _PORTS[protocol], path)


class Push:
    """One message each interval, and one at the end. What fails is not sent again: the next one has
    all that it had.
    """

    def __init__(self, to: Collector, encode: Callable[[], bytes], interval_s: float) -> None:
        self._to = to
        self._encode = encode
        self._interval_s = interval_s or _USUAL_INTERVAL_S
        self.failures = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.once(_TIMEOUT_S)

    async def close(self) -> None:
        await self.once(_LAST_TIMEOUT_S)

    async def once(self, timeout_s: float) -> None:
        try:
            await self._send(self._encode(), timeout_s)
        except (OSError, HttpError, ValueError) as error:
            self.failures += 1
            if self.failures == 1:
                extra = {"host": self._to.host, "port": self._to.port, "error": str(error)}
                _log.warning("metrics cannot be pushed", extra=extra)
        else:
            self.failures = 0

    async def _send(self, data: bytes, timeout_s: float) -> None:
        to = self._to
        if to.protocol == GRPC:
            if len(data) > LARGEST_MESSAGE:
                raise ValueError(f"more than {LARGEST_MESSAGE} bytes")
            if not await call(to.host, to.port, _GRPC_PATH, data, timeout_s):
                raise ValueError("the collector refuses")
            return
        headers = [
            (b"Host", b"%b:%d" % (to.host.encode(), to.port)),
            (b"Content-Type", b"application/x-protobuf"),
            (b"Content-Length", b"%d" % len(data)),
        ]
        target = Target(to.host, to.port, to.path.encode(), headers, b"POST", body=data)
        answer = await fetch(target, timeout_s=timeout_s, max_body=0)
        if not 200 <= answer.status < 300:
            raise ValueError(f"the collector answers {answer.status}")
