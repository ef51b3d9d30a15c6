"""A reporter and a collector on real sockets."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from pilotlight import names
from pilotlight.load import client, wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.discovery import parse_hosts, resolve
from pilotlight.load.server import Collector, Session

KEY = b"k" * 32
GREETING = wire.Greeting("queue-proxy", "default", "hello-00001", "u1", "pod-1", "10.0.0.7:8012")


class Heard:
    """A listener that keeps what it heard."""

    def __init__(self) -> None:
        self.greetings: list[wire.Greeting] = []
        self.frames: list[wire.Frame] = []
        self.gone = 0
        self.session: Session | None = None
        self._changed = asyncio.Event()

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        return KEY if greeting.namespace == "default" else None

    def on_greeting(self, session: Session) -> None:
        assert session.greeting is not None
        self.greetings.append(session.greeting)
        self.session = session
        self._changed.set()

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        self.frames.append(frame)
        self._changed.set()

    def on_gone(self, session: Session) -> None:
        self.gone += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def collector(heard: Heard) -> AsyncIterator[Collector]:
    collector = Collector(heard)
    yield collector
    await collector.close()


async def loopback(_: str) -> list[str]:
    return ["127.0.0.1"]


def reporter_to(port: int, key: bytes = KEY, got: list[wire.Frame] | None = None) -> Reporter:
    def on_frame(_: str, frame: wire.Frame) -> None:
        if got is not None:
            got.append(frame)

    def snapshot() -> bytes:
        return wire.encode_name(0, "default/hello-00001")

    return Reporter(
        ReporterSpec(f"collector:{port}", GREETING, key, snapshot, on_frame, resolve=loopback)
    )


async def test_a_reporter_greets_and_reports_and_its_going_is_noticed(
    heard: Heard, collector: Collector
) -> None:
    reporter = reporter_to(await collector.start("127.0.0.1", 0))
    reporter.start()
    await heard.until(lambda: heard.greetings == [GREETING])
    reporter.broadcast(wire.encode_waiting(wire.Waiting(0, 1)))
    await heard.until(lambda: heard.frames == [wire.Waiting(0, 1)])
    assert heard.session is not None
    assert heard.session.names == {0: "default/hello-00001"}
    await reporter.close()
    await heard.until(lambda: heard.gone == 1)


async def test_the_collector_answers_on_the_same_connection(
    heard: Heard, collector: Collector
) -> None:
    got: list[wire.Frame] = []
    reporter = reporter_to(await collector.start("127.0.0.1", 0), got=got)
    reporter.start()
    await heard.until(lambda: heard.session is not None)
    assert heard.session is not None
    heard.session.send(wire.encode_released())
    async with asyncio.timeout(5):
        while not got:
            await asyncio.sleep(0.001)
    assert got == [wire.Released()]
    await reporter.close()


def test_what_is_said_while_a_connection_is_made_is_heard() -> None:
    """A container that answers in just that moment makes its pod READY once, and never again."""

    async def ready_after(rounds: int) -> bool:
        heard, state = Heard(), wire.PodState.NOT_READY

        def told() -> bytes:
            return wire.encode_state(wire.State(state, 0.0, 0.0))

        collector = Collector(heard)
        port = await collector.start("127.0.0.1", 0)
        reporter = Reporter(
            ReporterSpec(f"it:{port}", GREETING, KEY, told, lambda *_: None, resolve=loopback)
        )
        reporter.start()
        for _ in range(rounds):
            await asyncio.sleep(0)
        state = wire.PodState.READY
        reporter.broadcast(told())
        try:
            await heard.until(lambda: wire.State(wire.PodState.READY, 0.0, 0.0) in heard.frames)
        except TimeoutError:
            return False
        finally:
            await reporter.close()
            await collector.close()
        return True

    async def at_every_moment() -> list[bool]:
        return [await ready_after(rounds) for rounds in range(60)]

    # As the components run: asyncio's own loop gives the one who waits his turn first.
    assert all(uvloop.run(at_every_moment()))


async def test_a_wrong_key_is_refused_and_counted(heard: Heard, collector: Collector) -> None:
    reporter = reporter_to(await collector.start("127.0.0.1", 0), key=b"w" * 32)
    reporter.start()
    async with asyncio.timeout(5):
        while collector.statistics().refused == 0:
            await asyncio.sleep(0.001)
    await reporter.close()
    assert heard.greetings == []


async def test_a_record_before_the_greeting_ends_the_connection(
    heard: Heard, collector: Collector
) -> None:
    port = await collector.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readexactly(wire.CHALLENGE_LENGTH)
    writer.write(wire.encode_waiting(wire.Waiting(0, 1)))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1)
    writer.close()
    assert heard.frames == []


async def test_a_greeting_replayed_on_another_connection_is_refused(
    heard: Heard, collector: Collector
) -> None:
    port = await collector.start("127.0.0.1", 0)
    recorded = b""
    for attempt in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        nonce = wire.decode_challenge(await reader.readexactly(wire.CHALLENGE_LENGTH))
        recorded = recorded or wire.encode_greeting(GREETING, KEY, nonce)
        writer.write(recorded)
        if attempt == 0:
            await heard.until(lambda: len(heard.greetings) == 1)
        else:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()
    assert len(heard.greetings) == 1
    assert collector.statistics().refused == 1


async def test_a_reporter_comes_back_to_a_collector_that_was_away(heard: Heard) -> None:
    first = Collector(heard)
    port = await first.start("127.0.0.1", 0)
    reporter = reporter_to(port)
    reporter.start()
    await heard.until(lambda: len(heard.greetings) == 1)
    await first.close()
    second = Collector(heard)
    await second.start("127.0.0.1", port)
    await heard.until(lambda: len(heard.greetings) == 2)
    await reporter.close()
    await second.close()


def test_hosts_files_may_have_comments_aliases_and_several_addresses() -> None:
    lines = ["# local", "127.1.0.1 a.svc a", "127.1.0.2\ta.svc # second", "127.1.0.3 b.svc", ""]
    assert parse_hosts(lines, "a.svc") == ["127.1.0.1", "127.1.0.2"]
    assert parse_hosts(lines, "c.svc") == []


async def test_a_name_that_stays_is_asked_for_less_and_less_until_it_changes(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_LOOKUP_S", 0.01)
    monkeypatch.setattr(client, "LONGEST_LOOKUP_S", 0.2)
    clock, asked = asyncio.get_running_loop().time, list[float]()
    shown = ["127.0.0.1"]

    async def look_up(_: str) -> list[str]:
        asked.append(clock())
        return list(shown)

    port = await collector.start("127.0.0.1", 0)
    spec = ReporterSpec(
        f"collector:{port}", GREETING, KEY, lambda: b"", lambda *_: None, resolve=look_up
    )
    reporter = Reporter(spec)
    reporter.start()
    while len(asked) < 10:
        await asyncio.sleep(0.01)
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[-1] > 0.1 > pauses[0]
    shown.append("127.0.0.2")
    count = len(asked)
    while len(asked) < count + 3:
        await asyncio.sleep(0.01)
    assert asked[-1] - asked[-2] < 0.1
    await reporter.close()


async def test_the_hosts_file_wins_over_dns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.9.0.2 localhost\n127.9.0.1 localhost\n")
    monkeypatch.setenv(names.ENV_HOSTS, str(path))
    assert await resolve("localhost") == ["127.9.0.1", "127.9.0.2"]


def test_the_header_is_three_bytes() -> None:
    assert wire.encode_heartbeat() == struct.pack(">BH", 6, 0)
