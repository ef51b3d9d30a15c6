"""What both sides of an HTTP/2 connection share: reading, flow control, sending in turns.

What a stream sends is queued here until its window, the connection's and the transport take it;
whoever fills a queue above the mark is told to stop. What a stream receives is given back to its
peer's window once it is passed on, unless the stream is held: then at most one window arrives.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import H2Error

from pilotlight.http.http2.framing import CONNECTION_WINDOW, STREAM_WINDOW, framing
from pilotlight.http.http2.patience import CONTROL, RESET, Patience

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.limits import Limits

_SLICE = 16384
"""Bytes between two looks at what a peer has cost."""
_GIVE_BACK = STREAM_WINDOW // 2
_TABLE = 4096
"""Bytes of compression table that we keep, however many a peer would like us to."""
_MOST_UNSENT = 1 << 20
"""Bytes in the transport: above, the peer asks for answers and does not read them."""


class Stream:
    """One stream. `local_done`, `remote_done`: nothing more is sent, or received."""

    __slots__ = ("connection", "ending", "exchange", "held", "id", "local_done", "owed",
                 "queue", "queued", "remote_done", "stalled")  # fmt: skip

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.id = number
        self.exchange: Exchange | None = None
        self.queue: deque[bytes] = deque()
        self.queued = 0
        self.ending: list[tuple[bytes, bytes]] | None = None
        self.stalled = False
        self.held = False
        self.owed = 0
        self.local_done = False
        self.remote_done = False

    # Sending

    def put(self, data: bytes) -> None:
        """Send, now or when the peer takes it."""
        if self.local_done or not data:
            return
        self.queue.append(data)
        self.queued += len(data)
        self.connection.wants(self)
        if self.queued > self.connection.limits.write_high:
            self.stalled = True
            self.tell_stalled(True)

    def end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        """What was put is all there is."""
        if not self.local_done:
            self.ending = trailers
            self.connection.wants(self)

    def send_some(self) -> bool:
        """Send a frame, if windows allow; whether anything was sent."""
        framing = self.connection.framing
        if self.queue:
            room = min(framing.local_flow_control_window(self.id), framing.max_outbound_frame_size)
            if room <= 0:
                return False
            data = self._piece(room)
            last = not self.queue and self.ending is not None and not self.ending
            framing.send_data(self.id, data, end_stream=last)
            if last:
                self._sent_all()
        if not self.queue and self.ending is not None and not self.local_done:
            if self.ending:
                framing.send_headers(self.id, self.ending, end_stream=True)
            else:
                framing.end_stream(self.id)
            self._sent_all()
        if not self.queue:
            self.connection.sending.pop(self.id, None)
            if self.stalled:
                self.stalled = False
                self.tell_stalled(False)
        return True

    def _piece(self, room: int) -> bytes:
        queue = self.queue
        data = queue.popleft()
        if len(data) < room and queue:
            pieces, size = [data], len(data)
            while queue and size + len(queue[0]) <= room:
                size += len(queue[0])
                pieces.append(queue.popleft())
            data = b"".join(pieces)
        elif len(data) > room:
            queue.appendleft(data[room:])
            data = data[:room]
        self.queued -= len(data)
        return data

    def _sent_all(self) -> None:
        self.local_done = True
        self.connection.settled(self)

    def reset(self, code: int) -> None:
        """Give up both directions."""
        connection = self.connection
        self.queue.clear()
        self.local_done = self.remote_done = True
        connection.drop(self)
        if not connection.closed:
            try:
                connection.framing.reset_stream(self.id, code)
            except H2Error:
                return  # it has ended already
            connection.schedule()

    # Receiving

    def hold(self, stalled: bool) -> None:
        """Let the peer send no more than a window (or again more)."""
        self.held = stalled
        if not stalled:
            self.give_back()

    def give_back(self) -> None:
        if self.owed >= _GIVE_BACK and not self.remote_done and not self.connection.closed:
            owed, self.owed = self.owed, 0
            try:
                self.connection.framing.increment_flow_control_window(owed, self.id)
            except H2Error:
                return  # its end has come along, and is told in a moment
            self.connection.schedule()

    # What a side does

    def tell_stalled(self, stalled: bool) -> None:
        raise NotImplementedError

    def arrived(self, data: bytes) -> None:
        raise NotImplementedError

    def trailers(self, pairs: list[tuple[bytes, bytes]]) -> None:
        raise NotImplementedError

    def ended_by_peer(self) -> None:
        raise NotImplementedError

    def lost(self, code: int, reason: str) -> None:
        """The peer, or the connection, has given it up."""
        raise NotImplementedError


class Connection(asyncio.Protocol):
    """See the module's text."""

    __slots__ = (
        "_backlog",
        "_owed",
        "_patience",
        "_paused",
        "_scheduled",
        "closed",
        "framing",
        "limits",
        "sending",
        "since",
        "streams",
        "transport",
    )  # fmt: skip

    def __init__(self, limits: Limits, *, client: bool) -> None:
        self.limits = limits
        self.framing = framing(client=client, limits=limits)
        self.streams: dict[int, Stream] = {}
        self.sending: dict[int, Stream] = {}
        self.closed = False
        self.since = time.monotonic()
        """When something came last."""
        self._patience = Patience(self.since)
        self._backlog = b""
        self._owed = 0
        self._paused = False
        self._scheduled = False

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self.limits.write_high)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._backlog:
            self._backlog += data
        else:
            self._read(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._backlog = b""
        streams = list(self.streams.values())
        self.streams.clear()
        self.sending.clear()
        for stream in streams:
            stream.local_done = stream.remote_done = True
            stream.lost(ErrorCodes.INTERNAL_ERROR, str(exc or "the peer closed its connection"))
        self.gone()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.schedule()

    # Sending

    def wants(self, stream: Stream) -> None:
        """A stream has something to send."""
        self.sending[stream.id] = stream
        self.schedule()

    def schedule(self) -> None:
        """Send what is there at the end of this turn of the loop, in one piece."""
        if not self._scheduled and not self.closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send as much as everybody allows: a frame of each stream in turn."""
        self._scheduled = False
        if self.closed:
            return
        while self.sending and not self._paused:
            going_on = False
            for stream in list(self.sending.values()):
                try:
                    going_on = stream.send_some() or going_on
                except H2Error:
                    self.sending.pop(stream.id, None)  # reset, as we are told in a moment
            if not going_on:
                break
            if self.sending:
                self._write()
        self._write()

    def _write(self) -> None:
        data = self.framing.data_to_send()
        if data:
            self.transport.write(data)
            if self.transport.get_write_buffer_size() > _MOST_UNSENT:
                self.abort()

    # Ends

    def settled(self, stream: Stream) -> None:
        """One direction of a stream has ended, or its exchange has."""
        if not stream.local_done:
            return
        if stream.remote_done:
            self.drop(stream)
        elif stream.exchange is None:
            stream.reset(ErrorCodes.NO_ERROR)  # the rest is of no interest to anybody

    def drop(self, stream: Stream) -> None:
        """A stream is over."""
        self.sending.pop(stream.id, None)
        if self.streams.pop(stream.id, None) is not None:
            self.dropped()

    def close(self, code: int = ErrorCodes.NO_ERROR) -> None:
        """Say goodbye, and close when that is sent."""
        if self.closed:
            return
        self.framing.go_away(self.framing.highest_inbound_stream_id, code)
        self._write()
        self.closed = True
        self.transport.close()

    def abort(self) -> None:
        self.closed = True
        self.transport.abort()

    # Reading

    def _read(self, data: bytes) -> None:
        self.since = now = time.monotonic()
        patience = self._patience
        for start in range(0, len(data), _SLICE):
            if self.closed:
                return
            try:
                found = self.framing.receive_data(data[start : start + _SLICE])
            except H2Error as error:
                self.failed(error)
                return
            for event in found:
                handler = _HANDLERS.get(type(event))
                if handler is not None:
                    handler(self, event)
                else:
                    self.on_event(event)
            delay = patience.delay(now)
            if delay > 0:
                self._rest(data[start + _SLICE :], delay)
                break
        self.turn_ended()
        if self._owed >= CONNECTION_WINDOW // 4 and not self.closed:
            owed, self._owed = self._owed, 0
            self.framing.increment_flow_control_window(owed)
        self.flush()

    def _rest(self, unread: bytes, delay: float) -> None:
        self._backlog = unread or b""
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(delay, self._go_on)

    def _go_on(self) -> None:
        if self.closed:
            return
        self.transport.resume_reading()
        unread, self._backlog = self._backlog, b""
        if unread:
            self._read(unread)

    def failed(self, error: H2Error) -> None:
        """The peer does not follow the protocol; h2 has prepared the GOAWAY that says so."""
        self._write()
        self.closed = True
        self.transport.close()
        self.connection_lost(error)

    def _on_data(self, event: events.DataReceived) -> None:
        size = event.flow_controlled_length
        self._owed += size
        stream = self.streams.get(event.stream_id)
        if not event.data and event.stream_ended is None:
            self._patience.spend(CONTROL)
        if stream is None or stream.remote_done:
            return
        stream.owed += size
        if event.data:
            stream.arrived(event.data)
        if not stream.held and event.stream_ended is None:
            stream.give_back()

    def _on_trailers(self, event: events.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.trailers(event.headers)

    def _on_end(self, event: events.StreamEnded) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None and not stream.remote_done:
            stream.remote_done = True
            stream.ended_by_peer()
            self.settled(stream)

    def _on_reset(self, event: events.StreamReset) -> None:
        if event.remote_reset:
            self._patience.spend(RESET)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.queue.clear()
            stream.local_done = stream.remote_done = True
            self.drop(stream)
            stream.lost(int(event.error_code or 0), "the peer reset the stream")

    def _on_control(self, event: events.Event) -> None:
        self._patience.spend(CONTROL)

    def _on_settings(self, event: events.RemoteSettingsChanged) -> None:
        self._patience.spend(CONTROL)
        encoder = self.framing.encoder
        if encoder.header_table_size > _TABLE:
            encoder.header_table_size = _TABLE
        self.settings_changed()

    # What a side does

    def on_event(self, event: events.Event) -> None:
        """An event that only this side knows."""

    def turn_ended(self) -> None:
        """All that came at once has been looked at."""

    def settings_changed(self) -> None:
        """The peer has other limits."""

    def dropped(self) -> None:
        """There is a stream less."""

    def gone(self) -> None:
        """The connection is no more."""


_HANDLERS: dict[type[events.Event], Any] = {
    events.DataReceived: Connection._on_data,
    events.TrailersReceived: Connection._on_trailers,
    events.StreamEnded: Connection._on_end,
    events.StreamReset: Connection._on_reset,
    events.PingReceived: Connection._on_control,
    events.PriorityUpdated: Connection._on_control,
    events.UnknownFrameReceived: Connection._on_control,
    events.RemoteSettingsChanged: Connection._on_settings,
}
