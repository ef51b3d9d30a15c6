"""Events: what happened to an object, for `kubectl describe`; equal ones are counted in one."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pilotlight.kube.resources import EVENTS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.kubelet.state import timestamp

NORMAL: Final = "Normal"
WARNING: Final = "Warning"
_KEPT: Final = 1000
_QUEUED: Final = 1000
_LONGEST_MESSAGE: Final = 1024

_log: Final = logging.getLogger("events")


class _Key(NamedTuple):
    uid: str
    type: str
    reason: str
    message: str
    field: str


@dataclass(slots=True)
class _Known:
    namespace: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to an object; `field` may name a part of it."""

    obj: Mapping[str, Any]
    type: str
    reason: str
    message: str
    field: str = ""


class Recorder:
    """Writes events in the background, in order; old ones are removed, so that they are bounded."""

    def __init__(self, cluster: Cluster, component: str, host: str) -> None:
        self._cluster = cluster
        self._component = component
        self._host = host
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._queue: deque[tuple[Happening, float]] = deque(maxlen=_QUEUED)
        self._wake = asyncio.Event()

    def record(self, happening: Happening, now: float) -> None:
        self._queue.append((happening, now))
        self._wake.set()

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                happening, now = self._queue.popleft()
                try:
                    await self._write(happening, now)
                except ApiError as error:
                    _log.debug("event not written", extra={"error": error.message})

    async def _write(self, happening: Happening, now: float) -> None:
        message = happening.message[:_LONGEST_MESSAGE]
        metadata = happening.obj["metadata"]
        uid = metadata.get("uid", "")
        key = _Key(uid, happening.type, happening.reason, message, happening.field)
        known = self._known.get(key)
        if known is not None and await self._count(key, known, now):
            return
        namespace = metadata.get("namespace") or "default"
        name = f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}"
        await self._cluster.create(EVENTS, self._event(happening, message, namespace, name, now))
        self._known[key] = _Known(namespace, name, 1)
        if len(self._known) > _KEPT:
            await self._forget()

    async def _count(self, key: _Key, known: _Known, now: float) -> bool:
        """One more of the same. False when the event has been removed meanwhile."""
        self._known.move_to_end(key)
        current = self._cluster.get(EVENTS, known.namespace, known.name)
        if current is None:
            return False
        known.count += 1
        await self._cluster.update(
            EVENTS, {**current, "count": known.count, "lastTimestamp": timestamp(now)}
        )
        return True

    async def _forget(self) -> None:
        _, oldest = self._known.popitem(last=False)
        try:
            await self._cluster.delete(EVENTS, oldest.namespace, oldest.name)
        except ApiError:
            pass  # removed by somebody else, or with its namespace

    def _event(
        self, happening: Happening, message: str, namespace: str, name: str, now: float
    ) -> dict[str, Any]:
        metadata = happening.obj["metadata"]
        involved = {
            "apiVersion": happening.obj["apiVersion"],
            "kind": happening.obj["kind"],
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if metadata.get("namespace"):
            involved["namespace"] = metadata["namespace"]
        if happening.field:
            involved["fieldPath"] = happening.field
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": involved,
            "type": happening.type,
            "reason": happening.reason,
            "message": message,
            "source": {"component": self._component, "host": self._host},
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "firstTimestamp": timestamp(now),
            "lastTimestamp": timestamp(now),
            "count": 1,
        }
