"""One upstream address with its bounded pool of keep-alive connections."""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pilotlight.http.errors import ConnectError
from pilotlight.http.forwarding import render_request
from pilotlight.http.leg import UpstreamConnection
from pilotlight.http.limits import Limits

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.forwarding import Forwarding
    from pilotlight.http.head import Request

_log: Final = logging.getLogger("http.upstream")


class Pool(NamedTuple):
    """How connections to one upstream are kept."""

    max_idle: int = 128
    """Idle connections kept; what comes back above that is closed."""
    idle_s: float = 60.0
    """A connection idle for one to two times this long, in seconds, is closed."""
    connect_s: float = 5.0
    """For making a connection, in seconds."""


class Upstream:
    """An address to forward requests to; with a `path` the UNIX socket there.

    `busy` counts connections that carry an exchange, `idle` those that wait for one. There is no
    limit on busy ones here: whoever forwards decides how many requests an upstream gets.
    """

    __slots__ = ("_idle", "_low", "_openings", "_timer", "busy", "closed", "host", "limits",
                 "path", "pool", "port", "ssl")  # fmt: skip

    def __init__(
        self,
        host: str,
        port: int,
        *,
        pool: Pool | None = None,
        limits: Limits | None = None,
        ssl: tls.SSLContext | None = None,
        path: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.pool = pool or Pool()
        self.limits = limits or Limits()
        self.ssl = ssl
        self.busy = 0
        self.closed = False
        self._idle: list[UpstreamConnection] = []
        self._low = 0
        self._timer: asyncio.TimerHandle | None = None
        self._openings: set[Opening] = set()

    def render(self, request: Request, edit: Forwarding, expect: bool) -> Any:
        """The head that a connection's `begin` is given."""
        return render_request(request, edit, expect)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def close(self) -> None:
        """Close idle connections now, and the others when their exchange has ended."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for opening in list(self._openings):
            if opening.exchange is None:
                opening.task.cancel()
        self.shed()

    def shed(self) -> None:
        """Close the idle connections: where one was lost the others had better not be used."""
        idle, self._idle = self._idle, []
        self._low = 0
        for connection in idle:
            connection.transport.close()

    # For exchanges

    def take(self, request: Request) -> Any:
        """The idle connection used last, or None."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if len(idle) < self._low:
                self._low = len(idle)
            if not connection.transport.is_closing():
                self.busy += 1
                return connection
        return None

    def open(self, exchange: Exchange) -> Any:
        """Make a connection; the exchange hears `connected` or `connect_failed`."""
        opening = Opening(self, exchange)
        self._openings.add(opening)
        opening.task.add_done_callback(lambda task: self._opened(opening, task))
        return opening

    # For connections

    def put(self, connection: UpstreamConnection) -> None:
        """Take a connection back into the pool, or close it."""
        self.busy -= 1
        idle = self._idle
        if self.closed or len(idle) >= self.pool.max_idle:
            connection.transport.close()
            return
        idle.append(connection)
        if self._timer is None:
            self._arm()

    def gone(self, connection: UpstreamConnection) -> None:
        """An idle connection was closed by the other side."""
        try:
            self._idle.remove(connection)
        except ValueError:
            return
        self._low = min(self._low, len(self._idle))

    # Inside

    def _opened(self, opening: Opening, task: asyncio.Task[None]) -> None:
        self._openings.discard(opening)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("opening a connection failed unexpectedly", exc_info=error)

    def _arm(self) -> None:
        self._low = len(self._idle)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.pool.idle_s, self._sweep)

    def _sweep(self) -> None:
        """Close what was not used since the last sweep: the oldest, below the low-water mark."""
        self._timer = None
        unused, self._idle = self._idle[: self._low], self._idle[self._low :]
        for connection in unused:
            connection.transport.close()
        if self._idle:
            self._arm()


class Opening:
    """A connection being made, for an exchange that may lose interest meanwhile."""

    __slots__ = ("exchange", "task", "upstream")

    def __init__(self, upstream: Upstream, exchange: Exchange) -> None:
        self.upstream = upstream
        self.exchange: Exchange | None = exchange
        name = f"connect {upstream.host}:{upstream.port}"
        self.task = asyncio.get_running_loop().create_task(self._open(), name=name)

    def abandon(self) -> None:
        """The exchange has ended; a connection that comes all the same goes to the pool."""
        self.exchange = None

    async def _open(self) -> None:
        upstream = self.upstream
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(upstream.pool.connect_s):
                if upstream.path:
                    _, connection = await loop.create_unix_connection(
                        lambda: UpstreamConnection(upstream), upstream.path
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: UpstreamConnection(upstream),
                        upstream.host,
                        upstream.port,
                        ssl=upstream.ssl,
                    )
        except (OSError, TimeoutError) as error:
            if self.exchange is not None:
                self.exchange.connect_failed(ConnectError(describe(upstream, error)))
            return
        upstream.busy += 1
        if self.exchange is None:
            upstream.put(connection)
        else:
            self.exchange.connected(connection)


def describe(upstream: Upstream, error: Exception) -> str:
    reason = "timed out" if isinstance(error, TimeoutError) else str(error)
    where = upstream.path or f"{upstream.host}:{upstream.port}"
    return f"connect to {where}: {reason}"
