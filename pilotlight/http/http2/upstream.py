"""One upstream address that speaks HTTP/2: few connections, many streams on each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pilotlight.http.errors import ConnectError
from pilotlight.http.http2.client import ClientConnection, Leg
from pilotlight.http.http2.framing import STREAMS
from pilotlight.http.http2.heads import render_request
from pilotlight.http.upstream import Upstream, describe

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.forwarding import Forwarding
    from pilotlight.http.head import Request

MOST_CONNECTIONS = 32
"""To one address. With 100 streams on each, more requests than that wait here."""


class Upstream2(Upstream):
    """Requests go as streams of HTTP/2. Upgrades (WebSocket) have no place there; they go by
    HTTP/1.1 to the same address, as an `Upstream` does it.
    """

    __slots__ = ("_connections", "_idle_timer", "_opening", "_waiting", "most_streams")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.most_streams = STREAMS
        """On a connection, as the address has said last: a new one is trusted to say the same."""
        self._connections: list[ClientConnection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: dict[Waiter, None] = {}
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        super().close()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def shed(self) -> None:
        super().shed()
        for connection in list(self._connections):
            connection.retire()

    def render(self, request: Request, edit: Forwarding, expect: bool) -> Any:
        if request.upgrade is not None:
            return super().render(request, edit, expect)
        return render_request(request, edit, expect)

    def take(self, request: Request) -> Any:
        if request.upgrade is not None:
            return super().take(request)
        for connection in self._connections:
            if connection.has_room:
                self.busy += 1
                return Leg(connection)
        return None

    def open(self, exchange: Exchange) -> Any:
        if exchange.request.upgrade is not None:
            return super().open(exchange)
        waiter = Waiter(self, exchange)
        self._waiting[waiter] = None
        self._grow()
        return waiter

    # For connections

    def has_room(self, connection: ClientConnection) -> None:
        """A connection may take those who wait."""
        if self._waiting and connection.has_room:
            asyncio.get_running_loop().call_soon(self._serve, connection)

    def lost(self, connection: ClientConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._grow()

    # Inside

    def _serve(self, connection: ClientConnection) -> None:
        waiting = self._waiting
        while waiting and connection.has_room:
            waiter = next(iter(waiting))
            del waiting[waiter]
            self.busy += 1
            waiter.exchange.connected(Leg(connection))

    def _grow(self) -> None:
        """As many connections as those need who wait."""
        while (
            len(self._waiting) > len(self._opening) * self.most_streams
            and len(self._opening) + len(self._connections) < MOST_CONNECTIONS
        ):
            task = asyncio.get_running_loop().create_task(
                self._connect(), name=f"connect {self.host}:{self.port}"
            )
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self.pool.connect_s):
                loop = asyncio.get_running_loop()
                if self.path:
                    _, connection = await loop.create_unix_connection(
                        lambda: ClientConnection(self), self.path
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: ClientConnection(self), self.host, self.port, ssl=self.ssl
                    )
        except (OSError, TimeoutError) as error:
            self._refused(ConnectError(describe(self, error)))
            return
        if connection.closed:
            self._refused(ConnectError(describe(self, OSError("closed at once"))))
            return
        self._connections.append(connection)
        self._watch_idle()
        self._serve(connection)
        if self.closed:
            connection.retire()
        task = asyncio.current_task()
        if task is not None:
            self._opening.discard(task)
        self._grow()

    def _refused(self, error: ConnectError) -> None:
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            waiter.exchange.connect_failed(error)

    def forget(self, waiter: Waiter) -> None:
        """An exchange waits no more."""
        self._waiting.pop(waiter, None)

    def _watch_idle(self) -> None:
        if self._idle_timer is None and not self.closed:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self.pool.idle_s, self._close_idle)

    def _close_idle(self) -> None:
        self._idle_timer = None
        for connection in list(self._connections):
            if not connection.used and not connection.streams:
                connection.retire()
            connection.used = False
        if self._connections:
            self._watch_idle()


class Waiter:
    """An exchange that waits for a stream. Implements `sides.Opening`."""

    __slots__ = ("_upstream", "exchange")

    def __init__(self, upstream: Upstream2, exchange: Exchange) -> None:
        self._upstream = upstream
        self.exchange = exchange

    def abandon(self) -> None:
        self._upstream.forget(self)
