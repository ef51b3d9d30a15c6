"""Events about objects: what `kubectl describe` shows below them.

An aid for people, never a burden for the API: a bounded queue, a bounded rate, and what was said a
short while ago is not said again.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from pilotlight import names
from pilotlight.api.conditions import timestamp
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import EVENTS
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Obj, name_of, namespace_of, uid_of
from pilotlight_operator.planner import Announcement

_log: Final = logging.getLogger("events")

MOST_WAITING: Final = 256
BURST: Final = 50
PER_SECOND: Final = 10.0
REPEAT_AFTER_S: Final = 300.0
_MOST_REMEMBERED: Final = 2048
_LONGEST_MESSAGE: Final = 1024


class Recorder:
    def __init__(self, client: KubeClient, metrics: Metrics) -> None:
        self._client = client
        self._metrics = metrics
        self._waiting: asyncio.Queue[Announcement] = asyncio.Queue(MOST_WAITING)
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._tokens = float(BURST)
        self._filled_at = 0.0

    def record(self, announcement: Announcement) -> None:
        """Say it soon; drop it when too much waits already."""
        if self._is_repeated(announcement):
            self._metrics.events.labels("repeated").inc()
            return
        try:
            self._waiting.put_nowait(announcement)
        except asyncio.QueueFull:
            self._metrics.events.labels("dropped").inc()

    async def run(self) -> None:
        """Send until cancelled; what is left then is dropped."""
        try:
            while True:
                await self._send(await self._waiting.get())
        finally:
            while not self._waiting.empty():
                self._waiting.get_nowait()
                self._metrics.events.labels("dropped").inc()

    async def _send(self, announcement: Announcement) -> None:
        await self._take_token()
        try:
            await self._client.create(EVENTS, event(announcement, datetime.now(UTC)))
            self._metrics.events.labels("sent").inc()
        except ApiError as error:
            self._metrics.events.labels("failed").inc()
            _log.debug("an event could not be sent", extra={"error": error.message})

    async def _take_token(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            await asyncio.sleep((1 - self._tokens) / PER_SECOND)
            self._tokens = 1
        self._tokens -= 1

    def _is_repeated(self, announcement: Announcement) -> bool:
        now = asyncio.get_running_loop().time()
        what = (uid_of(announcement.regarding), announcement.reason, announcement.message)
        said = self._said.get(what)
        if said is not None and now - said < REPEAT_AFTER_S:
            return True
        self._said[what] = now
        self._said.move_to_end(what)
        while len(self._said) > _MOST_REMEMBERED:
            self._said.popitem(last=False)
        return False


def event(announcement: Announcement, now: datetime) -> Obj:
    """The Event object that tells an announcement."""
    regarding, moment = announcement.regarding, timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name_of(regarding)}.{uuid.uuid4().hex[:16]}",
            "namespace": namespace_of(regarding),
        },
        "involvedObject": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": name_of(regarding),
            "namespace": namespace_of(regarding),
            "uid": uid_of(regarding),
        },
        "type": announcement.kind,
        "reason": announcement.reason,
        "message": announcement.message[:_LONGEST_MESSAGE],
        "source": {"component": names.OPERATOR_MANAGER},
        "reportingComponent": names.OPERATOR_MANAGER,
        "reportingInstance": "",
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
    }
