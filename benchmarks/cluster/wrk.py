"""wrk, the load generator, where there is one; else our own, which takes more of the machine."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from typing import Final

from benchmarks.cluster.bed import CaseError
from benchmarks.cluster.client import Address
from pilotlight.cli.load import Tally, Target, sustain

_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_REQUESTS: Final = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
_QUANTILE: Final = re.compile(r"^ +(50|99)% +([\d.]+)(us|ms|s|m) *$", re.MULTILINE)
_BAD: Final = re.compile(r"^ +(?:Socket errors|Non-2xx).*$", re.MULTILINE)
_GRACE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a load did, all of it answered 200."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


def available() -> bool:
    return shutil.which("wrk") is not None


def parse(output: str) -> Load:
    """What wrk printed with --latency; CaseError when an answer was bad or missing."""
    if bad := _BAD.search(output):
        raise CaseError(f"wrk: {bad[0].strip()}")
    found = _REQUESTS.search(output)
    if found is None:
        raise CaseError(f"wrk said: {output.strip()}")
    quantiles = {p: float(value) * _MS[unit] for p, value, unit in _QUANTILE.findall(output)}
    requests, seconds = int(found[1]), float(found[2]) * _MS[found[3]] / 1000
    return Load(requests, requests / seconds, quantiles["50"], quantiles["99"])


async def load(address: Address, host: str, connections: int, seconds: int) -> Load:
    """Keep every connection busy for some seconds."""
    url = f"http://{address.host}:{address.port}"
    if not available():
        return await _own(Target(url, host), connections, seconds)
    process = await asyncio.create_subprocess_exec(
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--latency", "--header", f"Host: {host}", f"{url}/"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds + _GRACE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return parse(output.decode())


async def _own(target: Target, connections: int, seconds: int) -> Load:
    tally = Tally()
    await sustain(target, seconds, connections, tally)
    if tally.lost or not tally.total:
        raise CaseError(tally.explain())
    p50, p99 = (tally.percentile(percent) * 1000 for percent in (50, 99))
    return Load(tally.total, tally.total / seconds, p50, p99)
