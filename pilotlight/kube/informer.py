"""A cache of one resource that follows the API: list, then watch, for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final, Literal

from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import Resource

_log: Final = logging.getLogger("kube.informer")

Key = tuple[str, str]
Change = Literal["ADDED", "MODIFIED", "DELETED"]
Callback = Callable[[Change, Object, Object | None], None]

_FIRST_RETRY_S: Final = 0.1
_LONGEST_RETRY_S: Final = 5.0


class Informer:
    """Holds the objects of one resource, by (namespace, name), as the API last showed them.

    Callbacks get (change, object, object before) in the order of changes; they must not block. When
    the API is away the cache stays as it was, and `connected` is False.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> None:
        self.items: dict[Key, Object] = {}
        self.connected = False
        self.resource = resource
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._callbacks: list[Callback] = []
        self._synced = asyncio.Event()

    def on_event(self, callback: Callback) -> None:
        self._callbacks.append(callback)

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    async def synced(self) -> None:
        """Wait until the first list has been taken in."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follow the API until cancelled."""
        version: str | None = None
        retry = _FIRST_RETRY_S
        while True:
            try:
                if version is None:
                    version = await self._list()
                version = await self._watch(version)
                retry = _FIRST_RETRY_S
            except ApiError as error:
                self.connected = False
                if error.expired:
                    version = None
                    continue
                if error.status:
                    # The API answered and did not like the question: begin anew. Only when it was
                    # out of reach is the version still good to go on from.
                    version = None
                _log.warning(
                    "cannot follow a resource: will try again",
                    extra={"resource": self.resource.plural, "error": error.message},
                )
                await asyncio.sleep(retry * random.uniform(0.8, 1.2))
                retry = min(retry * 2, _LONGEST_RETRY_S)

    async def _list(self) -> str:
        answer = await self._client.list(self.resource, self._namespace, self._label_selector)
        fresh = {_key(item): item for item in answer.get("items") or ()}
        for key in [key for key in self.items if key not in fresh]:
            self._take("DELETED", self.items[key])
        for item in fresh.values():
            self._take("ADDED", item)
        self.connected = True
        self._synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        events = self._client.watch(
            self.resource,
            version,
            namespace=self._namespace,
            label_selector=self._label_selector,
            on_open=self._opened,
        )
        async for event in events:
            version = event.object["metadata"]["resourceVersion"]
            if event.type != "BOOKMARK":
                self._take(event.type, event.object)
        return version

    def _opened(self) -> None:
        self.connected = True

    def _take(self, type_: str, obj: Object) -> None:
        key = _key(obj)
        before = self.items.get(key)
        change: Change
        if type_ == "DELETED":
            if before is None:
                return
            del self.items[key]
            change = "DELETED"
        else:
            if before is not None and _version(before) == _version(obj):
                return
            self.items[key] = obj
            change = "ADDED" if before is None else "MODIFIED"
        for callback in self._callbacks:
            callback(change, obj, before)


def _key(obj: dict[str, Any]) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _version(obj: dict[str, Any]) -> Any:
    return obj["metadata"].get("resourceVersion"), obj["metadata"].get("uid")
