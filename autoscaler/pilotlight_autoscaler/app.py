"""The process: watches, reports, ticks and the admin server, started and stopped in order."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from pilotlight import names
from pilotlight.http.admin import AdminServer
from pilotlight.http.exchange import Exchange
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.leases import Candidacy, Elector, identity_of
from pilotlight.kube.resources import SECRETS
from pilotlight.load.server import Collector
from pilotlight_autoscaler.collect import Reports
from pilotlight_autoscaler.control import Control
from pilotlight_autoscaler.metrics import Metrics, Sources
from pilotlight_autoscaler.scale import Writer
from pilotlight_autoscaler.watch import Watches

_log: Final = logging.getLogger("app")

TICK_S: Final = 2
# Above this without a tick the process is stuck.
LATEST_TICK_S: Final = 10.0
# By then after the end of a second, reporters have told of it.
REPORTED_S: Final = 0.3
# How long the next leader may have to wait for what this one is writing.
REST_S: Final = 1.0
_KEY_RETRY_S: Final = 0.25
_KEY_REFRESH_S: Final = 2.0
_JSON: Final = [(b"Content-Type", b"application/json")]


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen (port 0 takes a free one), and the namespace of Pilotlight itself."""

    bind: str = "0.0.0.0"
    namespace: str = names.SYSTEM_NAMESPACE
    reports_port: int = names.REPORT_PORT
    admin_port: int = names.ADMIN_PORT
    log_level: str = "info"
    identity: str = names.AUTOSCALER
    """By which name to stand for election."""


def options_of(environ: Mapping[str, str]) -> Options:
    """The options that an environment gives."""
    return Options(
        bind=environ.get(names.ENV_BIND) or "0.0.0.0",
        namespace=environ.get(names.ENV_SYSTEM_NAMESPACE) or names.SYSTEM_NAMESPACE,
        log_level=environ.get(names.ENV_LOG_LEVEL) or "info",
        identity=identity_of(environ),
    )


