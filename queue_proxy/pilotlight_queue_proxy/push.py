"""Pushes metrics and spans to a collector, over HTTP or gRPC. Imported where that is wanted."""

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
METRICS: Final = "metrics"
TRACES: Final = "traces"
_HTTP_PATHS: Final = {METRICS: "/v1/metrics", TRACES: "/v1/traces"}
_GRPC_PATHS: Final = {
    METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
_PORTS: Final = {HTTP: 4318, GRPC: 4317}


class Collector(NamedTuple):
    """Where to."""

    protocol: str
    host: str
    port: int
    path: str


def collector(protocol: str, endpoint: str, signal: str = METRICS) -> Collector:
    """`host:port`, or a URL without TLS. Raises ValueError."""
    if protocol not in _PORTS:
        raise ValueError(f"unknown protocol {protocol!r}")
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{endpoint!r} must be host:port or http://host:port")
    path = parts.path if parts.path not in ("", "/") else _HTTP_PATHS[signal]
    if protocol == GRPC:
        path = _GRPC_PATHS[signal]
    return Collector(protocol, parts.hostname, parts.port or _PORTS[protocol], path)


class Push:
    """Sends to a collector. What fails is not sent again, and said once."""

    def __init__(self, to: Collector) -> None:
        self._to = to
        self.failures = 0

    async def send(self, data: bytes, timeout_s: float) -> bool:
        try:
            await self._send(data, timeout_s)
        except (OSError, HttpError, ValueError) as error:
            self.failures += 1
            if self.failures == 1:
                extra = {"host": self._to.host, "port": self._to.port, "error": str(error)}
                _log.warning("telemetry cannot be pushed", extra=extra)
            return False
        self.failures = 0
        return True

    async def _send(self, data: bytes, timeout_s: float) -> None:
        to = self._to
        if to.protocol == GRPC:
            if len(data) > LARGEST_MESSAGE:
                raise ValueError(f"more than {LARGEST_MESSAGE} bytes")
            if not await call((to.host, to.port, ""), to.path.encode(), data, timeout_s):
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


class MetricsPush:
    """One message each interval, and one at the end; each has all that was counted."""

    def __init__(self, push: Push, encode: Callable[[], bytes], interval_s: float) -> None:
        self._push = push
        self._encode = encode
        self._interval_s = interval_s or _USUAL_INTERVAL_S

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.flush(_TIMEOUT_S)

    async def flush(self, timeout_s: float) -> None:
        await self._push.send(self._encode(), timeout_s)
