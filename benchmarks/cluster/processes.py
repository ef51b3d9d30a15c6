"""The processes in pods on this machine, as /proc has them."""

from __future__ import annotations

from typing import Final

from benchmarks.processes import PROC
from pilotlight.cli.instance import command_line
from pilotlight.kube.client import Object

_SANDBOX: Final = "/pause"


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
