"""kopf's handlers: the watches that fill the index, the login, and kopf's own settings.

An indexing handler takes every object in; kopf calls the event handlers only when all kinds have
been listed, which is when the workers may start.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import CORE_SERVICES, DEPLOYMENTS, ENDPOINTS, PODS, Resource
from pilotlight_operator.controller import Controller
from pilotlight_operator.index import KINDS
from pilotlight_operator.objects import key_of, uid_of
from pilotlight_operator.webhooks import AdmissionServer

_log: Final = logging.getLogger("watch")

# What is not of a Service, Configuration or Route is none of the operator's business.
SELECTORS: Final = {
    DEPLOYMENTS: names.REVISION_UID_LABEL,
    PODS: names.REVISION_UID_LABEL,
    CORE_SERVICES: f"{names.MANAGED_BY_LABEL}={names.OPERATOR_MANAGER}",
    ENDPOINTS: f"{names.MANAGED_BY_LABEL}={names.OPERATOR_MANAGER}",
}
RESYNC_S: Final = 600.0
_LOOK_AGAIN_S: Final = 5.0
_LOGIN_LASTS: Final = timedelta(minutes=10)


class Watches:
    """Feeds a controller from kopf's watches."""

    def __init__(self, controller: Controller, client: KubeClient) -> None:
        self.started = asyncio.Event()
        self._controller = controller
        self._client = client
        self._fresh: set[str] = set()
        self._sweeps: dict[Resource, asyncio.Task[None]] = {}

    async def listed(self) -> None:
        """Wait until the index knows what there is. kopf tells it with the first object; where
        there is none at all it says nothing.
        """
        while not self.started.is_set():
            if await self._nothing_is_there():
                self.started.set()
            else:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await self.started.wait()
                except TimeoutError:
                    pass

    async def _nothing_is_there(self) -> bool:
        for resource in KINDS:
            selector = SELECTORS.get(resource)
            try:
                found = await self._client.list(resource, label_selector=selector, limit=1)
            except ApiError:
                return False
            if found.get("items"):
                return False
        return True

    def register(self, registry: kopf.OperatorRegistry) -> None:
        for resource in KINDS:
            where: dict[str, Any] = {
                "group": resource.group,
                "version": resource.version,
                "plural": resource.plural,
                "registry": registry,
            }
            kopf.index(id=f"index-{resource.plural}.{resource.group}", **where)(
                self._indexer(resource)
            )
            kopf.on.event(id=f"watch-{resource.plural}.{resource.group}", **where)(
                self._watcher(resource)
            )

    def _indexer(self, resource: Resource) -> Any:
        async def indexed(*, body: kopf.Body, **_: Any) -> None:
            obj = dict(body)
            if self._controller.index.get(resource, *key_of(obj)) is None:
                self._fresh.add(uid_of(obj))
            self._controller.seen(resource, obj)

        return indexed

    def _watcher(self, resource: Resource) -> Any:
        async def watched(*, event: kopf.RawEvent, **_: Any) -> None:
            self.started.set()
            obj = dict(event["object"])
            was_fresh = uid_of(obj) in self._fresh
            self._fresh.discard(uid_of(obj))
            if event["type"] == "DELETED":
                self._controller.gone(resource, obj)
            elif event["type"] is None and not was_fresh:
                self._relisted(resource)

        return watched

    def _relisted(self, resource: Resource) -> None:
        """The watch was lost for so long that kopf lists anew. It does not tell what has gone in
        the meantime, so that is looked for.
        """
        if resource not in self._sweeps:
            task = asyncio.create_task(self._sweep(resource), name=f"sweep {resource.plural}")
            self._sweeps[resource] = task
            task.add_done_callback(lambda _: self._sweeps.pop(resource, None))

    async def resync(self) -> None:
        """Look for what has gone now and then: a list that is empty makes kopf say nothing."""
        while True:
            await asyncio.sleep(RESYNC_S)
            for resource in KINDS:
                await self._sweep(resource)

    async def _sweep(self, resource: Resource) -> None:
        cache = self._controller.index.cache(resource)
        known = {key: cache.get(key) for key in cache}
        try:
            answer = await self._client.list(resource, label_selector=SELECTORS.get(resource))
        except ApiError as error:
            _log.warning(
                "what was deleted while the watch was away is not known",
                extra={"resource": resource.plural, "error": error.message},
            )
            return
        present = {key_of(item) for item in answer.get("items") or ()}
        for key, obj in known.items():
            if key not in present and obj is not None:
                self._controller.gone(resource, obj)


def register_login(registry: kopf.OperatorRegistry, config: KubeConfig) -> None:
    """Let kopf speak to the same API as everything else here."""

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        certificate = config.client_certificate
        return kopf.ConnectionInfo(
            server=config.server,
            ca_data=config.ca,
            insecure=config.insecure,
            token=config.bearer(),
            certificate_path=str(certificate[0]) if certificate else None,
            private_key_path=str(certificate[1]) if certificate else None,
            expiration=datetime.now(UTC) + _LOGIN_LASTS if config.token_path else None,
        )


def settings_of(server: AdmissionServer) -> kopf.OperatorSettings:
    """kopf's settings: objects stay free of its marks, and nothing waits without need."""
    settings = kopf.OperatorSettings()
    settings.admission.server = server
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = 20.0
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = (0.1, 0.2, 0.5, 1, 2, 5)
    # Whole seconds: the API takes nothing else.
    settings.watching.server_timeout = 300
    settings.watching.reconnect_backoff = 0.05
    # A worker of an object that is quiet costs memory; making a new one costs next to nothing.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 1.0
    settings.queueing.error_delays = (0.1, 0.5, 1, 2, 5, 10)
    for resource, selector in SELECTORS.items():
        where = (resource.group, resource.version, resource.plural)
        settings.watching.label_selectors[where] = selector
    return settings
