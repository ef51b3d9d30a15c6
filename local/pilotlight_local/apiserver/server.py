"""The API server: its listener, its authentication, and the documents that are no resources."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from . import discovery
from .accounts import identify
from .audit import USER, AuditLog
from .cluster import Cluster
from .errors import ApiError, internal, no_such_path, not_acceptable
from .handlers import Handlers
from .negotiate import accepted, discovery_version
from .paths import parse_path
from .persistence import Persistence
from .podlog import LogSource, NoLogs
from .requests import MAX_BODY, answer, refusal
from .values import Object
from .webhooks import Webhooks

_log: Final = logging.getLogger("apiserver")
_HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz"})
_DISCOVERY_TYPE: Final = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_SHUTDOWN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server listens, and where it keeps its state.

    Port 0 is any free one. Without `token` everybody is let in; without `sqlite_path` the state
    lives in memory alone. Requests are written to `audit_log`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    token: str = ""
    sqlite_path: Path | None = None
    audit_log: Path | None = None


class ApiServer:
    """Serves a cluster over HTTP, and runs what belongs to it: garbage collection, admission by
    webhooks, and persistence.
    """

    def __init__(
        self, cluster: Cluster, options: ServerOptions, logs: LogSource | None = None
    ) -> None:
        self.cluster = cluster
        self._options = options
        self._webhooks = Webhooks(cluster.state)
        self._handlers = Handlers(cluster, logs or NoLogs(), options.token)
        self._persistence = Persistence(options.sqlite_path) if options.sqlite_path else None
        self._audit = AuditLog(options.audit_log) if options.audit_log else None
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._documents: dict[str, tuple[int, Object]] = {}
        self.port = 0
        """The port that is listened on, once started."""

    @property
    def url(self) -> str:
        scheme = "https" if self._options.tls else "http"
        return f"{scheme}://{self._options.host}:{self.port}"

    async def start(self) -> None:
        """Loads the state, makes what every cluster has, and listens."""
        if self._persistence is not None:
            self.cluster.load(*self._persistence.load())
            self._persistence.attach(self.cluster.store)
        self.cluster.state.admission = self._webhooks
        await self.cluster.bootstrap()
        garbage = asyncio.create_task(self.cluster.garbage.run(), name="apiserver-garbage")
        garbage.add_done_callback(_report)
        self._tasks.append(garbage)
        await self._listen()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        if self._audit is not None:
            app.on_response_prepare.append(self._audit.answering)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await self._runner.setup()
        options = self._options
        site = web.TCPSite(
            self._runner, options.host, options.port, ssl_context=options.tls, reuse_address=True
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends every watch, stops listening, and writes what is pending. Idempotent."""
        for watcher in tuple(self._handlers.watchers):
            watcher.end()
        if self._runner is not None:
            server = self._runner.server
            transports = [c.transport for c in server.connections] if server else []
            await self._runner.cleanup()
            self._runner = None
            for transport in transports:
                # An orderly end of TLS would wait for peers that do not listen any more.
                if isinstance(transport, asyncio.Transport):
                    transport.abort()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        await self._webhooks.close()
        if self._audit is not None:
            self._audit.close()
        if self._persistence is not None:
            await asyncio.to_thread(self._persistence.close)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Every request comes in here, and every error becomes a Status."""
        try:
            self._authenticate(request)
            path = parse_path(request.path)
            if path is None:
                return self._document(request)
            return await self._handlers.handle(request, path)
        except ApiError as error:
            return refusal(error)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            _log.exception("request failed: %s %s", request.method, request.path)
            return refusal(internal(str(error)))
        finally:
            if self._audit is not None:
                self._audit.ended(request)

    def _authenticate(self, request: web.Request) -> None:
        token = self._options.token
        if not token or request.path in _HEALTH:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        user = identify(token, given.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        request[USER] = user

    def _document(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise no_such_path()
        path = request.path.rstrip("/")
        if path.rpartition("/")[0] in _HEALTH or path in _HEALTH:
            return web.Response(text="ok")
        if path == "/version":
            return answer(dict(discovery.VERSION))
        if path == "":
            paths = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz"]
            return answer({"paths": [*paths, "/version"]})
        if path.startswith("/openapi/"):
            return self._openapi(request, path)
        return self._discovery(request, path)

    def _discovery(self, request: web.Request, path: str) -> web.Response:
        registry = self.cluster.registry
        if path in ("/api", "/apis"):
            version = discovery_version(request.headers.get("Accept", ""))
            if version:
                body = discovery.aggregated(registry, path == "/api", version)
                response = answer(body)
                response.headers["Content-Type"] = _DISCOVERY_TYPE.format(version)
                response.headers["Vary"] = "Accept"
                return response
            address = f"{self._options.host}:{self.port}"
            if path == "/api":
                return answer(discovery.api_versions(address))
            return answer(discovery.api_groups(registry))
        parts = path.strip("/").split("/")
        found = None
        if parts[0] == "api" and len(parts) == 2:
            found = discovery.api_resources(registry, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.api_group(registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.api_resources(registry, parts[1], parts[2])
        if found is None:
            raise no_such_path()
        return answer(found)

    def _openapi(self, request: web.Request, path: str) -> web.Response:
        header = request.headers.get("Accept") or "*/*"
        names = [entry.name for entry in accepted(header)]
        if path == "/openapi/v2" and names[:1] == [_OPENAPI_V2_BINARY]:
            return web.Response(body=_BARE_V2, content_type=_OPENAPI_V2_BINARY.replace("@", "."))
        if not any(name in _OPENAPI_TYPES for name in names):
            raise not_acceptable(["application/json"])
        found = self._cached(path)
        if found is None:
            raise no_such_path()
        return answer(found)

    def _cached(self, path: str) -> Object | None:
        """A document, made again only when the served kinds have changed."""
        generation = self.cluster.registry.generation
        cached = self._documents.get(path)
        if cached is not None and cached[0] == generation:
            return cached[1]
        made = self._make(path)
        if made is not None:
            if any(stamp != generation for stamp, _ in self._documents.values()):
                self._documents.clear()
            self._documents[path] = generation, made
        return made

    def _make(self, path: str) -> Object | None:
        from . import openapi

        registry, store = self.cluster.registry, self.cluster.store
        if path == "/openapi/v2":
            return openapi.document_v2(registry, store)
        if path == "/openapi/v3":
            return openapi.documents(registry)
        parts = path.removeprefix("/openapi/v3/").split("/")
        if parts[0] == "api" and len(parts) == 2:
            return openapi.document(registry, store, "", parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return openapi.document(registry, store, parts[1], parts[2])
        return None


_OPENAPI_V2_BINARY: Final = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_BARE_V2: Final = b"\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.33.0B\x00"
"""The smallest v2 document in the one form in which kubectl reads it. It looks there only for what
v3 does not have, so that a bare document is a true answer: swagger, info (title, version), paths.
"""
_OPENAPI_TYPES: Final = frozenset({"application/json", "*/*", "application/*"})


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("%s ended", task.get_name(), exc_info=task.exception())
