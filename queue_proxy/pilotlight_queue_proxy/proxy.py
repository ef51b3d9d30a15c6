"""Puts the parts of the queue-proxy together."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from pilotlight.http.admin import AdminServer
from pilotlight.http.exchange import Exchange
from pilotlight.http.limits import Limits
from pilotlight.http.server import Server
from pilotlight.http.upstream import Pool, Upstream
from pilotlight_queue_proxy.drain import Drain
from pilotlight_queue_proxy.health import Health, is_probe
from pilotlight_queue_proxy.observability import PROMETHEUS, Observability
from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.prober import Prober
from pilotlight_queue_proxy.reports import Reports
from pilotlight_queue_proxy.requests import Events, Requests
from pilotlight_queue_proxy.settings import Settings
from pilotlight_queue_proxy.tasks import Tasks
from pilotlight_queue_proxy.watch import ReadinessWatch

if TYPE_CHECKING:
    from pilotlight_queue_proxy.extras import Extras
    from pilotlight_queue_proxy.stat import Stat

_log: Final = logging.getLogger("proxy")

_USER_HOST = "127.0.0.1"
# Many servers close idle connections after 5 s, some after 2: ours are closed first, so that no
# request meets a connection that is being closed. A new one costs little on the loopback.
_POOL = Pool(max_idle=1000, idle_s=0.9, connect_s=5.0)
# HTTP/2 says goodbye, so that no request is lost on a connection that is being closed.
_POOL_H2C = _POOL._replace(idle_s=60.0)
_NO_LIMIT_S = 3600.0
# Whoever has not closed an idle connection by then does not follow the API.
_PARTING_S = 5.0


class QueueProxy:
    """The sidecar of one pod. `started_at`: Unix seconds at which the process began."""

    def __init__(self, settings: Settings, started_at: float) -> None:
        self._settings = settings
        self._tasks = Tasks()
        self.pod = Pod(started_at)
        self._prober = Prober(settings.probes, http2=settings.http2_detection)
        self._upstream = _upstream(settings)
        self._drain = Drain(self.pod, self._announce, settings.quiet_s)
        self._watch = ReadinessWatch(self.pod, self._prober, settings.probes, self._changed)
        self.requests = Requests(
            settings,
            self.pod,
            self._upstream,
            Events(unreachable=self._watch.doubt, direct=self._drain.direct_request),
        )
        self._reports = Reports(settings, self.pod, self.requests.meter, self._drain.released)
        reports = bool(settings.reporting.key)
        self._health = Health(self.pod, self._prober, self._tasks, reports=reports)
        self.server = Server(self._app, name="queue", http2=True)
        self.extras: Extras | None = None
        certified = os.path.exists(f"{settings.certificates}/tls.crt")
        if certified or settings.observability != Observability():
            from pilotlight_queue_proxy.extras import Extras

            self.extras = Extras(settings, self._tasks, self.requests.metrics, certified=certified)
            self.server = self.extras.server(self._app) or self.server
        self._hooks = AdminServer(ready=self._why_not_ready, routes={"/wait-for-drain": self._hook})
        self._metrics = AdminServer(
            ready=self._why_not_ready, metrics=self.requests.metrics.registry
        )
        self._stat: Stat | None = None
        self._autometric = AdminServer(ready=self._why_not_ready, routes={"/metrics": self._scrape})
        self.port = 0
        self.admin_port = 0
        self.metrics_port = 0
        self.autometric_port = 0

    async def start(self) -> None:
        """Listen on all ports and begin to watch and report. Raises OSError."""
        settings = self._settings
        self.port = await self.server.listen(settings.bind, settings.port)
        self._tasks.start(self._watch.run(), "readiness")
        self._reports.start()
        self._tasks.start(self._reports.run(), "reports")
        self.admin_port = await self._hooks.listen(settings.bind, settings.admin_port)
        observability = settings.observability
        if observability.metrics == PROMETHEUS:
            host = observability.metrics_host or settings.bind
            self.metrics_port = await self._metrics.listen(host, settings.metrics_port)
        self.autometric_port = await self._autometric.listen(
            settings.bind, settings.autometric_port
        )
        if self.extras is not None:
            await self.extras.start(self.server)

    async def drain(self) -> None:
        """Leave without losing a request, at most for as long as a request may take."""
        limit = self._settings.timeouts.total_s or _NO_LIMIT_S
        try:
            async with asyncio.timeout(limit):
                await self._drain.run(self._reports.activators, self._deserted)
        except TimeoutError:
            _log.warning("requests were still in flight at the end of the drain")
            self._drain.finish()

    async def _deserted(self) -> None:
        """Nothing is in flight, and the connections are closed, by those who made them: an
        activator that has not heard of the drain yet would send on them.
        """
        await self.server.idle()
        try:
            async with asyncio.timeout(_PARTING_S):
                await self.server.deserted()
        except TimeoutError:
            pass
        await self.server.idle()

    async def close(self) -> None:
        """Close everything; what is still in flight is cut off."""
        await self.server.drain(0)
        self._hooks.close()
        self._metrics.close()
        self._autometric.close()
        if self.extras is not None:
            await self.extras.close()
        self._prober.close()
        await self._tasks.close()
        await self._reports.close()
        self._upstream.close()

    def _app(self, exchange: Exchange) -> None:
        if is_probe(exchange.request):
            self._health.answer(exchange)
        else:
            self.requests.take(exchange)

    def _hook(self, exchange: Exchange) -> None:
        exchange.limit(self._settings.timeouts)
        self._drain.hook(exchange, self._reports.activators)

    def _scrape(self, exchange: Exchange) -> None:
        if self._stat is None:
            from pilotlight_queue_proxy.stat import Stat

            self._stat = Stat(
                self.requests, self._reports, self._settings.identity.pod, self.pod.started_at
            )
        self._stat.answer(exchange)

    def _announce(self) -> None:
        self.server.draining = self.pod.draining
        self._reports.announce()

    def _changed(self) -> None:
        state = "answers" if self.pod.ready else "does not answer"
        _log.info("the user's container %s", state)
        self._announce()

    def _why_not_ready(self) -> str | None:
        if self.pod.draining:
            return "shutting down"
        return None if self.pod.ready else "the user's container does not answer its probe"


def _upstream(settings: Settings) -> Upstream:
    """The user's container. The library of HTTP/2 is imported where that is spoken."""
    made, pool = Upstream, _POOL
    if settings.h2c:
        from pilotlight.http.http2.upstream import Upstream2

        made, pool = Upstream2, _POOL_H2C
    host, port, path = _USER_HOST, settings.user_port, settings.user_socket
    return made(host, port, pool=pool, limits=Limits(), path=path)


async def serve(settings: Settings, started_at: float, stop: asyncio.Event) -> None:
    """Run until `stop` is set, then drain."""
    proxy = QueueProxy(settings, started_at)
    await proxy.start()
    _log.info("serving", extra={"port": proxy.port, "seconds": time.time() - started_at})
    await stop.wait()
    await proxy.drain()
    await proxy.close()
