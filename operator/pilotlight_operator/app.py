"""The operator's process, put together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import kopf

from pilotlight import names
from pilotlight.api.admission import prepare
from pilotlight.http.admin import AdminServer
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig, from_environment
from pilotlight.kube.leases import Candidacy, Elector, identity_of
from pilotlight.process import install_signals
from pilotlight_operator.admission import Admission
from pilotlight_operator.apply import Applier
from pilotlight_operator.controller import Controller, Tools
from pilotlight_operator.events import Recorder
from pilotlight_operator.handlers import Watches, register_login, settings_of
from pilotlight_operator.index import Index
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.prober import Prober
from pilotlight_operator.settings import Settings
from pilotlight_operator.system import (
    Certificate,
    Configuration,
    Gateways,
    cluster_domain,
    keep_certificate,
    master_key,
)
from pilotlight_operator.webhooks import AdmissionServer, register

_log: Final = logging.getLogger("operator")

PATIENCE_S: Final = 1.5
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen, where Pilotlight is installed, and by which name to stand for election."""

    bind: str
    namespace: str
    domain: str
    identity: str


class Operator:
    """Owns every part of the process and every task of it.

    Each replica follows the API, and serves the webhooks with the certificate that all share. Only
    the leader reconciles.
    """

    def __init__(self, config: KubeConfig, options: Options) -> None:
        namespace, domain = options.namespace, options.domain
        self.metrics = Metrics()
        self._config = config
        self._bind = options.bind
        self._client = KubeClient(config, names.OPERATOR_MANAGER)
        self._configuration = Configuration(self._client, namespace, domain, self.metrics)
        self._gateways = Gateways(self._client, namespace)
        self._certificate = Certificate(self._client, namespace, domain)
        self._namespace = namespace
        self._elector = Elector(
            self._client,
            Candidacy(namespace, names.OPERATOR_LEASE, options.identity),
            lambda: self._configuration.settings.leader_election,
        )
        self._controller: Controller | None = None
        self._registered = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises what made it impossible to go on."""
        admin = AdminServer(ready=self._readiness, metrics=self._scraped)
        await admin.listen(self._bind, names.ADMIN_PORT)
        try:
            async with self._client, asyncio.TaskGroup() as group:
                await self._run(stop, group)
        finally:
            admin.close()

    async def _run(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        tasks: list[asyncio.Task[None]] = []

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            tasks.append(group.create_task(work, name=name))

        recorder = Recorder(self._client, self.metrics)
        quiet = asyncio.Event()
        try:
            spawn(self._configuration.informer.run(), "follow ConfigMaps")
            spawn(self._gateways.informer.run(), "follow gateways")
            settings, key, _ = await asyncio.gather(
                self._configuration.start(self._reconfigure),
                master_key(self._client, self._namespace),
                self._certificate.ensure(),
            )
            self._set_level(settings)
            controller = self._make_controller(recorder, settings, key)
            prober = Prober(self._gateways.addresses, controller.probed, self.metrics)
            controller.use_prober(prober)
            controller.see_activators(self._gateways.endpoints())
            self._gateways.informer.on_event(
                lambda *_: controller.see_activators(self._gateways.endpoints())
            )
            group.create_task(_quieten_on(stop, tasks, prober, quiet), name="shut down")
            watches = Watches(controller, self._client)
            spawn(watches.resync(), "resync")
            spawn(self._stand(watches, controller, recorder), "stand for election")
            spawn(keep_certificate(self._certificate, self._announce(group)), "keep certificate")
            await self._watch(stop, quiet, watches, controller)
        finally:
            for task in tasks:
                task.cancel()

    async def _stand(self, watches: Watches, controller: Controller, recorder: Recorder) -> None:
        """Reconcile whenever this replica is the leader, which it can be when it knows enough."""
        await watches.listed()
        await self._elector.run(lambda: self._lead(controller, recorder))

    async def _lead(self, controller: Controller, recorder: Recorder) -> None:
        self.metrics.leader.set(1)
        self.metrics.leader_changes.inc()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(recorder.run(), name="send Events")
                group.create_task(controller.run(), name="reconcile")
        finally:
            self.metrics.leader.set(0)
            self.metrics.leader_changes.inc()

    def _make_controller(self, recorder: Recorder, settings: Settings, key: bytes) -> Controller:
        index = Index()
        applier = Applier(self._client, index, self.metrics, self._elector.leads)
        tools = Tools(index, applier, recorder, self.metrics)
        self._controller = Controller(tools, settings, key)
        return self._controller

    async def _watch(
        self, stop: asyncio.Event, quiet: asyncio.Event, watches: Watches, controller: Controller
    ) -> None:
        """Let kopf run until all else is `quiet`: it waits long for tasks that it does not know."""
        registry = kopf.OperatorRegistry()
        register_login(registry, self._config)
        watches.register(registry)
        Admission(lambda: controller.settings, self.metrics).register(registry)
        prepare()
        server = AdmissionServer(
            self._bind, names.WEBHOOK_PORT, self._certificate.context, self._register
        )
        try:
            async with asyncio.timeout(None) as patience:
                limit = asyncio.create_task(_limit(quiet, patience), name="limit shut down")
                await self._run_kopf(registry, settings_of(server), stop, quiet)
                limit.cancel()
        except TimeoutError:
            _log.warning("the watches did not end in time")

    async def _run_kopf(
        self,
        registry: kopf.OperatorRegistry,
        settings: kopf.OperatorSettings,
        stop: asyncio.Event,
        quiet: asyncio.Event,
    ) -> None:
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            clusterwide=True,
            standalone=True,
            stop_flag=quiet,
        )
        # kopf has put its own handlers in place, which know no second signal.
        install_signals(stop)
        await kopf.run_tasks(tasks, ignored=others)

    async def _register(self) -> None:
        await register(self._client, self._certificate.ca)
        self._registered = True
        _log.info("ready: the webhooks are served and registered")

    def _announce(self, group: asyncio.TaskGroup) -> Any:
        return lambda: group.create_task(self._register(), name="register webhooks")

    def _reconfigure(self, settings: Settings) -> None:
        self._set_level(settings)
        if self._controller is not None:
            self._controller.configure(settings)

    def _set_level(self, settings: Settings) -> None:
        level = settings.logging.level("controller")
        logging.getLogger().setLevel(_LEVELS.get(level, logging.ERROR))

    def _readiness(self) -> str | None:
        return None if self._registered else "the webhooks are not registered yet"

    def _scraped(self) -> Any:
        if self._controller is not None:
            self._controller.update_gauges()
        return self.metrics.registry


async def main(stop: asyncio.Event) -> None:
    """The operator until `stop` is set."""
    _quieten()
    options = Options(
        bind=os.environ.get(names.ENV_BIND, "0.0.0.0"),
        namespace=os.environ.get("SYSTEM_NAMESPACE", names.SYSTEM_NAMESPACE),
        domain=os.environ.get("CLUSTER_DOMAIN") or cluster_domain(),
        identity=identity_of(os.environ),
    )
    await Operator(from_environment(), options).run(stop)


async def _limit(quiet: asyncio.Event, patience: asyncio.Timeout) -> None:
    """kopf gives tasks that are in the middle of something five seconds; nothing here needs it."""
    await quiet.wait()
    patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_S)


async def _quieten_on(
    stop: asyncio.Event,
    tasks: list[asyncio.Task[None]],
    prober: Prober,
    quiet: asyncio.Event,
) -> None:
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await prober.close()
    quiet.set()


def _quieten() -> None:
    """kopf tells each step of each handler, and each refusal of an object as an error."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").addFilter(_is_no_denial)


def _is_no_denial(record: logging.LogRecord) -> bool:
    return "failed permanently" not in record.getMessage()
