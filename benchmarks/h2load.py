"""h2load, which sends requests at constant times."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.loader import output_of
from benchmarks.results import CaseError

_GRACE_S: Final = 30.0
_DONE: Final = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored")


def available() -> bool:
    return shutil.which("h2load") is not None


def parse_log(lines: str) -> list[float]:
    """Milliseconds of each request, out of what --log-file has; CaseError for one that failed."""
    times = []
    for line in lines.splitlines():
        _, status, us = line.split("\t")[:3]
        if status != "200":
            raise CaseError(f"h2load: answered {status}")
        times.append(int(us) / 1000)
    if not times:
        raise CaseError("h2load: there was no answer")
    return times


async def steady(
    at: tuple[str, int],
    headers: Mapping[str, str],
    connections: int,
    rate: float,
    seconds: int,
    log: Path,
) -> list[float]:
    """HTTP/1.1 requests at `rate` a second; how long each took, in milliseconds."""
    host, port = at
    fields = (f"{name}: {value}" for name, value in headers.items() if name != "Host")
    options = [part for field in fields for part in ("--header", field)]
    each = max(1, int(rate / connections))
    await asyncio.to_thread(log.unlink, missing_ok=True)  # it would be appended to
    output = await output_of(
        seconds + _GRACE_S,
        *("h2load", "--h1", "--threads", "1", "--clients", str(connections)),
        *("--rps", str(each), "--requests", str(each * connections * seconds)),
        *("--connect-to", f"{host}:{port}", "--log-file", str(log), *options),
        f"http://{headers['Host']}:{port}/",
    )
    done = _DONE.search(output)
    if done is None or int(done[2]) or int(done[3]):
        raise CaseError(f"h2load: {done[0] if done else output[-200:]}")
    return parse_log(await asyncio.to_thread(log.read_text))
