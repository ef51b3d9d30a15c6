"""WebSocket clients that send a message as soon as the one before has come back."""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast

from benchmarks.proxy.bed import HEADERS, Door
from benchmarks.results import CaseError

_MESSAGE: Final = b"Hello, World!"
_MASK: Final = bytes(4)
_FRAME: Final = bytes((0x82, 0x80 | len(_MESSAGE))) + _MASK + _MESSAGE
_ECHO: Final = bytes((0x82, len(_MESSAGE))) + _MESSAGE
# The key of the example in RFC 6455, which is the only one that the upstream knows.
_ASK: Final = (
    "GET / HTTP/1.1\r\n{fields}Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_ANSWER_S: Final = 5.0


class Echoes:
    """Several clients; `play` lets them all send for some seconds."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._clients: list[_Client] = []
        self.times: list[float] = []
        self.playing = False

    async def open(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, client = await loop.create_connection(lambda: _Client(self), *self._door)
            self._clients.append(client)
            async with asyncio.timeout(_ANSWER_S):
                await client.upgraded

    async def play(self, seconds: int) -> list[float]:
        """How long each message took, there and back, in milliseconds."""
        self.playing = True
        for client in self._clients:
            client.send()
        await asyncio.sleep(seconds)
        self.playing = False
        if any(client.lost for client in self._clients) or not self.times:
            raise CaseError("a WebSocket was closed")
        return self.times

    def close(self) -> None:
        for client in self._clients:
            client.close()


class _Client(asyncio.Protocol):
    def __init__(self, echoes: Echoes) -> None:
        self._echoes = echoes
        self._got = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._transport.write(_ASK.format(fields=fields).encode())

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self.upgraded.done():
            head, end, self._got = self._got.partition(b"\r\n\r\n")
            if not end:
                self._got = head
            elif head.startswith(b"HTTP/1.1 101"):
                self.upgraded.set_result(None)
            else:
                self.upgraded.set_exception(CaseError(f"no upgrade: {head[:80]!r}"))
        elif self._got == _ECHO:
            self._got = b""
            self._echoes.times.append((time.perf_counter() - self._sent_at) * 1000)
            if self._echoes.playing:
                self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.upgraded.done():
            self.upgraded.set_exception(CaseError("the connection was closed"))

    def send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(_FRAME)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
