"""What the demonstration does with the Kubernetes API: apply, look, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.resources import PODS, SERVICES
from pilotlight.names import REVISION_LABEL, SERVICE_LABEL

MANAGER: Final = "pilotlight-demo"
_LOOK_EVERY_S: Final = 0.05

T = TypeVar("T")


class NotInTimeError(Exception):
    """What was waited for did not happen; the text says what was seen last."""


@dataclass(frozen=True, slots=True)
class PodLine:
    """One pod as a person wants to see it."""

    name: str
    revision: str
    state: str
    address: str

    def cells(self) -> tuple[str, str, str, str]:
        return self.name, self.revision, self.state, self.address


class ServiceDoor:
    """One Service of a namespace, through the API."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self.namespace = namespace
        self.name = name

    async def apply(self, manifest: Object) -> Object:
        """Apply a manifest of the Service, by server-side apply."""
        metadata = {"namespace": self.namespace, **manifest["metadata"]}
        return await self._client.apply(SERVICES, {**manifest, "metadata": metadata}, MANAGER)

    async def get(self) -> Object:
        return await self._client.get(SERVICES, self.namespace, self.name)

    async def ready(self, within_s: float) -> Object:
        """The Service once it is Ready in its present generation."""

        async def look() -> Object | None:
            found = await self.get()
            return found if is_ready(found) else None

        async def describe() -> str:
            return ready_text(await self.get())

        return await wait_for(look, within_s, describe)

    async def pods(self) -> list[PodLine]:
        """The pods of the Service's revisions, also those that are about to end."""
        selector = f"{SERVICE_LABEL}={self.name}"
        listed = await self._client.list(PODS, self.namespace, selector)
        return sorted((pod_line(pod) for pod in listed["items"]), key=lambda line: line.name)

    async def asleep(self, within_s: float, seen: Callable[[int], None]) -> None:
        """Wait until there is no pod; `seen` is told how many there are."""

        async def look() -> bool:
            count = len(await self.pods())
            seen(count)
            return count == 0

        async def describe() -> str:
            return f"{len(await self.pods())} pods"

        await wait_for(look, within_s, describe)


async def wait_for(
    look: Callable[[], Awaitable[T | None]],
    within_s: float,
    describe: Callable[[], Awaitable[str]],
) -> T:
    """What `look` gives, once that is true; NotInTimeError after `within_s` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (found := await look()):
        if loop.time() > deadline:
            raise NotInTimeError(f"not within {within_s:.0f} s; seen last: {await describe()}")
        await asyncio.sleep(_LOOK_EVERY_S)
    return found


def is_ready(obj: Object) -> bool:
    """Whether an object's condition Ready is True, and speaks of its present generation."""
    status = obj.get("status") or {}
    if status.get("observedGeneration") != obj["metadata"].get("generation"):
        return False
    return _ready_condition(status).get("status") == "True"


def ready_text(obj: Object) -> str:
    """The condition Ready in words."""
    condition = _ready_condition(obj.get("status") or {})
    words = (f"Ready={condition.get('status')}", condition.get("reason"), condition.get("message"))
    return " ".join(word for word in words if word)


def pod_line(pod: Object) -> PodLine:
    metadata, status = pod["metadata"], pod.get("status") or {}
    if metadata.get("deletionTimestamp"):
        state = "Terminating"
    elif any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    ):
        state = "Ready"
    else:
        state = status.get("phase") or "Pending"
    revision = (metadata.get("labels") or {}).get(REVISION_LABEL, "")
    return PodLine(metadata["name"], revision, state, status.get("podIP") or "")


def _ready_condition(status: Object) -> dict[str, Any]:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            return dict(condition)
    return {}
