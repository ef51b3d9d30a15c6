"""A reporter's side: one connection to every collector behind a name, kept up for as long as the
process lives.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, cast

from pilotlight.load import wire
from pilotlight.load.discovery import resolve as resolve_name

_log: Final = logging.getLogger("load.client")

MOST_COLLECTORS: Final = 64
# Above this much unsent data a collector does not read any more: it is dropped and tried again.
MOST_UNSENT_BYTES: Final = 256 * 1024
FIRST_LOOKUP_S: Final = 1.0
LONGEST_LOOKUP_S: Final = 5.0
"""While the name shows the same collectors again and again, and connections to them last: all pods
ask the cluster's DNS."""
FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 1.0
"""For a collector that cannot be reached."""
LONGEST_REFUSAL_S: Final = 5.0
"""For one that takes the connection and ends it again: it refuses the greeting."""
STEADY_S: Final = 1.0
"""A connection that lasted this long was no refusal: its end is followed up at once."""
_RETRY_GROWTH: Final = 1.5
CONNECT_TIMEOUT_S: Final = 2.0
HANDSHAKE_TIMEOUT_S: Final = 3.0
DEAD_PEER_MS: Final = 15_000


class ReporterSpec(NamedTuple):
    """What a reporter is: `endpoint` is "name:port"; `snapshot` gives the encoded frames that a
    collector which has just connected must know (names, state); `on_frame` gets what collectors
    send, with the address of the one that sent it.
    """

    endpoint: str
    greeting: wire.Greeting
    key: bytes
    snapshot: Callable[[], bytes]
    on_frame: Callable[[str, wire.Frame], None]
    resolve: Callable[[str], Awaitable[list[str]]] = resolve_name


class Reporter:
    """Connects to all collectors, greets each, and sends them all the same frames.

    A collector that the name does not show any more keeps its connection for as long as that
    lives: a resolver that fails for a moment must not silence anybody.
    """

    def __init__(self, spec: ReporterSpec) -> None:
        self._spec = spec
        self._name, _, port = spec.endpoint.rpartition(":")
        self._port = int(port)
        self._wanted: frozenset[str] = frozenset()
        self._connections: dict[str, _Connection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """What keeps up the connection to each collector."""
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def connected(self) -> list[str]:
        """Addresses of the collectors that have been greeted."""
        return [address for address, peer in self._connections.items() if peer.greeted]

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(
            self._follow(), name=f"reporter to {self._spec.endpoint}"
        )

    def broadcast(self, data: bytes) -> None:
        """Send encoded frames to every collector that has been greeted."""
        for connection in list(self._connections.values()):
            connection.send(data)

    async def close(self) -> None:
        tasks = [*self._tasks.values()]
        if self._task is not None:
            tasks.append(self._task)
            self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            connection.close()

    async def _follow(self) -> None:
        """Look the name up again and again, and keep one task for each address."""
        retry, pause = FIRST_RETRY_S, FIRST_LOOKUP_S
        while True:
            self._wake.clear()
            found, known = await self._look_up(), self._wanted
            self._wanted = frozenset(found)
            for address in found:
                if address not in self._tasks and len(self._tasks) < MOST_COLLECTORS:
                    self._keep(address)
            if found:
                same = self._wanted == known
                pause = min(pause * _RETRY_GROWTH, LONGEST_LOOKUP_S) if same else FIRST_LOOKUP_S
                retry, delay = FIRST_RETRY_S, pause * random.uniform(0.8, 1.2)
            else:
                delay = retry * random.uniform(0.8, 1.2)
                retry = min(retry * _RETRY_GROWTH, LONGEST_RETRY_S)
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes with the event.
                async with asyncio.timeout(delay):
                    await self._wake.wait()
                pause = FIRST_LOOKUP_S
                await asyncio.sleep(FIRST_RETRY_S)
            except TimeoutError:
                pass

    async def _look_up(self) -> list[str]:
        try:
            return (await self._spec.resolve(self._name))[:MOST_COLLECTORS]
        except (OSError, ValueError) as error:
            extra = {"name": self._name, "error": str(error)}
            _log.debug("collectors not looked up", extra=extra)
            return []

    def _keep(self, address: str) -> None:
        task = asyncio.get_running_loop().create_task(
            self._keep_connected(address), name=f"report to {address}"
        )
        self._tasks[address] = task
        task.add_done_callback(lambda task: self._ended(address, task))

    def _ended(self, address: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(address, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("reporting failed unexpectedly", exc_info=error)

    async def _keep_connected(self, address: str) -> None:
        """Connect again and again, until the name does not show the collector any more."""
        clock = asyncio.get_running_loop().time
        retry = FIRST_RETRY_S
        while address in self._wanted:
            began = clock()
            # Known before it is made: what is sent between its greeting and the end of the wait
            # for it goes to this collector too.
            connection = self._connections[address] = _Connection(self._spec, address)
            longest = LONGEST_RETRY_S
            if await self._connect(connection):
                longest = LONGEST_REFUSAL_S
                await connection.lost.wait()
                self._wake.set()
                if clock() - began >= STEADY_S:
                    retry = FIRST_RETRY_S
            del self._connections[address]
            await asyncio.sleep(retry * random.uniform(0.8, 1.2))
            retry = min(retry * _RETRY_GROWTH, longest)

    async def _connect(self, connection: _Connection) -> bool:
        loop, address = asyncio.get_running_loop(), connection.address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: connection, address, self._port)
        except OSError as error:
            _log.debug("collector not reached", extra={"address": address, "error": str(error)})
            return False
        return True


def _notice_dead_peers(transport: asyncio.Transport) -> None:
    """A collector whose machine vanished acknowledges nothing: the kernel gives up after 15 s."""
    sock = transport.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)


class _Connection(asyncio.Protocol):
    def __init__(self, spec: ReporterSpec, address: str) -> None:
        self.address = address
        self.greeted = False
        self.lost = asyncio.Event()
        self._spec = spec
        self._transport: asyncio.Transport | None = None
        self._challenge = b""
        self._decoder = wire.Decoder()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        _notice_dead_peers(transport)
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT_S, self.close)

    def data_received(self, data: bytes) -> None:
        try:
            if not self.greeted:
                data = self._handshake(data)
            for frame in self._decoder.feed(data):
                self._spec.on_frame(self.address, frame)
        except wire.ProtocolError as error:
            _log.warning("collector dropped", extra={"address": self.address, "error": str(error)})
            self.close()

    def _handshake(self, data: bytes) -> bytes:
        needed = wire.CHALLENGE_LENGTH - len(self._challenge)
        self._challenge += data[:needed]
        if len(self._challenge) < wire.CHALLENGE_LENGTH:
            return b""
        nonce = wire.decode_challenge(self._challenge)
        self.greeted = True
        self._cancel_deadline()
        hello = wire.encode_greeting(self._spec.greeting, self._spec.key, nonce)
        self.send(hello + self._spec.snapshot())
        return data[needed:]

    def send(self, data: bytes) -> None:
        transport = self._transport
        if not self.greeted or transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            _log.warning("collector does not read: dropped", extra={"address": self.address})
            transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.greeted = False
        self._cancel_deadline()
        self.lost.set()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
