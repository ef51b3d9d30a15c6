"""What the cases stand on: the cluster, a namespace of their own, and the programs in it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from benchmarks.cluster.client import Address, NoAnswerError, ask
from benchmarks.cluster.follow import Announcements, Followed, listen
from benchmarks.cluster.manifests import ANNOUNCE, PORT, pod
from benchmarks.cluster.settings import Settings
from benchmarks.results import CaseError
from pilotlight.cli.cluster import NotInTimeError, is_ready, ready_text, wait_for
from pilotlight.cli.load import Answer
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import (
    CORE_SERVICES,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from pilotlight.names import GATEWAY_SERVICE, SYSTEM_NAMESPACE

MANAGER: Final = "pilotlight-bench"
READY_S: Final = 60.0
ASLEEP_S: Final = 120.0
_GONE_S: Final = 300.0
_ACCOUNT_S: Final = 10.0
_AGAIN_S: Final = 0.005
# What is sent before the node knows where to may be dropped: then it is sent again.
_ATTEMPT_S: Final = 0.25
# What is over for the API is still being cleared away on the node.
_SETTLE_S: Final = 0.5


@dataclass(slots=True)
class Bed:
    """The cluster under measurement."""

    kube: KubeClient
    settings: Settings
    gateway: Address
    announcements: Announcements
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell the reader of the table, once."""
        if text not in self.notes:
            self.notes.append(text)

    def say(self, text: str) -> None:
        """Tell whoever is waiting."""
        print(text, flush=True)

    @asynccontextmanager
    async def room(self, purpose: str) -> AsyncIterator[Room]:
        """A namespace that is gone when the block has ended, however it ends."""
        name = f"bench-{purpose}-{uuid.uuid4().hex[:6]}"
        room = Room(self, name)
        followers: list[asyncio.Task[None]] = []
        try:
            await self.kube.create(NAMESPACES, {"metadata": {"name": name}})
            followers += [
                asyncio.create_task(followed.run(), name=f"follow-{number}")
                for number, followed in enumerate((room.pods, room.services, room.deployments))
            ]
            await room.opened()
            yield room
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            await self._clear(name)

    async def system_pods(self) -> list[Object]:
        """The pods of Pilotlight's own components."""
        listed = await self.kube.list(PODS, SYSTEM_NAMESPACE)
        return list(listed["items"])

    async def _clear(self, namespace: str) -> None:
        """Also when the API has to be asked more than once."""

        async def is_asked() -> bool:
            try:
                await delete(self.kube, NAMESPACES, None, namespace)
            except ApiError as error:
                if not error.retryable:
                    raise
                return False
            return True

        async def is_gone() -> bool:
            try:
                await self.kube.get(NAMESPACES, None, namespace)
            except ApiError as error:
                return error.not_found
            return False

        async def describe() -> str:
            return f"the namespace {namespace}"

        await wait_for(is_asked, _GONE_S, describe)
        await wait_for(is_gone, _GONE_S, describe)


class Room:
    """One case's namespace."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self.bed = bed
        self.namespace = namespace
        self.pods = Followed(bed.kube, PODS, namespace)
        self.services = Followed(bed.kube, SERVICES, namespace)
        self.deployments = Followed(bed.kube, DEPLOYMENTS, namespace)

    async def opened(self) -> None:
        """Wait until pods can be made here and what happens is seen."""

        async def account() -> bool:
            try:
                await self.bed.kube.get(SERVICE_ACCOUNTS, self.namespace, "default")
            except ApiError as error:
                if error.not_found:
                    return False
                raise
            return True

        async def describe() -> str:
            return "no service account named default"

        try:
            await wait_for(account, _ACCOUNT_S, describe)
        except NotInTimeError as error:
            raise CaseError(str(error)) from error
        for followed in (self.pods, self.services, self.deployments):
            await followed.synced()

    async def create(self, resource: Resource, obj: Object) -> Object:
        metadata = {**obj["metadata"], "namespace": self.namespace}
        return await self.bed.kube.create(resource, {**obj, "metadata": metadata})

    async def apply(self, service: Object) -> None:
        metadata = {**service["metadata"], "namespace": self.namespace}
        await self.bed.kube.apply(SERVICES, {**service, "metadata": metadata}, MANAGER)

    async def ready(self, name: str, revision: str | None = None) -> None:
        """Wait until a Service is Ready, with another Revision than `revision` if that is given."""

        def look() -> bool:
            found = self.services.get(name)
            if found is None or not is_ready(found):
                return False
            return bool(found["status"].get("latestReadyRevisionName") != revision)

        try:
            await self.services.until(look, READY_S, f"{name} is Ready")
        except NotInTimeError as error:
            raise CaseError(f"{error}: {ready_text(self.services.get(name) or {})}") from None

    def revision(self, name: str) -> str:
        """The Service's latest ready Revision."""
        return str(self._service(name)["status"]["latestReadyRevisionName"])

    def host(self, name: str) -> str:
        """The host in a Service's URL."""
        return urlsplit(str(self._service(name)["status"]["url"])).netloc

    async def empty(self) -> None:
        """Wait until there is no pod, and the node has had a moment to clear away the last."""
        await self.pods.until(lambda: not self.pods.items, ASLEEP_S, "no pods")
        await asyncio.sleep(_SETTLE_S)

    async def ask(self, name: str, path: str = "/") -> Answer:
        """One request to a Service through the gateway; CaseError unless it is answered 200."""
        try:
            answer = await ask(self.bed.gateway, self.host(name), path)
        except (NoAnswerError, OSError) as error:
            raise CaseError(f"{name} did not answer: {type(error).__name__} {error}") from error
        if answer.status != 200:
            raise CaseError(f"{name} answered {answer.status}: {answer.text}")
        return answer

    async def delete_service(self, name: str) -> None:
        await self.bed.kube.delete(SERVICES, self.namespace, name)
        await self.services.until(lambda: self.services.get(name) is None, READY_S, "deletion")

    def _service(self, name: str) -> Object:
        found = self.services.get(name)
        if found is None:
            raise CaseError(f"there is no Service {name}")
        return found


