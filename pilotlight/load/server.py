"""A collector's side: takes reporters in, checks who they are, and hands their frames on."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final, NamedTuple, Protocol, cast

from pilotlight import names
from pilotlight.load import wire

_log: Final = logging.getLogger("load.server")

MOST_SESSIONS: Final = 50_000
MOST_NAMES: Final = 200_000
MOST_NAMES_OF_A_POD: Final = 4
"""A queue-proxy speaks of its own Revision only."""
SILENCE_S: Final = 15.0
GREETING_TIMEOUT_S: Final = 5.0
MOST_UNSENT_BYTES: Final = 256 * 1024
_SWEEP_S: Final = 1.0
_LOGGED_PER_S: Final = 5


class Listener(Protocol):
    """Who is told. Called in the event loop; must not block."""

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        """The key that this greeting has to be signed with, or None to refuse it."""

    def on_greeting(self, session: Session) -> None:
        """A reporter has proved who it is."""

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        """A reporter sent a record. `Name` frames are kept by the session and not passed on."""

    def on_gone(self, session: Session) -> None:
        """A reporter that had greeted is gone: closed, broken or silent for too long."""


class Statistics(NamedTuple):
    sessions: int
    refused: int
    frames: int


class Collector:
    """Listens for reporters."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._swept = 0.0
        self._frames = 0
        self._refused = 0
        self._log_window = (float("-inf"), 0)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (useful with port 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), host, port, backlog=1024)
        self._swept = loop.time()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.close()
        if self._server is not None:
            await self._server.wait_closed()

    def statistics(self) -> Statistics:
        return Statistics(len(self._sessions), self._refused, self._frames)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        # What has come while this process did not run has not been read yet.
        late = max(now - self._swept - _SWEEP_S, 0.0)
        self._swept = now
        for session in list(self._sessions):
            session.excuse(late)
            if session.overdue(now):
                self._note(logging.INFO, "reporter is silent: dropped", session.fields())
                session.close()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    def _joined(self, session: Session) -> bool:
        if len(self._sessions) >= MOST_SESSIONS:
            self._refused += 1
            return False
        self._sessions.add(session)
        return True

    def _left(self, session: Session) -> None:
        self._sessions.discard(session)
        if session.greeting is not None:
            self._listener.on_gone(session)

    def _checked(self, session: Session, signed: wire.SignedGreeting, nonce: bytes) -> bool:
        key = self._listener.key_for(signed.greeting)
        if key is not None and wire.verify(signed, key, nonce):
            return True
        self._refused += 1
        self._note(logging.WARNING, "greeting refused", signed.greeting._asdict())
        return False

    def _note(self, level: int, text: str, fields: dict[str, str]) -> None:
        """Logs what anybody on the network can bring about: a few lines a second at most."""
        now = asyncio.get_running_loop().time()
        since, count = self._log_window
        if now - since >= 1.0:
            since, count = now, 0
        self._log_window = (since, count + 1)
        if count < _LOGGED_PER_S:
            _log.log(level, text, extra=fields)


class Session(asyncio.Protocol):
    """One reporter. `greeting` is None until it has proved who it is; `peer` is the address that it
    connected from.
    """

    def __init__(self, collector: Collector) -> None:
        self.greeting: wire.Greeting | None = None
        self.peer = ""
        self.names: dict[int, str] = {}
        self._collector = collector
        self._transport: asyncio.Transport | None = None
        self._nonce = os.urandom(wire.NONCE_LENGTH)
        self._decoder = wire.Decoder()
        self._heard = 0.0
        self._clock = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self._heard = self._clock()
        if not self._collector._joined(self):
            transport.abort()
            return
        transport.write(wire.encode_challenge(self._nonce))

    def data_received(self, data: bytes) -> None:
        self._heard = self._clock()
        try:
            for frame in self._decoder.feed(data):
                self._handle(frame)
        except wire.ProtocolError as error:
            fields = {**self.fields(), "error": str(error)}
            self._collector._note(logging.WARNING, "reporter dropped", fields)
            self.close()

    def send(self, data: bytes) -> None:
        """Write encoded frames; a reporter that does not read is dropped."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._collector._left(self)

    def excuse(self, seconds: float) -> None:
        """We did not listen for so long: it counts for the reporter."""
        self._heard += seconds

    def overdue(self, now: float) -> bool:
        limit = GREETING_TIMEOUT_S if self.greeting is None else SILENCE_S
        return now - self._heard > limit

    def fields(self) -> dict[str, str]:
        """What a log line says of this reporter."""
        return {} if self.greeting is None else self.greeting._asdict()

    def _handle(self, frame: wire.Frame) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        collector = self._collector
        collector._frames += 1
        if isinstance(frame, wire.SignedGreeting):
            if self.greeting is not None:
                raise wire.ProtocolError("a second greeting on one connection")
            if not collector._checked(self, frame, self._nonce):
                self.close()
                return
            self.greeting = frame.greeting
            collector._listener.on_greeting(self)
        elif self.greeting is None:
            raise wire.ProtocolError("a record before the greeting")
        elif isinstance(frame, wire.Name):
            most = MOST_NAMES_OF_A_POD if self.greeting.kind == names.QUEUE_PROXY else MOST_NAMES
            if len(self.names) >= most and frame.id not in self.names:
                raise wire.ProtocolError(f"more than {most} names")
            self.names[frame.id] = frame.key
        else:
            collector._listener.on_frame(self, frame)
