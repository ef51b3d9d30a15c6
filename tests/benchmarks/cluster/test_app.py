"""The programs under the benchmarks, as they run in their images."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.cluster.client import Address, ask
from benchmarks.cluster.follow import Announcements, listen

APP = Path(__file__).parents[3] / "benchmarks" / "app"
COMPILER = shutil.which("cc")


@pytest.fixture(name="command", params=["c", "python"])
def command_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "python":
        return [sys.executable, str(APP / "app.py")]
    if COMPILER is None:
        pytest.skip("no C compiler")
    server = tmp_path / "server"
    subprocess.run([COMPILER, "-O2", "-o", server, APP / "server.c"], check=True)
    return [str(server)]


@contextmanager
def running(command: list[str], announce: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PORT": str(port), "BENCH_ANNOUNCE": announce}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_it_announces_itself_answers_sleeps_and_ends(command: list[str]) -> None:
    port = free_port()
    transport, announcements = await listen("127.0.0.1", 9)
    loop = asyncio.get_running_loop()
    try:
        started = loop.time()
        with running(command, announcements.where("it"), port) as process:
            while await announcements.heard("it", started) is None:
                assert process.poll() is None
                assert loop.time() - started < 20
            address = Address("127.0.0.1", port)
            answer = await ask(address, "a")
            assert (answer.status, answer.text) == (200, "Hello, World!")
            asking = asyncio.create_task(ask(address, "a", "/sleep?ms=300"))
            await asyncio.sleep(0.05)
            assert (await ask(address, "a")).seconds < 0.25
            assert (await asking).seconds >= 0.3
            process.terminate()
            assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        transport.close()


async def test_pipelined_requests_are_answered_in_turn(command: list[str]) -> None:
    port = free_port()
    transport, announcements = await listen("127.0.0.1", 9)
    try:
        with running(command, announcements.where("it"), port):
            while await announcements.heard("it", 0.0) is None:
                pass
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            first = b"GET /sleep?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n"
            writer.write(first + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).count(b"Hello, World!") == 2
            writer.close()
    finally:
        transport.close()


@pytest.mark.parametrize("command", ["c"], indirect=True)
async def test_who_waits_is_answered_before_the_end(command: list[str]) -> None:
    port = free_port()
    transport, announcements = await listen("127.0.0.1", 9)
    try:
        with running(command, announcements.where("it"), port) as process:
            while await announcements.heard("it", 0.0) is None:
                pass
            asking = asyncio.create_task(ask(Address("127.0.0.1", port), "a", "/sleep?ms=300"))
            await asyncio.sleep(0.1)
            process.terminate()
            assert (await asking).status == 200
            assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        transport.close()


async def test_a_word_is_heard_once_until_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Announcements, "WAIT_S", 0.05)
    transport, announcements = await listen("127.0.0.1", 9)
    try:
        announcements.datagram_received(b"it", None)
        first = await announcements.heard("it", 0.0)
        announcements.datagram_received(b"it", None)
        assert await announcements.heard("it", 0.0) == first
        announcements.forget("it")
        assert await announcements.heard("it", 0.0) is None
    finally:
        transport.close()
