"""A client's HTTP/1 connection: parses requests in order, frames answers, one at a time.

Pipelined requests wait as bytes until the answer before them is complete; above a mark nothing
more is read. `connection_lost` is where everything ends, whatever happened before.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from pilotlight.http.answers import CONTINUE, TEXT, interim_head, own_head, refusal
from pilotlight.http.body import LAST_CHUNK, Decoder, chunk, decoder_for, last_chunk
from pilotlight.http.errors import PeerError
from pilotlight.http.exchange import Exchange
from pilotlight.http.fields import HOP_BY_HOP, Headers, trailer_lines
from pilotlight.http.head import Request, Response, parse_request
from pilotlight.http.reading import Reading

if TYPE_CHECKING:
    from pilotlight.http.server import Server

_TOGETHER = 16384  # bodies up to this size are joined to their head
_ARRIVING_S = 0.1  # a look again whether a head that has begun to arrive is complete
_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
_HOLD_PEER = 1
_HOLD_AHEAD = 2


_HEAD, _BODY, _AHEAD, _TUNNEL, _LINGER, _CLOSED = Reading


class ServerConnection(asyncio.Protocol):
    """See the module's text. Implements `exchange.Downstream`."""

    __slots__ = (
        "_buffer", "_chunked", "_continued", "_decoder", "_discarded", "_exchange", "_held",
        "_keep", "_reading", "_server", "_since", "_tunnel_ends", "_write", "_write_paused",
        "limits", "peer", "transport",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self.limits = server.limits
        self.peer = ""
        self._reading: Reading = _HEAD
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._decoder: Decoder | None = None
        self._held = 0
        self._keep = False
        self._continued: Exchange | None = None
        self._chunked = False
        self._write_paused = False
        self._since = 0.0
        self._discarded = 0
        self._tunnel_ends = 0

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._write = self.transport.write
        if not self._server.admit(self):
            self._reading = _CLOSED
            self.transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        self._since = self._server.now
        self.transport.set_write_buffer_limits(high=self.limits.write_high)

    def data_received(self, data: bytes) -> None:
        reading = self._reading
        if reading is _HEAD:
            self._read_head(data)
        elif reading is _BODY:
            self._read_body(data)
        elif reading is _TUNNEL:
            exchange = self._exchange
            if exchange is not None:
                exchange.tunnel_to_upstream(data)
        elif reading is _AHEAD:
            self._buffer += data
            if len(self._buffer) > self.limits.ahead:
                self._hold(_HOLD_AHEAD)
        elif reading is _LINGER:
            self._discarded += len(data)
            if self._discarded > self.limits.discard:
                self.transport.abort()

    def eof_received(self) -> bool:
        exchange = self._exchange
        if self._reading is _TUNNEL and exchange is not None:
            exchange.tunnel_client_eof()
            self._tunnel_ended(1)
            return True
        self._reading = _CLOSED
        if exchange is not None:
            exchange.client_gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading = _CLOSED
        self._buffer = b""
        self._decoder = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        self._server.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._exchange is not None:
            self._exchange.client_stalled(True)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._exchange is not None:
            self._exchange.client_stalled(False)

    # What the server says

    def check(self, now: float) -> None:
        """Close the connection if it has been idle, half-asked or lingering for too long."""
        times = self._server.times
        waited = now - self._since
        reading = self._reading
        if reading is _HEAD:
            if self._buffer:
                if waited > times.header_s:
                    self._refuse(PeerError(408, "request head not complete in time"))
            elif waited > (times.idle_s if self._keep else times.header_s):
                self.transport.abort()
        elif reading is _LINGER:
            if waited > times.linger_s:
                self.transport.abort()
        elif reading is _CLOSED and waited > times.idle_s:
            self.transport.abort()

    def parting(self, now: float, seconds: float) -> float:
        """Seconds until it has been idle for that long; 0 when it takes no request any more."""
        if self._reading is not _HEAD:
            return 0.0
        return _ARRIVING_S if self._buffer else self._since + seconds - now

    def close(self) -> None:
        """Close after what has been written is sent."""
        if self._reading is not _CLOSED:
            self._reading = _CLOSED
            self._since = self._server.now
            self.transport.close()

    # Reading

    def _read_head(self, data: bytes) -> None:
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
            self._buffer = b""
        else:
            self._since = self._server.now
        try:
            parsed = parse_request(data, self.limits, seen)
            if parsed is None:
                self._buffer = data
                return
            request, end = parsed
            exchange = Exchange(request, self, time.monotonic())
            self._exchange = exchange
            self._keep = request.keep_alive
            if request.length == 0:
                self._reading = _AHEAD
                if end < len(data):
                    self._buffer = data[end:]
            else:
                self._reading = _BODY
                self._decoder = decoder_for(request.length, self.limits)
                if end < len(data):
                    self._feed(data[end:], exchange)
        except PeerError as error:
            self._exchange = None
            if error.status != 505 or not self._speaks_http2(data):
                self._refuse(error)
            return
        self._server.began(exchange)
        self._server.app(exchange)

    def _speaks_http2(self, data: bytes) -> bool:
        """Hand the connection over, if its first bytes are the preface of HTTP/2."""
        if self._keep or not self._server.http2 or not data.startswith(_PREFACE):
            return False
        from pilotlight.http.http2.server import ServerConnection2

        self._reading = _CLOSED
        successor = ServerConnection2(self._server, self.peer)
        self._server.replace(self, successor)
        successor.begin(self.transport, data)
        return True

    def _read_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        try:
            self._feed(data, exchange)
        except PeerError as error:
            if exchange.status:
                self._reading = _CLOSED
                self.transport.abort()
                exchange.client_gone()
            else:
                self._keep = False
                self._reading = _LINGER
                exchange.respond(error.status, error.reason.encode(), [TEXT])

    def _feed(self, data: bytes, exchange: Exchange) -> None:
        decoder = self._decoder
        assert decoder is not None
        piece = decoder.feed(data)
        if piece:
            exchange.body_arrived(piece)
        if decoder.done:
            self._decoder = None
            if self._reading is _BODY:
                self._reading = _AHEAD
                self._buffer = decoder.rest
            exchange.body_ended(trailer_lines(decoder.trailers))

    def _refuse(self, error: PeerError) -> None:
        """Answer a request that cannot be understood, and close."""
        self._write(refusal(error, self._server.date))
        self._linger()

    def _linger(self) -> None:
        """Close, but let the client read the answer first, whatever it still has to send."""
        self._reading = _LINGER
        self._buffer = b""
        self._decoder = None
        self._since = self._server.now
        self._release(_HOLD_PEER | _HOLD_AHEAD)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _hold(self, reason: int) -> None:
        if not self._held:
            self.transport.pause_reading()
        self._held |= reason

    def _release(self, reason: int) -> None:
        if self._held:
            self._held &= ~reason
            if not self._held and self._reading is not _CLOSED:
                self.transport.resume_reading()

    # What the exchange says (exchange.Downstream)

    def hold(self, stalled: bool) -> None:
        if stalled:
            self._hold(_HOLD_PEER)
        elif self._held:
            self._release(_HOLD_PEER)

    def send_continue(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange is not self._continued and not exchange.status:
            self._continued = exchange
            if exchange.request.expects_continue:
                self._write(CONTINUE)

    def send_interim(self, response: Response) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.request.version == 11:
            self._write(interim_head(response))

    def send_response(
        self, exchange: Exchange, response: Response, body: bytes, last: bool
    ) -> None:
        lines = [response.status_line]
        drop = HOP_BY_HOP | response.listed if response.listed else HOP_BY_HOP
        lines += [field[2] for field in response.fields if field[0] not in drop]
        request = exchange.request
        self._chunked = False
        if response.length < 0:
            self._frame(request, lines)
        self._close_head(exchange, lines)
        head = b"\r\n".join(lines)
        if self._chunked:
            self._write_chunked(head, body, last)
        elif not body:
            self._write(head)
        elif len(body) <= _TOGETHER:
            self._write(head + body)
        else:
            self.transport.writelines((head, body))
        if self._write_paused:
            exchange.client_stalled(True)

    def _write_chunked(self, head: bytes, body: bytes, last: bool) -> None:
        pieces = [head]
        if body:
            pieces.append(chunk(body))
        if last:
            pieces.append(LAST_CHUNK)
        self._write(b"".join(pieces))

    def send_own(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        lines = own_head(status, headers, len(body), self._server.date)
        self._chunked = False
        if self._reading is not _AHEAD:
            self._keep = False
        self._close_head(exchange, lines)
        head = b"\r\n".join(lines)
        bodiless = exchange.request.method == b"HEAD" or status in (204, 304)
        self._write(head if bodiless else head + body)

    def send_body(self, data: bytes) -> None:
        if not data:
            return
        if not self._chunked:
            self._write(data)
        elif len(data) <= _TOGETHER:
            self._write(chunk(data))
        else:
            self.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))

    def send_end(self, trailers: list[bytes]) -> None:
        if self._chunked:
            self._write(last_chunk(trailers))

    def start_tunnel(self, exchange: Exchange, response: Response) -> bytes:
        upgrade = response.get(b"upgrade") or exchange.request.upgrade or b""
        switch = [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade), *(exchange.extra or ())]
        self._write(interim_head(response, switch))
        self._reading = _TUNNEL
        self._keep = False
        early, self._buffer = self._buffer, b""
        self._release(_HOLD_AHEAD)
        return early

    def send_raw(self, data: bytes) -> None:
        self._write(data)

    def send_eof(self) -> None:
        if self._reading is _TUNNEL:
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._tunnel_ended(2)

    def break_off(self, code: int = 0) -> None:
        """Close although the answer is incomplete; what was written is still sent."""
        self._keep = False
        self.close()

    def ended(self, exchange: Exchange) -> None:
        self._server.finished(exchange)
        self._exchange = None
        self._continued = None
        if self._held & _HOLD_PEER:
            self._release(_HOLD_PEER)
        reading = self._reading
        if reading is _CLOSED:
            return
        if reading is _AHEAD and self._keep:
            self._since = self._server.now
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._next)
                return
            self._reading = _HEAD
            if self._server.draining:
                self.close()
        elif reading is _AHEAD or reading is _TUNNEL:
            self.close()
        else:
            self._linger()

    # Inside

    def _frame(self, request: Request, lines: list[bytes]) -> None:
        """Framing of a body of unknown length: chunked, or for HTTP/1.0 by closing."""
        if request.method == b"HEAD":
            return
        if request.version == 11:
            self._chunked = True
            lines.append(b"Transfer-Encoding: chunked")
        else:
            self._keep = False

    def _close_head(self, exchange: Exchange, lines: list[bytes]) -> None:
        """The last lines of a final head: what the application adds, and the connection's fate."""
        if exchange.extra is not None:
            lines += [b"%b: %b" % pair for pair in exchange.extra]
        if self._server.draining:
            self._keep = False
        if not self._keep:
            lines.append(b"Connection: close")
        elif exchange.request.version == 10:
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")

    def _next(self) -> None:
        """Go on with a pipelined request."""
        if self._reading is _AHEAD and self._exchange is None:
            data, self._buffer = self._buffer, b""
            self._reading = _HEAD
            self._read_head(data)
            if len(self._buffer) <= self.limits.ahead:
                self._release(_HOLD_AHEAD)

    def _tunnel_ended(self, side: int) -> None:
        self._tunnel_ends |= side
        exchange = self._exchange
        if self._tunnel_ends == 3 and exchange is not None:
            exchange.tunnel_closed()
