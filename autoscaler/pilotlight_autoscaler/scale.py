"""What the autoscaler writes: replicas of Deployments, statuses of PodAutoscalers, and which pods
may go first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import DEPLOYMENTS, POD_AUTOSCALERS, PODS
from pilotlight_autoscaler.lane import Lane, Lanes
from pilotlight_autoscaler.status import Facts, next_status

_log: Final = logging.getLogger("scale")

Object = dict[str, Any]

# Naming the pods that may go is a courtesy: beyond this it is not worth the wait.
# After this an answer is not waited for any longer.
WRITE_TIMEOUT_S: Final = 5.0
MOST_COSTS: Final = 32
COSTS_TIMEOUT_S: Final = 1.0
_LONGEST_SCALE_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """Give a Deployment so many replicas. `costs` are pod-deletion-costs to write before, by pod.
    `decided_at` is in Unix seconds."""

    deployment: str
    replicas: int
    decided_at: float
    costs: Mapping[str, int]


class Done(NamedTuple):
    """Replicas were written. Unix seconds."""

    key: str
    replicas: int
    decided_at: float
    patched_at: float


class Books(Protocol):
    """Who knows the objects and wants to know of writes."""

    def autoscaler_object(self, key: str) -> Object | None:
        """The latest PodAutoscaler of that key, None when it is gone."""

    def status_written(self, key: str, obj: Object) -> None:
        """A status was written; `obj` is the whole object as it is now."""

    def scaled(self, done: Done) -> None:
        """Replicas were written."""

    def scale_refused(self, key: str) -> None:
        """The API will not take the replicas, now or later."""

    def asleep(self, key: str) -> str | None:
        """The resourceVersion of a Deployment that has no replicas, as far as is known; None of
        one that has some, or is not there."""

    def overtaken(self, key: str) -> None:
        """A revision was not woken, since another did it first."""

    def status_refused(self, key: str) -> None:
        """The API will not take the status, now or later."""


class Writer:
    """Writes replicas and statuses, each in its own lane, so that a flood of statuses never keeps
    a revision from waking.

    `leads` is asked right before each write. Who does not lead writes no status, and replicas only
    of a revision that sleeps: which of several that do so at once succeeds makes no difference.
    """

    def __init__(
        self,
        client: KubeClient,
        books: Books,
        clock: Callable[[], float],
        leads: Callable[[], bool],
    ) -> None:
        self._client = client
        self._books = books
        self._clock = clock
        self._leads = leads
        self.replicas: Lane[Replicas] = Lane(
            Lanes(
                "replicas",
                self._send_replicas,
                lambda key, _: books.scale_refused(key),
                longest_retry_s=_LONGEST_SCALE_RETRY_S,
            )
        )
        self.statuses: Lane[Facts] = Lane(
            Lanes("status", self._send_status, lambda key, _: books.status_refused(key), width=8)
        )

    @property
    def trouble(self) -> str | None:
        return self.replicas.trouble or self.statuses.trouble

    def drop(self, key: str) -> None:
        self.replicas.drop(key)
        self.statuses.drop(key)

    def drop_all(self) -> None:
        """Forget what is not being written yet."""
        self.replicas.drop_all()
        self.statuses.drop_all()

    async def rest(self, within_s: float) -> None:
        """Wait until nothing is being written, or the time is up."""
        await asyncio.gather(self.replicas.rest(within_s), self.statuses.rest(within_s))

    async def close(self) -> None:
        await asyncio.gather(self.replicas.close(), self.statuses.close())

    async def _send_replicas(self, key: str, value: Replicas) -> bool:
        namespace, _, _ = key.partition("/")
        version = None
        if not self._leads():
            version = self._books.asleep(key)
            if version is None:
                self._books.overtaken(key)
                return False
        elif value.costs:
            await self._name_victims(namespace, value.costs)
        async with _time_limit():
            await self._client.scale(
                DEPLOYMENTS, namespace, value.deployment, value.replicas, version=version
            )
        _log.info("scaled", extra={"revision": key, "replicas": value.replicas})
        self._books.scaled(Done(key, value.replicas, value.decided_at, self._clock()))
        return True

    async def _send_status(self, key: str, facts: Facts) -> bool:
        obj = self._books.autoscaler_object(key)
        if obj is None or not self._leads():
            return False
        status = next_status(obj, facts, self._clock())
        if status == obj.get("status"):
            return False
        namespace, _, name = key.partition("/")
        async with _time_limit():
            written = await self._client.patch(
                POD_AUTOSCALERS, (namespace, name), {"status": status}, subresource="status"
            )
        self._books.status_written(key, written)
        return True

    async def _name_victims(self, namespace: str, costs: Mapping[str, int]) -> None:
        """Write pod-deletion-costs. A pod that cannot be written does not keep the others."""
        chosen = list(costs.items())[:MOST_COSTS]
        writes = (self._write_cost(namespace, pod, cost) for pod, cost in chosen)
        try:
            async with asyncio.timeout(COSTS_TIMEOUT_S):
                await asyncio.gather(*writes)
        except TimeoutError:
            _log.warning("naming the pods to remove took too long", extra={"pods": len(chosen)})

    async def _write_cost(self, namespace: str, pod: str, cost: int) -> None:
        note = {names.POD_DELETION_COST_ANNOTATION: str(cost)}
        try:
            await self._client.patch(PODS, (namespace, pod), {"metadata": {"annotations": note}})
        except ApiError as error:
            _log.info("cannot write a deletion cost", extra={"pod": pod, "error": error.message})


@asynccontextmanager
async def _time_limit() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            yield
    except TimeoutError as error:
        raise ApiError(0, "Timeout", f"no answer within {WRITE_TIMEOUT_S:g} s") from error
