"""The admin server that every component has: `/healthz`, `/readyz`, `/metrics`, and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pilotlight.http.answers import TEXT
from pilotlight.http.exchange import Exchange
from pilotlight.http.limits import Limits, Timeouts
from pilotlight.http.server import App, Server

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

Check = Callable[[], str | None]
"""None when all is well, else what is wrong, for people."""

_TIMEOUTS = Timeouts(total_s=60)
_LIMITS = Limits(connections=256)


def _well() -> str | None:
    return None


class AdminServer:
    """Answers health checks and scrapes on a port of its own.

    `live` and `ready` answer `/healthz` and `/readyz`: 200 `ok`, or 503 with the reason.
    `metrics` gives the prometheus_client registry to expose; it is called at each scrape, and
    prometheus_client is not imported before the first. `routes` maps further paths to
    applications, which may answer later.
    """

    def __init__(
        self,
        *,
        live: Check = _well,
        ready: Check = _well,
        metrics: Callable[[], Collector] | None = None,
        routes: Mapping[str, App] | None = None,
    ) -> None:
        self._checks = {b"/healthz": live, b"/readyz": ready}
        self._metrics = metrics
        self._routes = {path.encode(): app for path, app in (routes or {}).items()}
        self.server = Server(self._answer, limits=_LIMITS, name="admin")

    async def listen(self, host: str, port: int) -> int:
        """Listen on an address as well; returns the port. Raises OSError."""
        return await self.server.listen(host, port)

    def close(self) -> None:
        self.server.close()

    def _answer(self, exchange: Exchange) -> None:
        exchange.limit(_TIMEOUTS)
        path = exchange.request.path
        route = self._routes.get(path)
        if route is not None:
            route(exchange)
        elif exchange.request.method not in (b"GET", b"HEAD"):
            exchange.respond(405, b"method not allowed\n", [TEXT, (b"Allow", b"GET, HEAD")])
        elif path in self._checks:
            reason = self._checks[path]()
            if reason is None:
                exchange.respond(200, b"ok\n", [TEXT])
            else:
                exchange.respond(503, reason.encode() + b"\n", [TEXT])
        elif path == b"/metrics" and self._metrics is not None:
            self._scrape(exchange, self._metrics())
        else:
            exchange.respond(404, b"not found\n", [TEXT])

    def _scrape(self, exchange: Exchange, registry: Collector) -> None:
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        body = generate_latest(registry)
        exchange.respond(200, body, [(b"Content-Type", CONTENT_TYPE_LATEST.encode())])
