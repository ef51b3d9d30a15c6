"""A small asynchronous client of the Kubernetes API. Objects are plain dicts."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import aiohttp

from pilotlight.kube.config import KubeConfig, from_environment
from pilotlight.kube.errors import ApiError, from_status
from pilotlight.kube.resources import Resource

Object = dict[str, Any]
PatchType = Literal["json", "merge", "strategic", "apply"]

_CONTENT_TYPES: Final[dict[PatchType, str]] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    # JSON is YAML: what is sent is JSON.
    "apply": "application/apply-patch+yaml",
}
REQUEST_TIMEOUT_S: Final = 30.0
MOST_CONNECTIONS: Final = 32
# A cold start should find a connection that is open: the API server closes idle ones after 90 s.
IDLE_S: Final = 75.0
KEEPALIVE_S: Final = 15
KEEPALIVE_EVERY_S: Final = 5
KEEPALIVES: Final = 3
# An object in etcd has at most 1.5 MiB; a watch event carries one on a line.
_LONGEST_EVENT: Final = 8 * 1024 * 1024


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class KubeClient:
    """Speaks to one API server. Every call raises ApiError for an answer that is no success, with
    status 0 when there was no answer at all.
    """

    def __init__(self, config: KubeConfig, user_agent: str = "pilotlight") -> None:
        self._config = config
        self._user_agent = user_agent
        self._ssl = config.ssl_context()
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_env(cls, user_agent: str = "pilotlight") -> KubeClient:
        return cls(from_environment(), user_agent)

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        return await self._call("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        *,
        limit: int = 0,
    ) -> Object:
        """The list object: `items`, and `metadata.resourceVersion` to watch from. Its items carry
        apiVersion and kind as single objects do. With a limit only the first ones are there.
        """
        params = {"labelSelector": label_selector} if label_selector else {}
        if limit:
            params["limit"] = str(limit)
        answer = await self._call("GET", resource.path(namespace), params=params)
        for item in answer.get("items") or ():
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return answer

    async def create(self, resource: Resource, obj: Object, manager: str | None = None) -> Object:
        path = resource.path(obj["metadata"].get("namespace"))
        params = {"fieldManager": manager} if manager else {}
        return await self._call("POST", path, params=params, body=obj)

    async def replace(self, resource: Resource, obj: Object) -> Object:
        return await self._call("PUT", _path_of(resource, obj), body=obj)

    async def replace_status(self, resource: Resource, obj: Object) -> Object:
        return await self._call("PUT", _path_of(resource, obj) + "/status", body=obj)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str | None = None
    ) -> Object:
        body = {"preconditions": {"uid": uid}} if uid else None
        return await self._call("DELETE", resource.path(namespace, name), body=body)

    async def patch(
        self,
        resource: Resource,
        key: tuple[str | None, str],
        body: Any,
        *,
        type: PatchType = "merge",  # noqa: A002 - the API's own word
        subresource: str | None = None,
    ) -> Object:
        """Patch the object `key` = (namespace, name), or a subresource of it."""
        path = resource.path(*key) + (f"/{subresource}" if subresource else "")
        return await self._call("PATCH", path, body=body, content_type=_CONTENT_TYPES[type])

    async def apply(
        self, resource: Resource, obj: Object, manager: str, *, subresource: str | None = None
    ) -> Object:
        """Server-side apply with force: the fields in `obj` are `manager`'s from now on."""
        path = _path_of(resource, obj) + (f"/{subresource}" if subresource else "")
        params = {"fieldManager": manager, "force": "true"}
        content_type = _CONTENT_TYPES["apply"]
        return await self._call("PATCH", path, params=params, body=obj, content_type=content_type)

    async def scale(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        replicas: int,
        *,
        version: str | None = None,
    ) -> Object:
        """Set `spec.replicas` through the scale subresource; with a version only if the object is
        still of that resourceVersion.
        """
        body: list[Object] = [{"op": "add", "path": "/spec/replicas", "value": replicas}]
        if version is not None:
            body.append({"op": "add", "path": "/metadata/resourceVersion", "value": version})
        return await self.patch(resource, (namespace, name), body, type="json", subresource="scale")

    async def watch(
        self,
        resource: Resource,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        timeout_s: int = 300,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`; ends when the server ends the watch. `on_open` is
        called when the server has accepted it, which may be long before the first event. Raises
        ApiError with `expired` when the version is too old.
        """
        params = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_s),
        }
        if label_selector:
            params["labelSelector"] = label_selector
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=timeout_s + 30)
        url = self._config.server + resource.path(namespace)
        try:
            async with self._open().get(
                url, params=params, headers=self._headers(), timeout=timeout
            ) as response:
                if response.status != 200:
                    raise from_status(response.status, await _body_of(response))
                if on_open is not None:
                    on_open()
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", _text(error)) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = self._headers()
        if data is not None:
            headers["Content-Type"] = content_type
        url = self._config.server + path
        try:
            async with self._open().request(
                method, url, params=params, data=data, headers=headers
            ) as response:
                answer = await _body_of(response)
                if response.status >= 300:
                    raise from_status(response.status, answer)
                if not isinstance(answer, dict):
                    raise ApiError(response.status, "", f"{method} {path}: the answer is no object")
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", f"{method} {path}: {_text(error)}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._ssl or True,
                    limit=MOST_CONNECTIONS,
                    keepalive_timeout=IDLE_S,
                    socket_factory=_socket,
                ),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=5),
                trust_env=False,
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        bearer = self._config.bearer()
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        return headers


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A watch may say nothing for minutes: the kernel asks whether its server is still there, and
    breaks the connection when the machine has not answered for half a minute.
    """
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVES)
    return made


def _path_of(resource: Resource, obj: Object) -> str:
    metadata = obj["metadata"]
    return resource.path(metadata.get("namespace"), metadata["name"])


async def _body_of(response: aiohttp.ClientResponse) -> Any:
    data = await response.read()
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for chunk in stream.iter_any():
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            yield bytes(buffer[:end])
            del buffer[: end + 1]
        if len(buffer) > _LONGEST_EVENT:
            raise ApiError(0, "TooLarge", f"a watch event has more than {_LONGEST_EVENT} bytes")


def _event(line: bytes) -> WatchEvent:
    document = json.loads(line)
    if document["type"] == "ERROR":
        status = document["object"]
        raise from_status(int(status.get("code") or 500), status)
    return WatchEvent(document["type"], document["object"])


def _text(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
