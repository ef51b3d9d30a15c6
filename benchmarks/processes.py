"""Memory and CPU time of processes on this machine, as /proc has them, and their cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, or of several together, in MB (10^6 bytes)."""

    rss_mb: float = 0.0
    pss_mb: float = 0.0
    private_mb: float = 0.0

    def __add__(self, other: Memory) -> Memory:
        return Memory(
            self.rss_mb + other.rss_mb,
            self.pss_mb + other.pss_mb,
            self.private_mb + other.private_mb,
        )


def parse_memory(rollup: str) -> Memory:
    """Memory out of /proc/PID/smaps_rollup; private is what would be free without the process."""
    mb = {}
    for line in rollup.splitlines()[1:]:
        name, _, kib = line.partition(":")
        mb[name] = int(kib.split()[0]) * 1024 / 1e6
    return Memory(mb["Rss"], mb["Pss"], mb["Private_Clean"] + mb["Private_Dirty"])


def parse_cpu_ns(schedstat: str) -> int:
    """Nanoseconds on a CPU out of /proc/PID/task/TID/schedstat."""
    return int(schedstat.split()[0])


def memory(pid: int) -> Memory:
    return parse_memory((PROC / str(pid) / "smaps_rollup").read_text())


def cpu_ns(pid: int) -> int:
    """CPU time of the threads that live, in nanoseconds; OSError when the process has ended."""
    tasks = PROC / str(pid) / "task"
    if not tasks.exists():
        raise ProcessLookupError(f"process {pid} has ended while it was measured")
    total = 0
    for thread in tasks.iterdir():
        try:
            total += parse_cpu_ns((thread / "schedstat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total


def cpu_of(groups: Mapping[str, list[int]]) -> dict[str, int]:
    """CPU time by group of processes, in nanoseconds."""
    return {name: sum(map(cpu_ns, pids)) for name, pids in groups.items()}


def tree(pid: int) -> list[int]:
    """A process and all that come of it."""
    found = [pid]
    for parent in found:
        for thread in (PROC / str(parent) / "task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started meanwhile, by this thread, runs on one core for as long as it lives."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
