"""What a reporter and a collector do to each other when one of them misbehaves."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.server import Collector, Session

KEY = b"k" * 32
LOCALHOST = "127.0.0.1"


def greeting(pod: str = "pod-1", kind: str = "queue-proxy") -> wire.Greeting:
    return wire.Greeting(kind, "default", "hello-00001", "u1", pod, "10.0.0.7:8012")


class Names:
    """A resolver whose answer can be changed."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.error: Exception | None = None
        self.asked = 0

    async def __call__(self, _: str) -> list[str]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.addresses


class Keeper:
    """A listener with one key, or none at all."""

    def __init__(self, key: bytes | None = KEY) -> None:
        self.key = key
        self.sessions: list[Session] = []
        self.frames: list[wire.Frame] = []

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        return self.key

    def on_greeting(self, session: Session) -> None:
        self.sessions.append(session)

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        self.frames.append(frame)

    def on_gone(self, session: Session) -> None:
        self.sessions.remove(session)


def reporter(port: int, names: Names, key: bytes = KEY) -> Reporter:
    return Reporter(
        ReporterSpec(f"collector:{port}", greeting(), key, lambda: b"", lambda _, __: None, names)
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_refused_reporter_asks_ever_more_rarely() -> None:
    collector = Collector(Keeper(key=None))
    names = Names(LOCALHOST)
    client = reporter(await collector.start(LOCALHOST, 0), names)
    client.start()
    await asyncio.sleep(2.0)
    await client.close()
    await collector.close()
    # 0.05 s, growing by half each time: 7 in two seconds, one more or less by jitter.
    assert 5 <= collector.statistics().refused <= 9
    assert names.asked <= 12


async def test_a_reporter_that_had_been_welcome_is_back_at_once() -> None:
    keeper = Keeper()
    collector = Collector(keeper)
    client = reporter(await collector.start(LOCALHOST, 0), Names(LOCALHOST))
    client.start()
    await until(lambda: keeper.sessions)
    first = keeper.sessions[0]
    await asyncio.sleep(1.05)  # from here on it is no refusal
    first.close()
    async with asyncio.timeout(0.5):
        await until(lambda: keeper.sessions and keeper.sessions[0] is not first)
    await client.close()
    await collector.close()


@pytest.mark.parametrize("error", [None, OSError("no resolver"), ValueError("not a host")])
async def test_a_resolver_that_fails_for_a_moment_silences_nobody(error: Exception | None) -> None:
    keeper, names = Keeper(), Names(LOCALHOST)
    collector = Collector(keeper)
    client = reporter(await collector.start(LOCALHOST, 0), names)
    client.start()
    await until(lambda: keeper.sessions)
    session = keeper.sessions[0]
    names.addresses, names.error = [], error
    before = names.asked
    await until(lambda: names.asked > before + 2)
    client.broadcast(wire.encode_heartbeat())
    await until(lambda: keeper.frames)
    assert keeper.sessions == [session]
    session.close()
    await until(lambda: not keeper.sessions)
    names.addresses, names.error = [LOCALHOST], None
    await until(lambda: keeper.sessions)
    await client.close()
    await collector.close()


async def test_a_collector_that_does_not_answer_keeps_no_other_from_being_reached() -> None:
    keeper, names = Keeper(), Names("127.0.0.9", LOCALHOST)
    collector = Collector(keeper)
    port = await collector.start(LOCALHOST, 0)
    with deaf("127.0.0.9", port):
        await _is_reached_again(keeper, reporter(port, names))
    await collector.close()


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """An address at which connections are neither made nor refused: its backlog is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield


async def _is_reached_again(keeper: Keeper, client: Reporter) -> None:
    client.start()
    await until(lambda: keeper.sessions)
    first = keeper.sessions[0]
    first.close()
    async with asyncio.timeout(1.0):
        await until(lambda: keeper.sessions and keeper.sessions[0] is not first)
    await client.close()


async def test_refusals_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector(Keeper(key=None))
    port = await collector.start(LOCALHOST, 0)
    with caplog.at_level(logging.INFO, "load.server"):
        for _ in range(40):
            reader, writer = await asyncio.open_connection(LOCALHOST, port)
            nonce = wire.decode_challenge(await reader.readexactly(wire.CHALLENGE_LENGTH))
            writer.write(wire.encode_greeting(greeting(), KEY, nonce))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            writer.close()
        for _ in range(40):
            reader, writer = await asyncio.open_connection(LOCALHOST, port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(100)
            writer.close()
    await collector.close()
    assert collector.statistics().refused == 40
    assert 1 <= len(caplog.records) <= 20


async def test_a_queue_proxy_speaks_of_one_revision_only() -> None:
    keeper = Keeper()
    collector = Collector(keeper)
    port = await collector.start(LOCALHOST, 0)
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    nonce = wire.decode_challenge(await reader.readexactly(wire.CHALLENGE_LENGTH))
    writer.write(wire.encode_greeting(greeting(), KEY, nonce))
    writer.write(b"".join(wire.encode_name(number, f"default/r-{number}") for number in range(20)))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        async with asyncio.timeout(2):
            await reader.readexactly(1)
    writer.close()
    await collector.close()


async def test_a_collector_that_stood_still_drops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotlight.load.server.SILENCE_S", 1.4)
    keeper = Keeper()
    collector = Collector(keeper)
    client = reporter(await collector.start(LOCALHOST, 0), Names(LOCALHOST))
    client.start()
    await until(lambda: keeper.sessions)
    session = keeper.sessions[0]
    time.sleep(2.5)  # noqa: ASYNC251 - the whole process stands still
    for _ in range(15):  # longer than a sweep
        await asyncio.sleep(0.1)
        client.broadcast(wire.encode_heartbeat())
    assert keeper.sessions == [session]
    await until(lambda: not keeper.sessions)  # but one that is silent is still dropped
    await client.close()
    await collector.close()
