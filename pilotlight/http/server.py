"""The listening side: a server, its sweep of timeouts, and its drain."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pilotlight.http.answers import http_date
from pilotlight.http.downstream import ServerConnection
from pilotlight.http.limits import ConnectionTimes, Limits

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange

_FAST_S = 0.1
_SLOW_S = 1.0

App = Callable[["Exchange"], None]


class Connection(Protocol):
    """A client's connection, as its server sees it."""

    def check(self, now: float) -> None: ...
    def parting(self, now: float, seconds: float) -> float: ...
    def close(self) -> None: ...


class Server:
    """Listens, and calls `app(exchange)` synchronously when the head of a request is complete.

    One timer per server looks at exchanges every 0.1 s and at connections every second; it does
    not run when there is no connection.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: Limits | None = None,
        times: ConnectionTimes | None = None,
        name: str = "",
        http2: bool = False,
    ) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.times = times or ConnectionTimes()
        self.name = name
        self.http2 = http2
        """Whether connections may be of HTTP/2; they say so by their first bytes."""
        self.exchanges: set[Exchange] = set()
        """The exchanges under way."""
        self.connections: set[Connection] = set()
        self.draining = False
        """Answers carry `Connection: close` from now on."""
        self.date = b""
        self.now = 0.0
        """Monotonic seconds at the last sweep."""
        self.refused = 0
        """Connections closed at once because there were too many."""
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._slow = True
        self._next_connections = 0.0
        self._ended = asyncio.Event()
        """Set when an exchange or a connection has ended, for those who wait for the last one."""

    async def listen(
        self,
        host: str,
        port: int,
        *,
        ssl: tls.SSLContext | None = None,
        reuse_port: bool = False,
        backlog: int = 4096,
    ) -> int:
        """Listen on an address as well; returns the port (of interest when `port` is 0).

        Raises OSError when the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: ServerConnection(self),
            host,
            port,
            ssl=ssl,
            reuse_port=reuse_port or None,
            backlog=backlog,
        )
        return self._took(listener)

    async def adopt(self, descriptor: int) -> int:
        """Accept from a socket that listens already, perhaps in other processes too; returns its
        port. Raises OSError when the descriptor is no such socket.
        """
        inherited = socket.socket(fileno=descriptor)
        loop = asyncio.get_running_loop()
        return self._took(
            await loop.create_server(lambda: ServerConnection(self), sock=inherited, backlog=4096)
        )

    def _took(self, listener: asyncio.Server) -> int:
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        """Accept no more connections; those that are open go on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def drain(self, deadline_s: float, parting_s: float = 0.0) -> bool:
        """Stop listening, let the exchanges under way end, close everything.

        Connections that are open still take a request, their last, until nothing is under way and
        each has been idle for `parting_s` seconds: on a fresher one a request may be on its way.

        False when `deadline_s` seconds were not enough; what was left has been cut off then.
        """
        self.stop_listening()
        self.draining = True
        try:
            async with asyncio.timeout(deadline_s):
                await self._parted(parting_s)
        except TimeoutError:
            return False
        finally:
            self.close()
        return True

    async def idle(self) -> None:
        """Wait until no exchange is under way."""
        while self.exchanges:
            await self._wait()

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            await self._wait()

    async def _wait(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    async def _parted(self, seconds: float) -> None:
        left = 1.0
        while left > 0:
            await self.idle()
            now = time.monotonic()
            left = max((c.parting(now, seconds) for c in self.connections), default=0.0)
            if left > 0:
                await asyncio.sleep(left)

    def close(self) -> None:
        """Stop listening and close all connections now; exchanges under way end as CANCELLED."""
        self.stop_listening()
        for exchange in list(self.exchanges):
            exchange.cancel()
        for connection in list(self.connections):
            connection.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # For the connections

    def admit(self, connection: Connection) -> bool:
        """Register a new connection; False when there are too many."""
        if len(self.connections) >= self.limits.connections:
            self.refused += 1
            return False
        self.connections.add(connection)
        if self._timer is None:
            self._read_clock()
            self._arm()
        return True

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._ended.set()

    def replace(self, connection: Connection, successor: Connection) -> None:
        """A connection goes on under another version of HTTP."""
        self.connections.discard(connection)
        self.connections.add(successor)

    def began(self, exchange: Exchange) -> None:
        self.exchanges.add(exchange)
        if self._slow:
            self._arm()

    def finished(self, exchange: Exchange) -> None:
        self.exchanges.discard(exchange)
        if not self.exchanges:
            self._ended.set()

    # The sweep

    def _read_clock(self) -> None:
        self.now = time.monotonic()
        self.date = http_date(time.time())

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._slow = not self.exchanges
        delay = _SLOW_S if self._slow else _FAST_S
        self._timer = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self._read_clock()
        now = self.now
        for exchange in list(self.exchanges):
            exchange.check(now)
        if now >= self._next_connections:
            self._next_connections = now + _SLOW_S
            for connection in list(self.connections):
                connection.check(now)
        if self.connections and self._timer is None:
            self._arm()
