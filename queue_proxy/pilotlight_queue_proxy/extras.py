"""What a queue-proxy does only where the cluster's configuration asks for it: the request log,
spans, pushed metrics, profiling and TLS. Imported only there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from pilotlight.config.log_template import TemplateError
from pilotlight.http.admin import AdminServer
from pilotlight.http.server import App, Server
from pilotlight_queue_proxy.observability import NONE, PROMETHEUS

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight_queue_proxy.metrics import Metrics
    from pilotlight_queue_proxy.request_log import Lines
    from pilotlight_queue_proxy.settings import Settings
    from pilotlight_queue_proxy.tasks import Tasks

_log: Final = logging.getLogger("proxy")

_LAST_S: Final = 2.0
_STDOUT: Final = "stdout"


class Observer(Protocol):
    """Hears of every exchange, probes too."""

    def began(self, exchange: Exchange) -> None: ...
    def ended(self, exchange: Exchange) -> None: ...


class Flusher(Protocol):
    """Sends what it has."""

    async def run(self) -> None: ...
    async def flush(self, timeout_s: float) -> None: ...


class ObservedServer(Server):
    """A server that tells of its exchanges."""

    def __init__(self, app: App, observers: Sequence[Observer], *, name: str) -> None:
        super().__init__(app, name=name, http2=True)
        self._observers = observers

    def began(self, exchange: Exchange) -> None:
        super().began(exchange)
        for observer in self._observers:
            observer.began(exchange)

    def finished(self, exchange: Exchange) -> None:
        super().finished(exchange)
        for observer in self._observers:
            observer.ended(exchange)


class Extras:
    """Each part is made when it is switched on. `certified`: whether there is a certificate."""

    def __init__(
        self, settings: Settings, tasks: Tasks, metrics: Metrics, *, certified: bool
    ) -> None:
        self._settings = settings
        self._wanted = settings.observability
        self._tasks = tasks
        self._metrics = metrics
        self._certified = certified
        self._flushers: list[Flusher] = []
        self._profiling: AdminServer | None = None
        self.lines: Lines | None = None
        self.profiling_port = 0
        self.tls_port = 0

    def server(self, app: App) -> Server | None:
        """A server that is observed; None when nobody wants to hear of requests."""
        observers = [*self._request_log(), *self._tracer()]
        return ObservedServer(app, observers, name="queue") if observers else None

    async def start(self, server: Server) -> None:
        """Listen where that is asked for, and begin to push. Raises OSError."""
        self._push_metrics()
        for flusher in self._flushers:
            self._tasks.start(flusher.run(), "push")
        await self._serve_tls(server)
        if self._wanted.profiling:
            from pilotlight_queue_proxy.profiling import Profiling

            self._profiling = AdminServer(routes=Profiling(self._tasks).routes())
            self.profiling_port = await self._profiling.listen(
                self._settings.bind, self._settings.profiling_port
            )

    async def close(self) -> None:
        for flusher in self._flushers:
            await flusher.flush(_LAST_S)
        if self._profiling is not None:
            self._profiling.close()
        if self.lines is not None:
            await self.lines.close()

    def _output(self) -> Lines:
        if self.lines is None:
            from pilotlight_queue_proxy.request_log import Lines

            self.lines = self._metrics.lines = Lines()
        return self.lines

    def _request_log(self) -> list[Observer]:
        wanted = self._wanted
        if not wanted.log_template:
            return []
        from pilotlight_queue_proxy.request_log import RequestLog

        write = self._output().write
        try:
            return [
                RequestLog(
                    wanted.log_template, self._settings.identity, write, probes=wanted.log_probes
                )
            ]
        except TemplateError as error:
            # The operator has checked it: this is another version's. Requests matter more.
            _log.error("no request log: its template cannot be used", extra={"error": str(error)})
            return []

    def _tracer(self) -> list[Observer]:
        wanted = self._wanted
        if wanted.traces == NONE:
            return []
        from pilotlight_queue_proxy.push import TRACES, Push, collector
        from pilotlight_queue_proxy.tracing import Printer, Sender, Tracer

        tracer = Tracer(self._settings.identity, wanted.traces_rate)
        if wanted.traces == _STDOUT:
            return [Printer(tracer, self._output().write)]
        try:
            to = collector(wanted.traces, wanted.traces_endpoint, TRACES)
        except ValueError as error:
            _log.error("no traces", extra={"error": str(error)})
            return []
        self._metrics.tracer = tracer
        self._flushers.append(Sender(tracer, Push(to)))
        return [tracer]

    def _push_metrics(self) -> None:
        wanted = self._wanted
        if wanted.metrics in (NONE, PROMETHEUS):
            return
        from pilotlight_queue_proxy.otlp import Span, encode_metrics
        from pilotlight_queue_proxy.push import MetricsPush, Push, collector

        began = time.time_ns()

        def encode() -> bytes:
            identity = self._settings.identity
            return encode_metrics(self._metrics, identity, Span(began, time.time_ns()))

        try:
            to = collector(wanted.metrics, wanted.metrics_endpoint)
        except ValueError as error:
            _log.error("metrics are not pushed", extra={"error": str(error)})
            return
        self._flushers.append(MetricsPush(Push(to), encode, wanted.metrics_interval_s))

    async def _serve_tls(self, server: Server) -> None:
        settings = self._settings
        if not self._certified:
            return
        from pilotlight_queue_proxy.tls_port import Certificates, TLSSettings

        try:
            certificates = Certificates(settings.certificates, TLSSettings(*settings.tls))
        except (OSError, ValueError) as error:
            _log.error("no TLS", extra={"error": str(error)})
            return
        self._tasks.start(certificates.follow(), "certificate")
        self.tls_port = await server.listen(
            settings.bind, settings.tls_port, ssl=certificates.context
        )
