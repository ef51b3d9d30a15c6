"""Probes: their course, and how they ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pilotlight_local.kubelet.probes import Kind, ProbeCourse, ProbeSpec, Target, ask


def course(kind: Kind = Kind.READINESS, **probe: Any) -> ProbeCourse:
    return ProbeCourse(ProbeSpec.parse(kind, {"httpGet": {"port": 1}, **probe}), 100.0)


def verdict(probe: ProbeCourse) -> bool | None:
    return probe.passing


def test_defaults() -> None:
    spec = course().spec
    assert (spec.period_s, spec.timeout_s, spec.successes, spec.failures) == (10, 1, 1, 3)


def test_the_first_looks_come_quickly() -> None:
    readiness = course()
    assert readiness.first_look() == 100.0
    readiness.take(False, 100.0)
    assert verdict(readiness) is None
    assert readiness.next_look(100.0) == pytest.approx(100.025)
    assert not readiness.take(False, 100.1), "an eager look does not count as a failure"
    assert readiness.next_look(110.0) == pytest.approx(110.1), "less often with time"
    assert readiness.next_look(200.0) == pytest.approx(200.5)
    readiness.take(True, 200.0)
    assert verdict(readiness)
    assert readiness.next_look(200.0) == 210.0


def test_initial_delay_is_kept() -> None:
    assert course(initialDelaySeconds=5).first_look() == 105.0


def test_readiness_is_lost_after_its_threshold_and_comes_back() -> None:
    readiness = course(failureThreshold=2, successThreshold=2, periodSeconds=1)
    readiness.take(True, 100)
    assert verdict(readiness) is None
    readiness.take(True, 101)
    assert verdict(readiness)
    readiness.take(False, 102)
    assert verdict(readiness)
    readiness.take(False, 103)
    assert verdict(readiness) is False
    readiness.take(True, 104)
    assert verdict(readiness) is False
    readiness.take(True, 105)
    assert verdict(readiness)


def test_startup_fails_only_by_periods() -> None:
    startup = course(Kind.STARTUP, failureThreshold=3, periodSeconds=10)
    now = 100.0
    while verdict(startup) is None:
        startup.take(False, now)
        now = startup.next_look(now)
    assert now >= 120.0


def test_liveness_begins_after_a_period() -> None:
    liveness = course(Kind.LIVENESS, periodSeconds=7)
    assert liveness.first_look() == 107.0
    liveness.take(False, 107.0)
    assert liveness.next_look(107.0) == 114.0


def test_exec_probes_are_asked_less_often() -> None:
    probe = ProbeCourse(ProbeSpec.parse(Kind.READINESS, {"exec": {"command": ["x"]}}), 100.0)
    assert probe.next_look(100.0) == pytest.approx(100.25)


def test_targets() -> None:
    target = Target("127.10.0.2", {"web": 20000}, frozenset({20000}))
    assert target.address({"port": "web"}) == ("127.0.0.1", 20000)
    assert target.address({"port": 8012}) == ("127.10.0.2", 8012)
    assert target.address({"port": "8012", "host": "h"}) == ("h", 8012)
    with pytest.raises(ValueError, match="nope"):
        target.address({"port": "nope"})


async def never(_: list[str], __: float) -> tuple[int, str]:
    raise AssertionError


@pytest.mark.parametrize(
    ("answer", "passes", "why"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", True, ""),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False, "404"),
        (b"SSH-2.0-x\r\n", False, "not HTTP"),
        (b"", False, "not HTTP"),
    ],
)
async def test_http(answer: bytes, passes: bool, why: str) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        header = {"name": "K-Network-Probe", "value": "queue"}
        handler = {"httpGet": {"port": port, "path": "x", "httpHeaders": [header]}}
        passed, text = await ask(handler, Target("127.0.0.1", {}), 1, never)
    assert passed is passes
    assert why in text
    assert heads[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"k-network-probe: queue\r\n" in heads[0]
    assert b"user-agent: kube-probe/" in heads[0]


async def test_a_silent_server_times_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the prober gives up
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    passed, why = await ask({"httpGet": {"port": port}}, Target("127.0.0.1", {}), 0.05, never)
    assert not passed
    assert "timed out" in why
    passed, _ = await ask({"tcpSocket": {"port": port}}, Target("127.0.0.1", {}), 1, never)
    assert passed
    server.close()
    await server.wait_closed()
    passed, why = await ask({"tcpSocket": {"port": port}}, Target("127.0.0.1", {}), 1, never)
    assert not passed
    assert "refused" in why
    await asyncio.sleep(0)  # the last connections are closed in the loop's next turn


async def test_exec() -> None:
    async def run(argv: list[str], _: float) -> tuple[int, str]:
        return (0, "") if argv == ["ok"] else (3, "bad\n")

    target = Target("127.0.0.1", {})
    assert await ask({"exec": {"command": ["ok"]}}, target, 1, run) == (True, "")
    assert await ask({"exec": {"command": ["no"]}}, target, 1, run) == (False, "bad")
    assert (await ask({}, target, 1, run))[0] is False
