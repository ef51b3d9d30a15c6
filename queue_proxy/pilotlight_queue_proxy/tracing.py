"""Spans of requests, by the W3C's trace context, for OpenTelemetry's collectors or standard output.

A request that comes with a context is traced when its sender traces it, another by the configured
rate. The container is told the span in which it works. Imported only where tracing is switched on.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pilotlight_queue_proxy.headers import route_tag
from pilotlight_queue_proxy.health import is_probe
from pilotlight_queue_proxy.otlp import Attributes, attribute, resource
from pilotlight_queue_proxy.protobuf import fixed64, message, number, text

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.head import Request
    from pilotlight_queue_proxy.push import Push
    from pilotlight_queue_proxy.settings import Identity

MOST_WAITING: Final = 2048
TOGETHER: Final = 64
_INTERVAL_S: Final = 5.0
_CONTEXT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SCOPE: Final = "pilotlight.queue-proxy"
_SERVER, _CLIENT, _INTERNAL = 2, 3, 1
_ERROR: Final = 2
_LONGEST: Final = 256
_CLIENT_GONE: Final = 499


class Context(NamedTuple):
    """Of a request: the trace, and the span of its sender, both in hexadecimal."""

    trace: bytes
    parent: bytes
    sampled: bool


class Trace:
    """One request that is traced. `started`: monotonic seconds at which it got its slot, 0 when it
    never did; set by whoever has it."""

    __slots__ = ("parent", "proxy", "server", "started", "trace")

    def __init__(self, trace: bytes, parent: bytes) -> None:
        self.trace = trace
        self.parent = parent
        self.server = _new_id(8)
        self.proxy = _new_id(8)
        self.started = 0.0


def context_of(request: Request) -> Context | None:
    """What `traceparent` says; None without a valid one."""
    match = _CONTEXT.fullmatch(request.get(b"traceparent") or b"")
    return Context(match[1], match[2], bool(int(match[3], 16) & 1)) if match else None


class Tracer:
    """Hears when exchanges begin and end. Finished spans wait for `Sender`, `MOST_WAITING` requests
    of them; what comes above that is dropped and counted.
    """

    def __init__(self, identity: Identity, rate: float) -> None:
        self._identity = identity
        self._rate = rate
        self._waiting: list[bytes] = []
        self.dropped = 0

    def began(self, exchange: Exchange) -> None:
        request = exchange.request
        context = context_of(request)
        sampled = random.random() < self._rate if context is None else context.sampled
        if not sampled or is_probe(request):
            return
        trace = Trace(context.trace, context.parent) if context else Trace(_new_id(16), b"")
        exchange.data = trace
        _tell(request, b"00-%b-%b-01" % (trace.trace, trace.proxy))

    def ended(self, exchange: Exchange) -> None:
        trace = exchange.data
        if not isinstance(trace, Trace):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(_spans(exchange, trace))

    def take(self) -> bytes:
        """An ExportTraceServiceRequest of OTLP 1 with some of what waits; empty when none does."""
        spans, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        if not spans:
            return b""
        who = message(1, *(attribute(1, *pair) for pair in resource(self._identity).items()))
        return message(1, who, message(2, message(1, text(1, _SCOPE)), *spans))


class Sender:
    """Sends what a tracer has, every five seconds and at the end."""

    def __init__(self, tracer: Tracer, push: Push) -> None:
        self._tracer = tracer
        self._push = push

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.flush(10.0)

    async def flush(self, timeout_s: float) -> None:
        """Until nothing is left, or something fails: that is not sent again."""
        while data := self._tracer.take():
            if not await self._push.send(data, timeout_s):
                return


class Printer:
    """Writes spans as lines of JSON instead."""

    def __init__(self, tracer: Tracer, write: Callable[[bytes], None]) -> None:
        self._tracer = tracer
        self._write = write

    def began(self, exchange: Exchange) -> None:
        self._tracer.began(exchange)

    def ended(self, exchange: Exchange) -> None:
        import json

        trace = exchange.data
        if isinstance(trace, Trace):
            now = time.monotonic()
            line = {
                "traceId": trace.trace.decode(),
                "spanId": trace.server.decode(),
                "parentSpanId": trace.parent.decode(),
                "name": "queue",
                "seconds": now - exchange.arrived,
                "waitSeconds": (trace.started or now) - exchange.arrived,
                "status": exchange.status or _CLIENT_GONE,
            }
            self._write(json.dumps(line).encode() + b"\n")


def _spans(exchange: Exchange, trace: Trace) -> bytes:
    now = time.monotonic()
    offset = time.time() - now
    status = exchange.status or _CLIENT_GONE
    request = exchange.request
    attributes: Attributes = {
        "http.request.method": request.method[:_LONGEST].decode("latin-1"),
        "http.response.status_code": status,
        "url.path": request.path[:_LONGEST].decode("latin-1"),
        "kn.route.tag": route_tag(request),
    }

    def span(name: str, ids: tuple[bytes, bytes], kind: int, begin: float, end: float) -> bytes:
        own, parent = ids
        ours = kind == _SERVER
        return message(
            2,
            message(1, bytes.fromhex(trace.trace.decode())),
            message(2, bytes.fromhex(own.decode())),
            message(4, bytes.fromhex(parent.decode())) if parent else b"",
            text(5, name),
            number(6, kind),
            fixed64(7, int((begin + offset) * 1e9)),
            fixed64(8, int((end + offset) * 1e9)),
            *([attribute(9, *pair) for pair in attributes.items()] if ours else []),
            message(15, number(3, _ERROR)) if ours and status >= 500 else b"",
        )

    started = trace.started or now
    spans = span("queue", (trace.server, trace.parent), _SERVER, exchange.arrived, now)
    if started > exchange.arrived:
        wait = (_new_id(8), trace.server)
        spans += span("kn.queueproxy.wait", wait, _INTERNAL, exchange.arrived, started)
    if trace.started:
        spans += span("kn.queueproxy.proxy", (trace.proxy, trace.server), _CLIENT, started, now)
    return spans


def _tell(request: Request, value: bytes) -> None:
    """Replace what the container is told."""
    name = b"traceparent"
    line = (name, value, b"traceparent: " + value)
    request.fields = [*(field for field in request.fields if field[0] != name), line]
    request.index = {**request.index, name: value}


def _new_id(size: int) -> bytes:
    return b"%0*x" % (size * 2, random.getrandbits(size * 8) or 1)
