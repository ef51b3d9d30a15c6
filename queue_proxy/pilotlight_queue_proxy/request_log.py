"""The request log: a line for each request, to standard output, by the cluster's template.

Imported only where it is switched on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pilotlight.config.log_template import HEADER, Value, parse
from pilotlight.http.head import CHUNKED, Request
from pilotlight_queue_proxy.health import is_probe

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight_queue_proxy.settings import Identity

_log: Final = logging.getLogger("requestlog")

STDOUT: Final = 1
LARGEST_BACKLOG: Final = 1 << 20
_TOGETHER_S: Final = 0.05
_CLIENT_GONE: Final = 499
_PROTOCOLS: Final = {10: "HTTP/1.0", 11: "HTTP/1.1"}


class Lines:
    """Writes lines to a descriptor, in a thread, so that a reader who is slow holds up nobody.

    At most `LARGEST_BACKLOG` bytes wait; what comes above that is dropped and counted.
    """

    def __init__(self, descriptor: int = STDOUT) -> None:
        self._descriptor = descriptor
        self._waiting: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._writing: asyncio.Future[None] | None = None
        self.dropped = 0

    def write(self, line: bytes) -> None:
        if self._size + len(line) > LARGEST_BACKLOG:
            self.dropped += 1
            return
        self._waiting.append(line)
        self._size += len(line)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_TOGETHER_S, self._flush)

    async def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, for a reader who takes it in time."""
        deadline = time.monotonic() + timeout_s
        while (self._writing is not None or self._waiting) and time.monotonic() < deadline:
            if self._writing is None:
                self._flush()
            if self._writing is not None:
                await asyncio.wait((self._writing,), timeout=max(deadline - time.monotonic(), 0))

    def _flush(self) -> None:
        if self._writing is not None or not self._waiting:
            return
        data = b"".join(self._waiting)
        self._waiting.clear()
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, _write_all, self._descriptor, data)
        self._writing.add_done_callback(lambda done: self._written(done, len(data)))

    def _written(self, done: asyncio.Future[None], size: int) -> None:
        self._writing = None
        self._size -= size
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("the request log cannot be written", extra={"error": str(error)})
        self._scheduled = bool(self._waiting)
        if self._waiting:
            self._flush()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class RequestLog:
    """Renders exchanges that have ended. Raises TemplateError for a template that is no good."""

    def __init__(
        self, template: str, identity: Identity, write: Callable[[bytes], None], *, probes: bool
    ) -> None:
        self._template = parse(template)
        self._identity = identity
        self._write = write
        self._probes = probes

    def began(self, exchange: Exchange) -> None:
        """Nothing is known of it yet."""

    def ended(self, exchange: Exchange) -> None:
        if not self._probes and is_probe(exchange.request):
            return
        seconds = time.monotonic() - exchange.arrived
        fields = _Fields(exchange, self._identity, seconds)
        try:
            line = self._template.render(fields.look_up)
        except Exception:
            request = exchange.request
            line = (
                f"Invalid request log template: method: {_text(request.method)}, response code: "
                f"{fields.code}, latency: {seconds}, url: {_text(request.target)}"
            )
        self._write(line.encode() if line.endswith("\n") else line.encode() + b"\n")


class _Fields:
    """What a template may ask of one exchange."""

    __slots__ = ("code", "exchange", "identity", "request", "seconds")

    def __init__(self, exchange: Exchange, identity: Identity, seconds: float) -> None:
        self.exchange = exchange
        self.request = exchange.request
        self.identity = identity
        self.seconds = seconds
        self.code = exchange.status or _CLIENT_GONE

    def look_up(self, field: str, argument: str) -> Value:
        if field == HEADER:
            return self.header(argument.lower().encode())
        return _READERS[field](self)

    def header(self, name: bytes) -> str:
        return _text(self.request.index.get(name, b""))

    def protocol(self) -> str:
        version = self.request.version
        return _PROTOCOLS.get(version) or f"HTTP/{version // 10}.{version % 10}"


_READERS: Final[dict[str, Callable[[_Fields], Value]]] = {
    "Request.Method": lambda f: _text(f.request.method),
    "Request.RequestURI": lambda f: _text(f.request.target),
    "Request.URL": lambda f: _text(f.request.target),
    "Request.URL.Path": lambda f: _text(f.request.path),
    "Request.URL.RawQuery": lambda f: _text(f.request.target.partition(b"?")[2]),
    "Request.Host": lambda f: _text(f.request.host),
    "Request.Proto": _Fields.protocol,
    "Request.ProtoMajor": lambda f: f.request.version // 10,
    "Request.ProtoMinor": lambda f: f.request.version % 10,
    "Request.ContentLength": lambda f: -1 if f.request.length == CHUNKED else f.request.length,
    "Request.RemoteAddr": lambda f: f.exchange.peer,
    "Request.UserAgent": lambda f: f.header(b"user-agent"),
    "Request.Referer": lambda f: f.header(b"referer"),
    "Response.Code": lambda f: f.code,
    "Response.Size": lambda f: f.exchange.sent,
    "Response.Latency": lambda f: f.seconds,
    "Revision.Name": lambda f: f.identity.revision,
    "Revision.Namespace": lambda f: f.identity.namespace,
    "Revision.Service": lambda f: f.identity.service,
    "Revision.Configuration": lambda f: f.identity.configuration,
    "Revision.PodName": lambda f: f.identity.pod,
    "Revision.PodIP": lambda f: f.identity.pod_ip,
    "TraceID": lambda f: trace_id(f.request),
}


def trace_id(request: Request) -> str:
    """Of `traceparent` (W3C), or of `X-B3-TraceId`; empty without either."""
    parts = (request.get(b"traceparent") or b"").split(b"-")
    if len(parts) >= 4 and len(parts[1]) == 32:
        return _text(parts[1])
    return _text(request.get(b"x-b3-traceid") or b"")


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
