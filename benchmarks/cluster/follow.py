"""Waiting for what the API shows, and for what a program says of itself."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from pilotlight.cli.cluster import NotInTimeError
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.informer import Informer, Key
from pilotlight.kube.resources import Resource

T = TypeVar("T")


class Followed:
    """The objects of one resource in one namespace, and when they change."""

    def __init__(self, kube: KubeClient, resource: Resource, namespace: str) -> None:
        self.seen: set[str] = set()
        self._informer = Informer(kube, resource, namespace=namespace)
        self._informer.on_event(self._note)
        self._changed = asyncio.Event()

    @property
    def items(self) -> Mapping[Key, Object]:
        return self._informer.items

    async def run(self) -> None:
        await self._informer.run()

    async def synced(self) -> None:
        await self._informer.synced()

    def get(self, name: str) -> Object | None:
        return next((o for (_, other), o in self.items.items() if other == name), None)

    async def until(self, look: Callable[[], T | None], within_s: float, what: str) -> T:
        """What `look` gives once that is true. It is asked at each change."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := look()):
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise NotInTimeError(f"{what}: not within {within_s:.0f} s") from None

    def _note(self, change: str, obj: Object, _: Object | None) -> None:
        if change == "ADDED":
            self.seen.add(obj["metadata"]["name"])
        self._changed.set()


class Announcements(asyncio.DatagramProtocol):
    """When programs first said, in a datagram, that they listen: monotonic seconds, by word."""

    WAIT_S: Final = 1.0

    def __init__(self, address: str) -> None:
        self.address = address
        self._heard: dict[str, float] = {}
        self._came = asyncio.Event()
        self._port = 0

    def where(self, word: str) -> str:
        """What a program is told, to have it say `word`."""
        return f"{self.address}:{self._port}/{word}"

    def forget(self, word: str) -> None:
        self._heard.pop(word, None)

    async def heard(self, word: str, started: float) -> float | None:
        """When the word came, in milliseconds from `started`; None when it has not come in a second
        from now, as when programs cannot reach this machine.
        """
        try:
            async with asyncio.timeout(self.WAIT_S):
                while word not in self._heard:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return None
        return (self._heard[word] - started) * 1000

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard.setdefault(data.decode(errors="replace"), time.monotonic())
        self._came.set()


async def listen(toward: str, port: int) -> tuple[asyncio.DatagramTransport, Announcements]:
    """Hear announcements at this machine's address as it is seen from `toward`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((toward, port))
        address = str(probe.getsockname()[0])
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(
        lambda: Announcements(address), local_addr=(address, 0)
    )
