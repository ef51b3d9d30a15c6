"""What a queue-proxy does only where the cluster's configuration asks for it: the request log,
profiling and TLS. Imported only there.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from pilotlight.http.admin import AdminServer
from pilotlight_queue_proxy.observability import NONE, PROMETHEUS

if TYPE_CHECKING:
    from pilotlight.http.server import App, Server
    from pilotlight_queue_proxy.metrics import Metrics
    from pilotlight_queue_proxy.push import Push
    from pilotlight_queue_proxy.request_log import Lines
    from pilotlight_queue_proxy.settings import Settings
    from pilotlight_queue_proxy.tasks import Tasks

_log: Final = logging.getLogger("proxy")


class Extras:
    """Each part is made when it is switched on. `certified`: whether there is a certificate."""

    def __init__(
        self, settings: Settings, tasks: Tasks, metrics: Metrics, *, certified: bool
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._metrics = metrics
        self._push: Push | None = None
        self._certified = certified
        self._profiling: AdminServer | None = None
        self.lines: Lines | None = None
        self.profiling_port = 0
        self.tls_port = 0

    def server(self, app: App) -> Server | None:
        """A server that writes the request log; None when there is none to be written."""
        wanted = self._settings.observability
        if not wanted.log_template:
            return None
        from pilotlight_queue_proxy.request_log import (
            Lines,
            LoggingServer,
            RequestLog,
            TemplateError,
        )

        self.lines = Lines()
        try:
            log = RequestLog(
                wanted.log_template,
                self._settings.identity,
                self.lines.write,
                probes=wanted.log_probes,
            )
        except TemplateError as error:
            # The operator has checked it: this is another version's. Requests matter more.
            _log.error("no request log: its template cannot be used", extra={"error": str(error)})
            return None
        return LoggingServer(app, log, name="queue")

    async def start(self, server: Server) -> None:
        """Listen where that is asked for. Raises OSError."""
        wanted = self._settings.observability
        self._start_push()
        await self._serve_tls(server)
        if wanted.profiling:
            from pilotlight_queue_proxy.profiling import Profiling

            self._profiling = AdminServer(routes=Profiling(self._tasks).routes())
            self.profiling_port = await self._profiling.listen(
                self._settings.bind, self._settings.profiling_port
            )

    def _start_push(self) -> None:
        wanted = self._settings.observability
        if wanted.metrics in (NONE, PROMETHEUS):
            return
        from pilotlight_queue_proxy.otlp import Span, encode_metrics
        from pilotlight_queue_proxy.push import Push, collector

        began = time.time_ns()

        def encode() -> bytes:
            identity = self._settings.identity
            return encode_metrics(self._metrics, identity, Span(began, time.time_ns()))

        try:
            to = collector(wanted.metrics, wanted.metrics_endpoint)
        except ValueError as error:
            _log.error("metrics are not pushed", extra={"error": str(error)})
            return
        self._push = Push(to, encode, wanted.metrics_interval_s)
        self._tasks.start(self._push.run(), "push")

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

    async def close(self) -> None:
        if self._push is not None:
            await self._push.close()
        if self._profiling is not None:
            self._profiling.close()
        if self.lines is not None:
            await self.lines.close()
