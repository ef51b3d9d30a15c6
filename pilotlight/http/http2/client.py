"""A connection to an upstream of HTTP/2, which carries many exchanges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2 import events
from h2.errors import ErrorCodes

from pilotlight.http.errors import PeerError, UpstreamLostError
from pilotlight.http.exchange import Exchange
from pilotlight.http.fields import trailer_lines
from pilotlight.http.http2.connection import Connection, Stream
from pilotlight.http.http2.framing import LAST_STREAM, STREAMS
from pilotlight.http.http2.heads import (
    Pairs,
    read_response,
    read_trailers,
    size_of,
    trailer_pairs,
)

if TYPE_CHECKING:
    from pilotlight.http.http2.upstream import Upstream2

_INTERIM_ANSWERS = 16
_NO_STREAM_LEFT = LAST_STREAM - 1000


class Leg(Stream):
    """One exchange's stream. Implements `exchange.UpstreamLeg`."""

    __slots__ = ("_heard", "_interim", "_line", "_trailers")

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection, 0)
        self._line = connection
        self._heard = False
        self._interim = 0
        self._trailers: list[bytes] = []

    # What the exchange says (exchange.UpstreamLeg)

    def begin(self, exchange: Exchange, head: Pairs) -> None:
        self.exchange = exchange
        line = self._line
        most = line.framing.remote_settings.max_header_list_size
        if line.closed or (most is not None and size_of(head) > most):
            self.local_done = self.remote_done = True
            asyncio.get_running_loop().call_soon(self._cannot_begin)
            return
        self.id = line.framing.get_next_available_stream_id()
        line.streams[self.id] = self
        last = exchange.request.length == 0
        line.framing.send_headers(self.id, head, end_stream=last)
        self.local_done = last
        line.schedule()

    def send_body(self, data: bytes, chunked: bool) -> None:
        self.put(data)

    def send_end(self, trailers: list[bytes], chunked: bool) -> None:
        self.end(trailer_pairs(trailers))

    def send_raw(self, data: bytes) -> None:
        raise AssertionError("upgrades go by HTTP/1.1")

    def send_eof(self) -> None:
        raise AssertionError("upgrades go by HTTP/1.1")

    def release(self, reusable: bool) -> None:
        """The exchange is over: what is still under way of it is given up."""
        self.close()

    def close(self) -> None:
        self._let_go()
        if not (self.local_done and self.remote_done):
            self.reset(ErrorCodes.CANCEL)

    # What the peer says

    def head_arrived(self, pairs: Pairs, ended: bool) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        self._heard = True
        limits = self._line.limits
        try:
            response = read_response(pairs, ended, exchange.request.method, limits)
            if response.status < 200:
                self._interim_arrived(exchange, response.status, pairs)
                return
        except PeerError as error:
            self._bad(error)
            return
        self.remote_done = ended
        exchange.answer_arrived(response, b"", ended)

    def _interim_arrived(self, exchange: Exchange, status: int, pairs: Pairs) -> None:
        self._interim += 1
        if status == 101 or self._interim > _INTERIM_ANSWERS:
            raise PeerError(502, "too many informational answers")
        if status == 100:
            exchange.continue_arrived()
        else:
            limits = self._line.limits
            exchange.interim_arrived(read_response(pairs, False, exchange.request.method, limits))

    def arrived(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.answer_data(data)

    def trailers(self, pairs: Pairs) -> None:
        try:
            self._trailers = trailer_lines(read_trailers(pairs, self._line.limits))
        except PeerError as error:
            self._bad(error)

    def ended_by_peer(self) -> None:
        if self.exchange is not None:
            self.exchange.answer_end(True, self._trailers)

    def lost(self, code: int, reason: str) -> None:
        exchange = self._let_go()
        if exchange is not None:
            error = UpstreamLostError(f"{reason} (HTTP/2 code {code})", code)
            refused = code == ErrorCodes.REFUSED_STREAM
            exchange.upstream_lost(error, not self._heard, untouched=refused)

    def tell_stalled(self, stalled: bool) -> None:
        if self.exchange is not None:
            self.exchange.upstream_stalled(stalled)

    def _cannot_begin(self) -> None:
        closed = self._line.closed
        exchange = self._let_go()
        if exchange is not None:
            reason = "connection lost" if closed else "the request's head is too large for it"
            exchange.upstream_lost(UpstreamLostError(reason), closed, untouched=closed)

    def _bad(self, error: PeerError) -> None:
        exchange = self._let_go()
        self.reset(ErrorCodes.PROTOCOL_ERROR)
        if exchange is not None:
            text = f"the upstream's answer is not valid HTTP: {error.reason}"
            exchange.upstream_lost(UpstreamLostError(text), False)

    def _let_go(self) -> Exchange | None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._line.upstream.busy -= 1
        return exchange


class ClientConnection(Connection):
    """See the module's text."""

    __slots__ = ("retired", "upstream", "used")

    def __init__(self, upstream: Upstream2) -> None:
        super().__init__(upstream.limits, client=True)
        self.upstream = upstream
        self.retired = False
        """Takes no more streams, and closes after its last."""
        self.used = True

    @property
    def has_room(self) -> bool:
        if self.retired or self.closed:
            return False
        own = self.framing.remote_settings.max_concurrent_streams
        return len(self.streams) < min(own, self.upstream.most_streams)

    def retire(self) -> None:
        self.retired = True
        if not self.streams:
            self.close()

    def on_event(self, event: events.Event) -> None:
        kind = type(event)
        if kind is events.ResponseReceived or kind is events.InformationalResponseReceived:
            leg = self.streams.get(event.stream_id)  # type: ignore[attr-defined]
            if isinstance(leg, Leg):
                ended = getattr(event, "stream_ended", None) is not None
                leg.head_arrived(event.headers, ended)  # type: ignore[attr-defined]
                if ended:
                    self.settled(leg)
        elif kind is events.ConnectionTerminated:
            self._on_goodbye(event.last_stream_id)  # type: ignore[attr-defined]

    def _on_goodbye(self, last: int) -> None:
        """The peer leaves: what it has not looked at may go elsewhere, the rest goes on."""
        self.retired = True
        for leg in [leg for leg in self.streams.values() if leg.id > last]:
            leg.local_done = leg.remote_done = True
            self.drop(leg)
            leg.lost(ErrorCodes.REFUSED_STREAM, "the upstream is going away")
        if not self.streams:
            self.close()

    def settings_changed(self) -> None:
        most = self.framing.remote_settings.max_concurrent_streams
        self.upstream.most_streams = min(most, STREAMS)
        self.upstream.has_room(self)

    def dropped(self) -> None:
        self.used = True
        if self.retired and not self.streams:
            asyncio.get_running_loop().call_soon(self.close)
        elif self.framing.highest_outbound_stream_id > _NO_STREAM_LEFT:
            self.retired = True
        self.upstream.has_room(self)

    def gone(self) -> None:
        self.upstream.lost(self)
