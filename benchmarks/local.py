"""Local mode: up to ready, apply to Ready, and cold starts beside the bare program's own start.

`python -m benchmarks.local [--rounds N]`. The program is examples/hello/hello.py. A cold start is
measured from the request to its whole answer. The bare program is measured in the same run, in
turns, from its exec to its first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import http.client
import os
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from benchmarks.results import Row, percentile_rows, row, table, write
from pilotlight.cli.cluster import MANAGER, ServiceDoor
from pilotlight.cli.instance import LocalInstance, Status, environment
from pilotlight.cli.load import Target, ask, client
from pilotlight.cli.timing import TOTAL, parse_server_timing
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.config import from_file

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
NAMESPACE: Final = "default"
PROGRAM: Final = ("python3", "hello.py", "1")
_READY_S: Final = 30.0
_ASLEEP_S: Final = 60.0
_ANSWER_S: Final = 10.0
_UP_ROUNDS: Final = 3


@dataclass(slots=True)
class Measured:
    """All times in milliseconds."""

    up: list[float] = field(default_factory=list)
    apply: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        found = [
            row("up to ready", "pilotlight", "up_ms", "ms", self.up),
            *percentile_rows("apply to Ready", "pilotlight", "ms", self.apply),
            *percentile_rows("cold start", "pilotlight", "ms", self.cold),
            *percentile_rows("cold start", "bare-program", "ms", self.bare),
            *percentile_rows("cold start, ours", "pilotlight", "ms", self.ours()),
        ]
        for phase, values in self.phases.items():
            found += percentile_rows(f"cold start, phase {phase}", "pilotlight", "ms", values)
        return found

    def ours(self) -> list[float]:
        """Each cold start without the bare program's start that was measured beside it."""
        return [cold - bare for cold, bare in zip(self.cold, self.bare, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how many Services, one start each")
    rounds = parser.parse_args().rounds
    measured = Measured()
    for _ in range(_UP_ROUNDS - 1):
        with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as directory:
            instance = LocalInstance(Path(directory), [EXAMPLES / "images.yaml"])
            _up(instance, measured)
            instance.down()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as directory:
        instance = LocalInstance(Path(directory), [EXAMPLES / "images.yaml"])
        try:
            asyncio.run(_measure(_up(instance, measured), rounds, measured))
        finally:
            instance.down()
    rows = measured.rows()
    print(table(rows))
    print(f"written to {write('local', rows)}")


def _up(instance: LocalInstance, measured: Measured) -> Status:
    started = time.monotonic()
    status = instance.up()
    measured.up.append((time.monotonic() - started) * 1000)
    return status


async def _measure(status: Status, rounds: int, measured: Measured) -> None:
    manifest = yaml.safe_load((EXAMPLES / "hello" / "service.yaml").read_text())
    async with KubeClient(from_file(Path(status.kubeconfig)), MANAGER) as kube:
        doors = [ServiceDoor(kube, NAMESPACE, f"bench-{number}") for number in range(rounds)]
        for door in doors:
            started = time.monotonic()
            await door.apply(_renamed(manifest, door.name))
            await door.ready(_READY_S)
            measured.apply.append((time.monotonic() - started) * 1000)
        for door in doors:
            await door.asleep(_ASLEEP_S, lambda _: None)
        for door in doors:
            measured.bare.append(await asyncio.to_thread(bare_start_ms))
            await _cold_start(door, status.gateway, measured)


async def _cold_start(door: ServiceDoor, gateway: str, measured: Measured) -> None:
    url = (await door.get())["status"]["url"]
    async with client(1) as session:
        answer = await ask(session, Target.of_url(gateway, url))
    if answer.status != 200:
        raise SystemExit(f"{door.name} answered {answer.status}: {answer.text}")
    phases = parse_server_timing(answer.headers.get("Server-Timing", ""))
    if TOTAL not in phases:
        raise SystemExit(f"{door.name} was no cold start: its pods are {await door.pods()}")
    measured.cold.append(answer.seconds * 1000)
    for phase, value in phases.items():
        measured.phases.setdefault(phase, []).append(value)


def bare_start_ms() -> float:
    """From the exec of the program to its first answer, asked for every 2 ms."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    started = time.monotonic()
    process = subprocess.Popen(
        PROGRAM,
        cwd=EXAMPLES / "hello",
        env={**environment(), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            if time.monotonic() - started > _ANSWER_S or process.poll() is not None:
                raise SystemExit(f"{' '.join(PROGRAM)} does not answer (pid {os.getpid()})")
            time.sleep(0.002)
        return (time.monotonic() - started) * 1000
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _renamed(manifest: Object, name: str) -> Object:
    """The manifest under another name, its first revision named by the Service."""
    fresh: Object = copy.deepcopy(manifest)
    fresh["metadata"]["name"] = name
    fresh["spec"]["template"]["metadata"].pop("name", None)
    return fresh


if __name__ == "__main__":
    main()
