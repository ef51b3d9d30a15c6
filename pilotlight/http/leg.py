"""A connection to an upstream: sends one request at a time, parses its answer.

Implements `exchange.UpstreamLeg`. Whoever detaches it from its exchange calls `release` or `close`
exactly once; after that the connection is the pool's, or nobody's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pilotlight.http.body import CloseBody, Decoder, chunk, decoder_for, last_chunk
from pilotlight.http.errors import PeerError, UpstreamLostError
from pilotlight.http.fields import trailer_lines
from pilotlight.http.head import Response, parse_response

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.upstream import Upstream

_INTERIM_ANSWERS = 16
_FLUSH_S = 30.0
_TOGETHER = 16384


class UpstreamConnection(asyncio.Protocol):
    """See the module's text."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_exchange",
        "_heard",
        "_interim",
        "_keep",
        "_paused",
        "_tunnel",
        "_upstream",
        "_write",
        "_write_paused",
        "transport",
    )

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._exchange: Exchange | None = None
        self._buffer = b""
        self._decoder: Decoder | None = None
        self._heard = False
        self._interim = 0
        self._keep = False
        self._paused = False
        self._write_paused = False
        self._tunnel = False

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._write = self.transport.write
        self.transport.set_write_buffer_limits(high=self._upstream.limits.write_high)

    def data_received(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is not None:
            self._read_body(data, decoder)
        elif self._tunnel:
            if self._exchange is not None:
                self._exchange.tunnel_to_client(data)
        else:
            self._read_head(data)

    def eof_received(self) -> bool:
        exchange = self._exchange
        if exchange is None:
            return False
        if self._tunnel:
            exchange.tunnel_upstream_eof()
            return True
        if isinstance(self._decoder, CloseBody):
            self._decoder = None
            exchange.answer_end(False, [])
        else:
            self._lose(
                UpstreamLostError("the upstream closed its connection before it had answered")
            )
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is None:
            self._upstream.gone(self)
        else:
            reason = exc or "the upstream closed its connection"
            self._lose(UpstreamLostError(f"connection lost: {reason}"))

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._exchange is not None:
            self._exchange.upstream_stalled(True)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._exchange is not None:
            self._exchange.upstream_stalled(False)

    # What the exchange says (exchange.UpstreamLeg)

    def begin(self, exchange: Exchange, head: bytes) -> None:
        self._exchange = exchange
        self._heard = False
        self._interim = 0
        self._write(head)

    def send_body(self, data: bytes, chunked: bool) -> None:
        if not chunked:
            self._write(data)
        elif len(data) <= _TOGETHER:
            self._write(chunk(data))
        else:
            self.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))

    def send_end(self, trailers: list[bytes], chunked: bool) -> None:
        if chunked:
            self._write(last_chunk(trailers))

    def send_raw(self, data: bytes) -> None:
        self._write(data)

    def send_eof(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def hold(self, stalled: bool) -> None:
        if stalled != self._paused:
            self._paused = stalled
            if stalled:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def release(self, reusable: bool) -> None:
        """The exchange is over; `reusable`: request and answer were complete, keep-alive."""
        if not reusable or self._write_paused:
            self.close()
            return
        self._exchange = None
        if self._paused:
            self.hold(False)
        self._upstream.put(self)

    def close(self) -> None:
        """Close in the middle of an exchange."""
        self._exchange = None
        self._upstream.busy -= 1
        if self._tunnel:
            # What was written still gets there, unless the peer does not read.
            self.transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_S, self.transport.abort)
        else:
            self.transport.abort()

    # Reading

    def _read_head(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.transport.abort()  # nobody asked
            return
        self._heard = True
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
            self._buffer = b""
        try:
            parsed = parse_response(data, exchange.request.method, self._upstream.limits, seen)
            if parsed is None:
                self._buffer = data
                return
            response, end = parsed
            rest = data[end:] if end < len(data) else b""
            if response.status < 200:
                self._read_interim(exchange, response, rest)
            elif response.length == len(rest):
                exchange.answer_arrived(response, rest, True)
            elif response.length == 0:
                response.keep_alive = False  # bytes that belong to no answer
                exchange.answer_arrived(response, b"", True)
            else:
                self._begin_body(exchange, response, rest)
        except PeerError as error:
            self._lose(_not_http(error))

    def _begin_body(self, exchange: Exchange, response: Response, rest: bytes) -> None:
        limits = self._upstream.limits
        self._keep = response.keep_alive
        self._decoder = decoder = decoder_for(response.length, limits)
        piece = decoder.feed(rest) if rest else b""
        if not decoder.done:
            exchange.answer_arrived(response, piece, False)
            return
        self._decoder = None
        trailers = trailer_lines(decoder.trailers)
        response.keep_alive = self._keep = self._keep and not decoder.rest
        exchange.answer_arrived(response, piece, not trailers)
        if trailers and self._exchange is exchange:
            exchange.answer_end(self._keep, trailers)

    def _read_interim(self, exchange: Exchange, response: Response, rest: bytes) -> None:
        self._interim += 1
        if response.status == 101:
            if exchange.request.upgrade is None:
                raise PeerError(502, "protocol switch that was not asked for")
            self._tunnel = True
            exchange.switched(response, rest)
            return
        if self._interim > _INTERIM_ANSWERS:
            raise PeerError(502, "too many informational answers")
        if response.status == 100:
            exchange.continue_arrived()
        else:
            exchange.interim_arrived(response)
        if rest:
            self._read_head(rest)

    def _read_body(self, data: bytes, decoder: Decoder) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        try:
            piece = decoder.feed(data)
        except PeerError as error:
            self._lose(_not_http(error))
            return
        if piece:
            exchange.answer_data(piece)
        if decoder.done:
            self._decoder = None
            keep = self._keep and not decoder.rest
            exchange.answer_end(keep, trailer_lines(decoder.trailers))

    def _lose(self, error: UpstreamLostError) -> None:
        exchange, self._exchange = self._exchange, None
        self._upstream.busy -= 1
        self._decoder = None
        self.transport.abort()
        if exchange is not None:
            exchange.upstream_lost(error, not self._heard)


def _not_http(error: PeerError) -> UpstreamLostError:
    return UpstreamLostError(f"the upstream's answer is not valid HTTP: {error.reason}")
