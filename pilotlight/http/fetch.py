"""A one-shot client for probes: one connection, one request, one bounded answer."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import NamedTuple, cast

from pilotlight.http.body import CloseBody, Decoder, decoder_for
from pilotlight.http.errors import HttpError, PeerError, UpstreamLostError
from pilotlight.http.fields import Headers, line
from pilotlight.http.head import Response, parse_response
from pilotlight.http.limits import Limits

_LIMITS = Limits()


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    response: Response
    body: bytes


class Target(NamedTuple):
    """Where to, and what to ask. `headers` should name a Host."""

    host: str
    port: int
    path: bytes = b"/"
    headers: Headers = ()
    method: bytes = b"GET"
    ssl: tls.SSLContext | None = None
    socket: str = ""
    """The path of a UNIX socket to use in place of host and port."""
    body: bytes = b""
    """Sent as it is: `headers` have its length."""


async def fetch(target: Target, *, timeout_s: float, max_body: int = 65536) -> Answer:
    """Ask, and wait for the whole answer, at most `timeout_s` seconds and `max_body` bytes; when
    `max_body` is 0, only for its head.

    Raises OSError when there is no connection, TimeoutError, or HttpError for an answer that is
    not HTTP, cut short, or too large.
    """
    lines = [b"%b %b HTTP/1.1" % (target.method, target.path)]
    lines += [line(name, value) for name, value in target.headers]
    lines.append(b"Connection: close\r\n\r\n")
    loop = asyncio.get_running_loop()
    transport: asyncio.BaseTransport | None = None
    try:
        async with asyncio.timeout(timeout_s):
            asker = _Asker(target.method, max_body)
            if target.socket:
                transport, _ = await loop.create_unix_connection(lambda: asker, target.socket)
            else:
                transport, _ = await loop.create_connection(
                    lambda: asker, target.host, target.port, ssl=target.ssl
                )
            transport.write(b"\r\n".join(lines) + target.body)
            return await asker.answer
    finally:
        if transport is not None:
            cast(asyncio.Transport, transport).abort()


class _Asker(asyncio.Protocol):
    def __init__(self, method: bytes, max_body: int) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._method = method
        self._max_body = max_body
        self._buffer = b""
        self._response: Response | None = None
        self._decoder: Decoder | None = None
        self._body = b""

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            if self._decoder is not None:
                self._feed(data)
            else:
                self._read_head(data)
        except HttpError as error:
            self.answer.set_exception(error)

    def eof_received(self) -> None:
        if isinstance(self._decoder, CloseBody):
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(UpstreamLostError(f"connection closed: {exc or 'no answer'}"))

    def _read_head(self, data: bytes) -> None:
        self._buffer += data
        parsed = parse_response(self._buffer, self._method, _LIMITS)
        if parsed is None:
            return
        response, end = parsed
        rest, self._buffer = self._buffer[end:], b""
        if response.status < 200:
            self._read_head(rest)
            return
        self._response = response
        if response.length == 0 or self._max_body == 0:
            self._complete()
            return
        self._decoder = decoder_for(response.length, _LIMITS)
        self._feed(rest)

    def _feed(self, data: bytes) -> None:
        assert self._decoder is not None
        self._body += self._decoder.feed(data)
        if len(self._body) > self._max_body:
            raise PeerError(502, f"answer larger than {self._max_body} bytes")
        if self._decoder.done:
            self._complete()

    def _complete(self) -> None:
        if self._response is not None and not self.answer.done():
            self.answer.set_result(Answer(self._response.status, self._response, self._body))
