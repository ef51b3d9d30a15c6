"""Bodies, events and tunnels through the gateway, with programs that speak in raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pilotlight.load import wire

from .conftest import LOCALHOST, FakePod, Rig, answer, ask, until

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"GET / HTTP/1.1\r\nHost: cart.shop.localhost\r\n"


class Raw:
    """Pods whose programs are written byte by byte."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.servers: list[asyncio.Server] = []

    async def pod(self, talk: Talk) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await talk(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, LOCALHOST, 0)
        self.servers.append(server)
        port = server.sockets[0].getsockname()[1]
        pod = FakePod(self.rig, answer(), "raw", LOCALHOST, port=port)
        self.rig.pods.append(pod)
        await pod.greet()
        await until(lambda: self.rig.is_used(pod))


@pytest.fixture
async def raw(rig: Rig) -> AsyncIterator[Raw]:
    raw = Raw(rig)
    yield raw
    for server in raw.servers:
        server.close()


async def connect(rig: Rig, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(LOCALHOST, rig.addresses.external)
    writer.write(head)
    return reader, writer


async def test_events_arrive_one_by_one(rig: Rig, raw: Raw) -> None:
    more = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await more.wait()
        writer.write(b"data: 2\n\n")

    await raw.pod(talk)
    reader, writer = await connect(rig, HEAD + b"\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"data: 1\n\n")
        more.set()
        assert await reader.readuntil(b"data: 2\n\n")
    writer.close()


async def test_a_tunnel_carries_both_directions_and_holds_its_slot(rig: Rig, raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while data := await reader.read(100):
            writer.write(data.upper())

    rig.revision(concurrency=1)
    await raw.pod(talk)
    upgrade = HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    reader, writer = await connect(rig, upgrade)
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        for word in (b"one", b"two"):
            writer.write(word)
            assert await reader.readexactly(3) == word.upper()
        waiting_reader, waiting = await connect(rig, upgrade)
        await until(lambda: rig.waiting() == 1)
        writer.close()
        assert (await waiting_reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        waiting.close()
    await until(lambda: rig.service.gateway.statistics().active == 0)


async def test_a_large_body_goes_up_and_down(rig: Rig, raw: Raw) -> None:
    size = 3_000_000

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        data = await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + data[::-1])
        await writer.drain()

    await raw.pod(talk)
    body = b"ab" * (size // 2)
    headers = {"Host": "cart.shop.localhost", "Content-Length": str(size)}
    got = await ask(rig.addresses.external, "POST / HTTP/1.1", headers, body)
    assert got.body == body[::-1]


async def test_an_answer_that_breaks_off_is_seen_as_broken(rig: Rig, raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    await raw.pod(talk)
    reader, writer = await connect(rig, HEAD + b"\r\n")
    async with asyncio.timeout(5):
        assert (await reader.read(-1)).endswith(b"\r\n\r\nhalf")
    writer.close()
    await until(lambda: rig.service.gateway.statistics().active == 0)


async def test_a_stream_that_outlives_its_revisions_timeout_is_ended(rig: Rig, raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nstart")
        await reader.read()

    rig.revision(timeout_s=0.3)
    await raw.pod(talk)
    reader, writer = await connect(rig, HEAD + b"\r\n")
    async with asyncio.timeout(5):
        assert b"start" in await reader.read(-1)
    writer.close()
    await until(lambda: rig.service.gateway.statistics().active == 0)


async def test_a_client_that_leaves_frees_the_slot(rig: Rig, raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    rig.revision(concurrency=1)
    await raw.pod(talk)
    _, writer = await connect(rig, HEAD + b"\r\n")
    await until(lambda: rig.service.gateway.statistics().active == 1)
    writer.close()
    await until(lambda: rig.service.gateway.statistics().active == 0)


async def test_several_requests_on_one_connection(rig: Rig) -> None:
    await rig.pod(answer())
    reader, writer = await connect(rig, (HEAD + b"\r\n") * 3)
    async with asyncio.timeout(5):
        for _ in range(3):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_tunnel_survives_the_drain_of_its_pod(rig: Rig, raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        )
        while data := await reader.read(100):
            writer.write(data)

    await raw.pod(talk)
    reader, writer = await connect(rig, HEAD + b"Connection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        rig.pods[0].say(wire.PodState.DRAINING)
        await rig.pods[0].released.wait()
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
    writer.close()
