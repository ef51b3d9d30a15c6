"""The running activator: listeners, reports, probes, admin port, and their orderly end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from pilotlight import names
from pilotlight.http import AdminServer, Server
from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.discovery import resolve
from pilotlight.load.meter import until_report
from pilotlight.load.server import Collector
from pilotlight_activator.backends import Backend, Clock
from pilotlight_activator.gateway import Gateway
from pilotlight_activator.health import Health
from pilotlight_activator.metrics import Metrics, Sources
from pilotlight_activator.objects import join_address
from pilotlight_activator.prober import Prober
from pilotlight_activator.reports import Greetings, LoadReports
from pilotlight_activator.settings import Settings

_log: Final = logging.getLogger("service")


class Knowledge(Protocol):
    """What is known from the API."""

    @property
    def has_synced(self) -> bool: ...

    @property
    def connected(self) -> bool: ...

    @property
    def master(self) -> bytes | None: ...

    async def synced(self) -> None: ...

    async def key_known(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports that are listened on."""

    external: int
    internal: int
    reports: int
    admin: int
    gateways: tuple[int, ...]


class Service:
    """An activator without its view of the API, which is attached by `know`.

    Args:
        settings: of the process.
        resolve_name: from the autoscalers' name to their addresses.
    """

    def __init__(
        self,
        settings: Settings,
        resolve_name: Callable[[str], Awaitable[list[str]]] = resolve,
    ) -> None:
        self._settings = settings
        self._resolve = resolve_name
        self._reporter: Reporter | None = None
        self._knowledge: Knowledge | None = None
        clock = Clock(time.monotonic, time.time)
        self.reports = LoadReports(self._broadcast)
        self.gateway = Gateway(settings.queueing, self.reports, clock, Random().random)
        self.backends = self.gateway.backends
        self.prober = Prober(self.backends)
        self.gateway.on_changed = self._on_changed
        self.health = Health(self._synced, self._connected)
        self.gateway.probes.unhealthy = self.health.unready
        self.collector = Collector(Greetings(self.backends, self._master))
        self._metrics: Metrics | None = None
        self._external = Server(self.gateway.external, name="external", http2=True)
        self._internal = Server(self.gateway.internal, name="internal", http2=True)
        self._admin = AdminServer(
            ready=self.health.unready,
            metrics=self._registry,
            routes={"/readyz": self.health.answer},
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.broken = asyncio.Event()
        """Set when a task of ours has failed: the process had better be restarted."""

    def know(self, knowledge: Knowledge) -> None:
        """Attaches the view of the API."""
        self._knowledge = knowledge

    # Life

    async def start(self) -> Addresses:
        """Listens on everything; for requests as soon as it is known where they go: a client that
        is refused tries again or elsewhere, one that is told "404" does not.

        Raises:
            OSError: an address cannot be bound.
        """
        settings, ports = self._settings, self._settings.ports
        admin = await self._admin.listen(settings.bind, ports.admin)
        reports = await self.collector.start(settings.bind, ports.reports)
        if self._knowledge is not None:
            await self._knowledge.synced()
        internal = await self._internal.listen(settings.bind, ports.internal)
        external = await self._external.listen(settings.bind, ports.external)
        gateways = [await self._external.adopt(inherited) for inherited in settings.gateways]
        self.health.listening = True
        self._own(self._report(), "report the load")
        self._own(self._greet(), "connect to the autoscalers")
        addresses = Addresses(external, internal, reports, admin, tuple(gateways))
        _log.info("listening", extra={"addresses": str(addresses)})
        return addresses

    async def stop(self) -> bool:
        """Fails readiness, accepts a little longer, lets requests under way end, and ends. Each
        connection carries one more request at most, so that clients make new ones, elsewhere.

        Returns:
            Whether all requests under way could end.
        """
        shutdown = self._settings.shutdown
        servers = self._external, self._internal
        self.health.stopping = True
        for server in servers:
            server.draining = True
        await asyncio.sleep(shutdown.linger_s)
        drained = await asyncio.gather(
            *(server.drain(shutdown.drain_s, shutdown.parting_s) for server in servers)
        )
        if not all(drained):
            _log.warning("requests were cut off at the end of the shutdown's time")
        await self._end()
        return all(drained)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.prober.close()
        if self._reporter is not None:
            await self._reporter.close()
        await self.collector.close()
        self.gateway.close()
        self._admin.close()

    # Tasks

    def _own(self, coroutine: Awaitable[None], name: str) -> None:
        async def run() -> None:
            await coroutine

        task = asyncio.get_running_loop().create_task(run(), name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(until_report(time.time()))
            self.reports.report(time.monotonic())

    async def _greet(self) -> None:
        """Connects to the autoscalers as soon as the key to sign with is known."""
        if self._knowledge is None:
            return
        key = await self._knowledge.key_known()
        settings = self._settings
        address = join_address(settings.pod_ip, settings.ports.internal)
        spec = ReporterSpec(
            endpoint=settings.autoscaler,
            greeting=wire.Greeting(
                names.ACTIVATOR, settings.namespace, "", "", settings.pod, address
            ),
            key=key,
            snapshot=self.reports.snapshot,
            on_frame=self._on_frame,
            resolve=self._resolve,
        )
        self._reporter = Reporter(spec)
        self._reporter.start()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task failed", exc_info=error, extra={"task": task.get_name()})
            self.broken.set()

    # Callbacks

    def _broadcast(self, data: bytes) -> None:
        if self._reporter is not None:
            self._reporter.broadcast(data)

    def _on_frame(self, address: str, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Decided):
            key = self.reports.key_of(frame.id)
            if key is not None:
                self.backends.decided(key, frame.decided_at, frame.patched_at)

    def _on_changed(self, backend: Backend) -> None:
        self.prober.sync(backend)

    def _master(self) -> bytes | None:
        return None if self._knowledge is None else self._knowledge.master

    def _synced(self) -> bool:
        return self._knowledge is not None and self._knowledge.has_synced

    def _connected(self) -> bool:
        return self._knowledge is not None and self._knowledge.connected

    def _registry(self) -> Metrics:
        if self._metrics is None:
            self._metrics = Metrics(
                Sources(
                    gateway=self.gateway,
                    prober=self.prober,
                    autoscalers=lambda: len(self._reporter.connected) if self._reporter else 0,
                    pods=lambda: self.collector.statistics().sessions,
                    api_connected=self._connected,
                )
            )
        return self._metrics
