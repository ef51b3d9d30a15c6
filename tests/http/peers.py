"""Raw peers on real sockets: a client that sends bytes, an upstream that is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pilotlight.http import (
    ConnectionTimes,
    Exchange,
    ForwardListener,
    Limits,
    Outcome,
    Server,
    Upstream,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
App = Callable[[Exchange], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_head(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n\r\n")


async def read_some(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(size)


async def read_rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


async def until(condition: Callable[[], bool], what: str = "condition") -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within 5 s: {what}")


class Recorder(ForwardListener):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.errors: list[tuple[str, bool]] = []
        self.answers: list[int] = []
        self.timeouts: list[str] = []

    def on_head(self, exchange: Exchange, response: Any) -> bool:
        self.answers.append(response.status)
        return super().on_head(exchange, response)

    def on_error(self, exchange: Exchange, leg: str, error: Exception, replayable: bool) -> None:
        self.errors.append((leg, replayable))
        super().on_error(exchange, leg, error, replayable)

    def on_timeout(self, exchange: Exchange, kind: str) -> None:
        self.timeouts.append(kind)
        super().on_timeout(exchange, kind)

    def on_done(self, exchange: Exchange, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class Peers:
    """Everything one test has opened; closed at its end."""

    closers: list[Callable[[], Any]] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def upstream(self, script: Script, **options: Any) -> Upstream:
        """An upstream whose connections are handled by `script`."""

        def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def run() -> None:
                try:
                    await script(reader, writer)
                except (asyncio.IncompleteReadError, ConnectionError):
                    pass
                finally:
                    writer.close()

            task = asyncio.get_running_loop().create_task(run())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        self.closers.append(server.close)
        upstream = Upstream("127.0.0.1", server.sockets[0].getsockname()[1], **options)
        self.closers.append(upstream.close)
        return upstream

    async def server(
        self, app: App, limits: Limits | None = None, times: ConnectionTimes | None = None
    ) -> tuple[Server, int]:
        server = Server(app, limits=limits, times=times)
        self.closers.append(server.close)
        return server, await server.listen("127.0.0.1", 0)

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.closers.append(writer.close)
        return reader, writer

    async def close(self) -> None:
        for closer in reversed(self.closers):
            closer()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
