"""A client's HTTP/2 connection: each of its streams is an exchange."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import H2Error

from pilotlight.http.answers import TEXT
from pilotlight.http.errors import PeerError
from pilotlight.http.exchange import Exchange
from pilotlight.http.fields import Headers, trailer_lines
from pilotlight.http.head import Response
from pilotlight.http.http2.connection import Connection, Stream
from pilotlight.http.http2.framing import LAST_STREAM
from pilotlight.http.http2.heads import (
    read_request,
    read_trailers,
    render_own,
    render_response,
    trailer_pairs,
)

if TYPE_CHECKING:
    from pilotlight.http.server import Server


_SENDING_S = 0.1  # a look again whether the last answers are sent


class ServerStream(Stream):
    """One request. Implements `exchange.Downstream`."""

    __slots__ = ("_continued", "_server", "_trailers", "limits", "peer")

    def __init__(self, connection: ServerConnection2, number: int, server: Server) -> None:
        super().__init__(connection, number)
        self.peer = connection.peer
        self.limits = connection.limits
        self._server = server
        self._trailers: list[bytes] = []
        self._continued = False

    # What the peer says

    def arrived(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.body_arrived(data)

    def trailers(self, pairs: list[tuple[bytes, bytes]]) -> None:
        try:
            self._trailers = trailer_lines(read_trailers(pairs, self.limits))
        except PeerError:
            self.break_off()
            exchange = self.exchange
            if exchange is not None:
                exchange.client_gone()

    def ended_by_peer(self) -> None:
        if self.exchange is not None:
            self.exchange.body_ended(self._trailers)

    def lost(self, code: int, reason: str) -> None:
        if self.exchange is not None:
            self.exchange.client_gone()

    def tell_stalled(self, stalled: bool) -> None:
        if self.exchange is not None:
            self.exchange.client_stalled(stalled)

    # What the exchange says (exchange.Downstream)

    def send_response(
        self, exchange: Exchange, response: Response, body: bytes, last: bool
    ) -> None:
        self._send_head(render_response(response, exchange.extra or ()), last and not body)
        self.put(body)
        if last and body:
            self.end([])

    def send_own(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        given = (*headers, *(exchange.extra or ()))
        if exchange.request.method == b"HEAD" or status in (204, 304):
            self._send_head(render_own(status, given, len(body), self._server.date), True)
        else:
            pairs = render_own(status, given, len(body), self._server.date)
            self._send_head(pairs, not body)
            if body:
                self.put(body)
                self.end([])

    def send_interim(self, response: Response) -> None:
        self._send_head(render_response(response, ()), False)

    def send_continue(self) -> None:
        exchange = self.exchange
        if exchange is not None and not exchange.status and not self._continued:
            self._continued = True
            if exchange.request.expects_continue:
                self._send_head([(b":status", b"100")], False)

    def send_body(self, data: bytes) -> None:
        self.put(data)

    def send_end(self, trailers: list[bytes]) -> None:
        self.end(trailer_pairs(trailers))

    def start_tunnel(self, exchange: Exchange, response: Response) -> bytes:
        raise AssertionError("a request of HTTP/2 asks for no upgrade")

    def send_raw(self, data: bytes) -> None:
        raise AssertionError("a request of HTTP/2 asks for no upgrade")

    def send_eof(self) -> None:
        raise AssertionError("a request of HTTP/2 asks for no upgrade")

    def break_off(self, code: int = ErrorCodes.INTERNAL_ERROR) -> None:
        """Reset the stream: its answer is incomplete, or there is none."""
        if not (self.local_done and self.remote_done):
            self.reset(code)

    def ended(self, exchange: Exchange) -> None:
        if exchange in self._server.exchanges:  # the application has seen it
            self._server.finished(exchange)
        self.exchange = None
        self.connection.settled(self)

    def _send_head(self, pairs: list[tuple[bytes, bytes]], last: bool) -> None:
        if self.local_done:
            return
        try:
            self.connection.framing.send_headers(self.id, pairs, end_stream=last)
        except H2Error:
            return  # reset, as we are told in a moment
        self.connection.schedule()
        if last:
            self.local_done = True
            self.connection.settled(self)


class ServerConnection2(Connection):
    """See the module's text. It takes over from a `ServerConnection` that has read a preface."""

    __slots__ = ("_fresh", "_leaving", "_server", "peer")

    def __init__(self, server: Server, peer: str) -> None:
        super().__init__(server.limits, client=False)
        self._server = server
        self.peer = peer
        self._fresh: dict[int, Exchange] = {}
        """Exchanges that the application has not seen: what came along belongs to them."""
        self._leaving = False

    def begin(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take over a transport and what has been read from it."""
        transport.set_protocol(self)
        self.connection_made(transport)
        self.data_received(data)

    def gone(self) -> None:
        self._server.forget(self)

    # What the server says

    def check(self, now: float) -> None:
        """Close the connection if nothing comes; send clients away when the server leaves."""
        times = self._server.times
        waited = time.monotonic() - self.since
        if self.closed:
            if waited > times.idle_s:
                self.transport.abort()
        elif self.streams:
            self._leave()
            if waited > times.idle_s and not self._server.exchanges:
                self.abort()  # answers that nobody reads
        elif waited > (times.linger_s if self._leaving else self._idle_s()):
            self.close()
        else:
            self._leave()

    def parting(self, now: float, seconds: float) -> float:
        """Seconds until it has been idle for that long."""
        self._leave()
        if self.closed:
            return 0.0
        return max(self.since + seconds - now, _SENDING_S if self.streams else 0.0)

    def _idle_s(self) -> float:
        times = self._server.times
        return times.idle_s if self.framing.highest_inbound_stream_id else times.header_s

    def _leave(self) -> None:
        """While the server drains: no more streams, please; those that are on the way are taken."""
        if self._server.draining and not self._leaving and not self.closed:
            self._leaving = True
            self.framing.go_away(LAST_STREAM)
            self.schedule()

    # Reading

    def on_event(self, event: events.Event) -> None:
        if type(event) is events.RequestReceived:
            self._on_request(event)

    def _on_request(self, event: events.RequestReceived) -> None:
        number = event.stream_id
        server = self._server
        stream = ServerStream(self, number, server)
        self.streams[number] = stream
        if len(server.exchanges) >= server.limits.connections:
            stream.reset(ErrorCodes.REFUSED_STREAM)
            return
        try:
            request = read_request(event.headers, event.stream_ended is not None, self.limits)
        except PeerError as error:
            self._refuse(stream, error)
            return
        stream.exchange = exchange = Exchange(request, stream, time.monotonic())
        self._fresh[number] = exchange

    def _refuse(self, stream: ServerStream, error: PeerError) -> None:
        body = error.reason.encode()
        pairs = render_own(error.status, [TEXT], len(body), self._server.date)
        self.framing.send_headers(stream.id, pairs)
        stream.put(body)
        stream.end([])

    def turn_ended(self) -> None:
        """The application gets the requests that came, with what came of their bodies: a short
        call is complete by then, and need not be asked for its body.
        """
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        server = self._server
        for number, exchange in fresh.items():
            if number in self.streams:
                server.began(exchange)
                server.app(exchange)

    def dropped(self) -> None:
        if self._server.draining:
            self._leave()
