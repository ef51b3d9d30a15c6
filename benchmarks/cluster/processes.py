"""Memory and CPU time of the processes in pods on this machine, as /proc has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotlight.cli.instance import command_line
from pilotlight.kube.client import Object

PROC: Final = Path("/proc")
_SANDBOX: Final = "/pause"


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


def belongs(cgroups: str, environment: bytes, pod: Object) -> bool:
    """Whether a process is in a pod: its cgroup has the pod's uid, with underscores where systemd
    makes it; or, as in local mode, the process was told the pod's name.
    """
    uid = str(pod["metadata"]["uid"])
    if f"pod{uid}" in cgroups or f"pod{uid.replace('-', '_')}" in cgroups:
        return True
    named = f"={pod['metadata']['name']}".encode()
    return any(variable.endswith(named) for variable in environment.split(b"\0"))


def processes_of(pod: Object) -> dict[int, str]:
    """The pod's processes on this machine with their command lines, without its sandbox."""
    found: dict[int, str] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            cgroups = (entry / "cgroup").read_text()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        line = command_line(int(entry.name))
        if line is not None and line != _SANDBOX and belongs(cgroups, environment, pod):
            found[int(entry.name)] = line
    return found


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