@dataclass(frozen=True, slots=True)
class PodStart:
    """Milliseconds that a bare pod took: until the API called it Ready, until it answered at
    the address in the API, until its program said that it listens (None if that was not heard).
    """

    ready: float
    answer: float
    listening: float | None


async def start_pods(room: Room, image: str, names: Sequence[str]) -> list[PodStart]:
    """Create bare pods at once, and delete them when all are ready. Times count from before the
    first creation.
    """
    started = time.monotonic()

    async def ready(name: str) -> float:
        await room.pods.until(lambda: is_pod_ready(room.pods.get(name)), READY_S, f"{name} Ready")
        return since(started)

    async def answer(name: str) -> float:
        where = await room.pods.until(
            lambda: pod_address(room.pods.get(name)), READY_S, f"the address of {name}"
        )
        return await first_answer(where, started)

    async def one(name: str) -> PodStart:
        announcements = room.bed.announcements
        announcements.forget(name)
        await room.create(PODS, pod(name, image, {ANNOUNCE: announcements.where(name)}))
        times = await asyncio.gather(ready(name), answer(name))
        return PodStart(*times, await announcements.heard(name, started))

    try:
        return list(await asyncio.gather(*map(one, names)))
    finally:
        for name in names:
            await delete(room.bed.kube, PODS, room.namespace, name)


async def delete(kube: KubeClient, resource: Resource, namespace: str | None, name: str) -> None:
    """Delete what may not be there."""
    try:
        await kube.delete(resource, namespace, name)
    except ApiError as error:
        if not error.not_found:
            raise


async def first_answer(address: Address, started: float) -> float:
    """Ask again and again until there is an answer; milliseconds since `started`."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            answer = await ask(address, address.host, within_s=_ATTEMPT_S)
        except OSError as error:
            if time.monotonic() > deadline:
                raise CaseError(f"{address.host} does not answer: {error}") from error
            await asyncio.sleep(_AGAIN_S)
        else:
            if answer.status != 200:
                raise CaseError(f"{address.host} answered {answer.status}")
            return since(started)


def since(moment: float) -> float:
    """Milliseconds since a moment of the monotonic clock."""
    return (time.monotonic() - moment) * 1000


def is_pod_ready(found: Object | None) -> bool:
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def pod_address(found: Object | None, port: int = PORT) -> Address | None:
    address = ((found or {}).get("status") or {}).get("podIP")
    return Address(address, port) if address else None


async def open_bed(kube: KubeClient, settings: Settings) -> Bed:
    """The cluster, when Pilotlight runs on it."""
    gateway = Address.of(settings.gateway or await _gateway_url(kube))
    _, announcements = await listen(gateway.host, gateway.port)
    return Bed(kube, settings, gateway, announcements)


async def _gateway_url(kube: KubeClient) -> str:
    found = await kube.get(CORE_SERVICES, SYSTEM_NAMESPACE, GATEWAY_SERVICE)
    return f"http://{found['spec']['clusterIP']}:{found['spec']['ports'][0]['port']}"
