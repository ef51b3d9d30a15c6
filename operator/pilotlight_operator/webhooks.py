"""The admission server, and what the API server is told about it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp.web

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    DOMAIN_MAPPINGS,
    INGRESSES,
    MUTATING_WEBHOOKS,
    POD_AUTOSCALERS,
    REVISIONS,
    ROUTES,
    SERVICES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from pilotlight_operator.objects import Obj

_log: Final = logging.getLogger("webhooks")

ADMITTED: Final[tuple[Resource, ...]] = (
    SERVICES,
    CONFIGURATIONS,
    REVISIONS,
    ROUTES,
    DOMAIN_MAPPINGS,
    POD_AUTOSCALERS,
    INGRESSES,
)
DEFAULTING: Final = "defaulting"
VALIDATION: Final = "resource-validation"
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_LARGEST_REVIEW: Final = 8 * 1024 * 1024
_CONFLICTS_TOLERATED: Final = 5

Serving = Callable[[], Awaitable[None]]


class AdmissionServer:
    """Listens for admission reviews and hands them to kopf, which calls the handler whose id is the
    request's path. `serving` is awaited once it listens.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, serving: Serving) -> None:
        self._address = (host, port)
        self._context = context
        self._serving = serving

    async def __call__(self, review: Any) -> AsyncIterator[Any]:
        """kopf's own protocol of admission servers: yields how it is reached, and serves until
        the generator is closed.
        """

        async def answer(request: aiohttp.web.Request) -> aiohttp.web.Response:
            return await _answer(request, review)

        app = aiohttp.web.Application(client_max_size=_LARGEST_REVIEW)
        app.router.add_post("/{id}", answer)
        runner = aiohttp.web.AppRunner(app, handle_signals=False, access_log=None)
        await runner.setup()
        try:
            host, port = self._address
            site = aiohttp.web.TCPSite(runner, host, port, ssl_context=self._context)
            await site.start()
            await self._serving()
            yield {"url": f"https://{host}:{port}"}
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


async def _answer(request: aiohttp.web.Request, review: Any) -> aiohttp.web.Response:
    try:
        body = json.loads(await request.read())
        answer = await review(
            body, webhook=request.match_info["id"], headers=dict(request.headers), sslpeer=None
        )
    except ValueError as error:
        raise aiohttp.web.HTTPBadRequest(text=f"not an admission review: {error}") from error
    return aiohttp.web.json_response(answer)


async def register(client: KubeClient, ca: bytes) -> None:
    """Tell the API server whom to trust and what to ask about. A configuration that is missing was
    taken away by somebody who does not want it. Every replica does it for itself, as each is asked.
    """
    for resource, name in (
        (MUTATING_WEBHOOKS, names.DEFAULTING_WEBHOOK),
        (VALIDATING_WEBHOOKS, names.VALIDATION_WEBHOOK),
    ):
        try:
            await _register(client, resource, name, ca)
        except ApiError as error:
            if not error.not_found:
                raise
            _log.warning("a webhook configuration is missing", extra={"configuration": name})


async def _register(client: KubeClient, resource: Resource, name: str, ca: bytes) -> None:
    for attempt in range(_CONFLICTS_TOLERATED):
        found = await client.get(resource, None, name)
        wanted = configured(found, ca)
        if wanted == found:
            return
        try:
            await client.replace(resource, wanted)
        except ApiError as error:
            if not error.conflict or attempt == _CONFLICTS_TOLERATED - 1:
                raise
        else:
            return


def configured(configuration: Obj, ca: bytes) -> Obj:
    """The configuration with the authority and the rules filled in."""
    operations = ["CREATE", "UPDATE"]
    if configuration["kind"] == VALIDATING_WEBHOOKS.kind:
        operations.append("DELETE")
    return {
        **configuration,
        "webhooks": [
            {
                **webhook,
                "clientConfig": _trusting(webhook["clientConfig"], ca),
                "rules": rules(operations),
            }
            for webhook in configuration.get("webhooks") or ()
        ],
    }


def _trusting(client_config: Obj, ca: bytes) -> Obj:
    """With `ca` among the authorities, and the one before it too: another replica may serve with
    a certificate of that until it sees that there is a new one.
    """
    try:
        present = base64.b64decode(client_config.get("caBundle") or "", validate=True)
    except binascii.Error:
        present = b""
    if ca.strip() in present:
        return client_config
    before = _CERTIFICATE.search(present)
    bundle = ca.strip() + b"\n" + (before[0] + b"\n" if before is not None else b"")
    return {**client_config, "caBundle": base64.b64encode(bundle).decode()}


def rules(operations: list[str]) -> list[Obj]:
    return [
        {
            "apiGroups": [resource.group],
            "apiVersions": [resource.version],
            "resources": _resources(resource),
            "operations": operations,
            "scope": "Namespaced",
        }
        for resource in ADMITTED
    ]


def _resources(resource: Resource) -> list[str]:
    if resource is DOMAIN_MAPPINGS:
        return [resource.plural, f"{resource.plural}/status"]
    return [resource.plural]