def steady_clock() -> Callable[[], float]:
    """Unix seconds that never jump: the wall clock is read once, then the monotonic one counts."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


class App:
    """One autoscaler. Each replica hears the reporters and decides; only the leader writes."""

    def __init__(self, client: KubeClient, options: Options) -> None:
        self.clock = steady_clock()
        self.control = Control(self.clock)
        self.reports = Reports(self.control)
        self.watches = Watches(client, self.control, options.namespace)
        self.elector = Elector(
            client,
            Candidacy(options.namespace, names.AUTOSCALER_LEASE, options.identity),
            lambda: self.watches.election,
        )
        self.writer = Writer(client, self.control, self.clock, self.elector.leads)
        self.control.use(self.writer)
        self.collector = Collector(self.reports)
        self.metrics = Metrics(
            Sources(
                self.control,
                self.reports,
                self.writer,
                refused=lambda: self.collector.statistics().refused,
            )
        )
        self.admin = AdminServer(
            live=self._live,
            ready=self.trouble,
            metrics=lambda: self.metrics.registry,
            routes={"/decisions": self._decisions},
        )
        self.reports_port = self.admin_port = 0
        self._client = client
        self._options = options
        self._ticked_at = self.clock()
        self._key_known = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`. Raises OSError when a port cannot be had."""
        options = self._options
        self.admin_port = await self.admin.listen(options.bind, options.admin_port)
        _log.info("listening", extra={"bind": options.bind, "admin": self.admin_port})
        try:
            await self._work(stop)
        except* OSError as group:
            raise group.exceptions[0] from None
        finally:
            await self.collector.close()
            await self.writer.close()
            self.admin.close()

    def trouble(self) -> str | None:
        """What keeps the autoscaler from its work at present."""
        if self.reports.master is None:
            return f"the secret {names.KEYS_SECRET} cannot be read: no reporter is heard"
        return self.watches.trouble or self.writer.trouble

    async def _work(self, stop: asyncio.Event) -> None:
        """Everything that runs for ever; the first that ends with an error ends the process."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.watches.run(), name="watches"),
                group.create_task(self._tick_forever(), name="ticks"),
                group.create_task(self._keep_key(), name="master key"),
                group.create_task(self._hear(), name="reports"),
                group.create_task(self._stand(), name="stand for election"),
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()

    async def _stand(self) -> None:
        """Lead whenever this replica is elected, which it can be when it knows enough."""
        await self.watches.complete.wait()
        await self.elector.run(self._lead)

    async def _lead(self) -> None:
        self.metrics.leader.set(1)
        self.metrics.leader_changes.inc()
        self.control.lead()
        try:
            await asyncio.Event().wait()
        finally:
            self.control.follow()
            self.metrics.leader.set(0)
            self.metrics.leader_changes.inc()
            await self.writer.rest(REST_S)

    async def _hear(self) -> None:
        """Listen for reporters as soon as their greetings can be checked."""
        await self._key_known.wait()
        options = self._options
        self.reports_port = await self.collector.start(options.bind, options.reports_port)
        _log.info("listening", extra={"bind": options.bind, "reports": self.reports_port})

    async def _tick_forever(self) -> None:
        """Look when a whole second is over and has been reported; at every other one, only where
        requests wait."""
        second = math.floor(self.clock())
        while True:
            second = max(second + 1, math.floor(self.clock() - REPORTED_S))
            await asyncio.sleep(second + REPORTED_S - self.clock())
            if second % TICK_S:
                self.control.hasten()
            else:
                self._tick()

    def _tick(self) -> None:
        begun = time.perf_counter()
        self.watches.check()
        self.control.tick()
        self.metrics.ticked(time.perf_counter() - begun)
        self._ticked_at = self.clock()

    async def _keep_key(self) -> None:
        """Read the master key until it is there, and again when greetings do not fit it."""
        while True:
            if self.reports.master is None or self.reports.wants_master:
                self.reports.wants_master = False
                await self._read_key()
            missing = self.reports.master is None
            await asyncio.sleep(_KEY_RETRY_S if missing else _KEY_REFRESH_S)

    async def _read_key(self) -> None:
        try:
            secret = await self._client.get(SECRETS, self._options.namespace, names.KEYS_SECRET)
            encoded = (secret.get("data") or {}).get(names.KEYS_SECRET_FIELD, "")
            key = bytes.fromhex(base64.b64decode(encoded, validate=True).decode())
        except ApiError as error:
            _log.debug("the master key cannot be read", extra={"error": error.message})
        except (ValueError, binascii.Error) as error:
            _log.error("the master key is malformed", extra={"error": str(error)})
        else:
            # An empty key would let anybody sign.
            if key:
                self.take_key(key)

    def take_key(self, key: bytes) -> None:
        """Check greetings with this master key; with the first, reporters are heard."""
        self.reports.master = key
        self._key_known.set()

    def _live(self) -> str | None:
        silence = self.clock() - self._ticked_at
        return f"no tick for {silence:.0f} s" if silence > LATEST_TICK_S else None

    def _decisions(self, exchange: Exchange) -> None:
        """`/decisions?revision=NAMESPACE/NAME`: why the revision has its pods."""
        query = exchange.request.target.partition(b"?")[2].decode("latin-1")
        key = parse_qs(query).get("revision", [""])[0]
        status, answer = self._explain(key)
        exchange.respond(status, json.dumps(answer).encode() + b"\n", _JSON)

    def _explain(self, key: str) -> tuple[int, dict[str, Any]]:
        engine = self.control.engine
        if not key:
            return 400, {"error": "the parameter revision=NAMESPACE/NAME is missing"}
        if key not in engine:
            return 404, {"error": f"no revision {key!r} is scaled here"}
        return 200, {
            "revision": key,
            "now": self.clock(),
            "leader": engine.leading,
            "spec": asdict(engine.spec(key)),
            "pods": self.control.tally(key)._asdict(),
            "present": engine.explain(key, self.clock()).to_dict(),
            "decisions": [entry.to_dict() for entry in engine.history.of(key)],
        }
