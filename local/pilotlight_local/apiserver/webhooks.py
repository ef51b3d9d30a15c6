"""Calls admission webhooks: by URL, or by Service and the addresses behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from . import admission
from .admission import MUTATING, VALIDATING, Webhook
from .state import Review, State
from .values import Object, encode, lookup, same_json

_log: Final = logging.getLogger("apiserver.webhooks")
_CONNECTIONS: Final = 32
_KEEP_ALIVE_S: Final = 30
_MAX_ANSWER: Final = 3 * 1024 * 1024


class _Resolver(AbstractResolver):
    """Names of Services are the addresses of their pods; all other names are the system's."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._system = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        name, _, rest = host.partition(".")
        namespace, _, suffix = rest.partition(".")
        if suffix != "svc":
            return await self._system.resolve(host, port)
        found = [
            ResolveResult(hostname=host, host=address, port=target, family=2, proto=0, flags=0)
            for address, target in endpoints(self._state, namespace, name, port)
        ]
        if not found:
            raise OSError(f'no endpoints available for service "{name}"')
        return found

    async def close(self) -> None:
        await self._system.close()


def endpoints(state: State, namespace: str, name: str, port: int) -> Iterator[tuple[str, int]]:
    """(address, port) of every ready endpoint behind a Service's port."""
    record = state.store.table(("", "services")).get(namespace, name)
    if record is None:
        return
    ports = lookup(record.obj, "spec", "ports") or ()
    wanted = next((p for p in ports if p.get("port") == port), None)
    if wanted is None:
        return
    slices = state.store.table(("discovery.k8s.io", "endpointslices")).records(namespace)
    for piece in slices:
        labels = piece.obj["metadata"].get("labels") or {}
        if labels.get("kubernetes.io/service-name") != name:
            continue
        target = _target_port(piece.obj, wanted)
        for endpoint in piece.obj.get("endpoints") or ():
            if target and lookup(endpoint, "conditions", "ready") is not False:
                for address in endpoint.get("addresses") or ():
                    yield address, target


def _target_port(piece: Object, wanted: Object) -> int:
    for port in piece.get("ports") or ():
        if (port.get("name") or "") == (wanted.get("name") or ""):
            return int(port.get("port") or 0)
    return 0


class Webhooks:
    """The admission of a cluster by the webhooks that it is configured with."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Closes the kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def mutate(self, review: Review) -> Object | None:
        """Asks the mutating webhooks one after the other; each sees what the ones before made."""
        changed: Object | None = None
        asked: list[tuple[Webhook, Object | None]] = []
        for webhook in self._concerned(MUTATING, review):
            answer = await self._ask(webhook, _with(review, changed))
            changed = answer if answer is not None else changed
            asked.append((webhook, changed))
        for webhook, seen in asked:
            if webhook.reinvoked and changed is not None and not _same(seen, changed):
                answer = await self._ask(webhook, _with(review, changed))
                changed = answer if answer is not None else changed
        return changed

    async def validate(self, review: Review) -> None:
        """Asks all validating webhooks at once; raises the first denial in their order."""
        concerned = list(self._concerned(VALIDATING, review))
        if not concerned:
            return
        answers = await asyncio.gather(
            *(self._ask(webhook, review) for webhook in concerned), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _concerned(self, table: tuple[str, str], review: Review) -> Iterator[Webhook]:
        records = list(self._state.store.table(table).records())
        if not records:
            return
        namespace = self._state.store.table(("", "namespaces")).get("", review.target.namespace)
        found = admission.webhooks_of((record.obj for record in records), table == MUTATING)
        for webhook in found:
            if admission.concerns(webhook, review, namespace.obj if namespace else None):
                yield webhook

    async def _ask(self, webhook: Webhook, review: Review) -> Object | None:
        asked = admission.question(webhook, review)
        try:
            answer = await self._post(webhook, asked)
            return admission.read_answer(webhook, asked, answer, review)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            why = _described(error, webhook)
            if webhook.ignores_failure:
                _log.warning("webhook %s is passed over: %s", webhook.name, why)
                return None
            raise admission.failure(webhook, why) from error

    async def _post(self, webhook: Webhook, asked: Object) -> Any:
        async with asyncio.timeout(webhook.timeout_s):
            try:
                return await self._exchange(webhook, asked)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # A kept connection that the webhook had closed: once more, on a new one.
                return await self._exchange(webhook, asked)

    async def _exchange(self, webhook: Webhook, asked: Object) -> Any:
        config = webhook.spec.get("clientConfig") or {}
        async with self._open().post(
            _url(config, webhook.timeout_s),
            data=encode(asked),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            ssl=self._context(config.get("caBundle") or ""),
            allow_redirects=False,
        ) as response:
            body = await response.content.read(_MAX_ANSWER)
            if response.status != 200:
                text = body[:200].decode("utf-8", "replace").strip()
                raise ValueError(f"status {response.status}: {text}")
            return json.loads(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                keepalive_timeout=_KEEP_ALIVE_S,
                resolver=_Resolver(self._state),
                # Pods come and go, and have addresses and ports of their own.
                use_dns_cache=False,
            )
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def _context(self, bundle: str) -> ssl.SSLContext | bool:
        if not bundle:
            return True
        context = self._contexts.get(bundle)
        if context is None:
            pem = base64.b64decode(bundle).decode("ascii")
            context = ssl.create_default_context(cadata=pem)
            while len(self._contexts) >= _CONNECTIONS:
                self._contexts.pop(next(iter(self._contexts)))
            self._contexts[bundle] = context
        return context


def _url(config: Object, timeout_s: float) -> str:
    url = config.get("url")
    if not url:
        service = config.get("service") or {}
        port = service.get("port") or 443
        path = service.get("path") or "/"
        url = f"https://{service.get('name')}.{service.get('namespace')}.svc:{port}{path}"
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}timeout={timeout_s:g}s"


def _with(review: Review, obj: Object | None) -> Review:
    if obj is None:
        return review
    return Review(review.target, review.operation, obj, review.old, review.options)


def _same(left: Object | None, right: Object) -> bool:
    return left is right or (left is not None and same_json(left, right))


def _described(error: Exception, webhook: Webhook) -> str:
    if isinstance(error, TimeoutError):
        url = _url(webhook.spec.get("clientConfig") or {}, webhook.timeout_s)
        return f'Post "{url}": context deadline exceeded'
    if isinstance(error, aiohttp.ClientError):
        url = _url(webhook.spec.get("clientConfig") or {}, webhook.timeout_s)
        return f'Post "{url}": {error.__cause__ or error}'
    return str(error)
