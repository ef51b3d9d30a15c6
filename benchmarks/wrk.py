"""wrk, the load generator."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.loader import output_of
from benchmarks.results import CaseError

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
    if not int(found[1]):
        raise CaseError("wrk: there was no answer")
    requests, seconds = int(found[1]), float(found[2]) * _MS[found[3]] / 1000
    return Load(requests, requests / seconds, quantiles["50"], quantiles["99"])


async def load(
    url: str,
    headers: Mapping[str, str],
    connections: int,
    seconds: int,
    script: Path | None = None,
) -> Load:
    """Keep every connection busy for some seconds; `script` is a Lua script of wrk's."""
    fields = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    output = await output_of(
        seconds + _GRACE_S,
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--latency", *fields),
        *(("--script", str(script)) if script else ()),
        url,
    )
    return parse(output)
