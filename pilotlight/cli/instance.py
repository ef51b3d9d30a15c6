"""A local mode of one's own: started, asked and ended through the command, as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

_COMMAND: Final = (sys.executable, "-m", "pilotlight.cli", "local")
_UP_S: Final = 60.0
_DOWN_S: Final = 100.0
_RETRY_S: Final = 0.2
_LOG_TAIL: Final = 20


class InstanceError(Exception):
    """Local mode did not do as it was told; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Status:
    """What `pilotlight local status --json` says of a running instance."""

    pid: int
    gateway: str
    kubeconfig: str
    ready: bool


class LocalInstance:
    """One instance of local mode, with its state in `data_dir`, on free ports.

    Blocking, as its callers are a test suite and a thread of the demonstration.
    """

    def __init__(self, data_dir: Path, images: Sequence[Path] = ()) -> None:
        self.data_dir = data_dir
        self._images = tuple(images)
        self._starting: subprocess.Popen[bytes] | None = None

    def up(self, *options: str) -> Status:
        """Start it detached and wait until it is ready; or InstanceError with its words."""
        arguments = [*_COMMAND, "up", "--detach", "--data-dir", str(self.data_dir), "--port", "0"]
        for images in self._images:
            arguments += ["--images", str(images)]
        with TemporaryFile("w+") as output:  # no pipe: one would last as long as the daemon
            self._starting = subprocess.Popen(
                [*arguments, *options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,  # a Ctrl-C is ours to pass on, once
            )
            try:
                code = self._starting.wait(_UP_S)
            except subprocess.TimeoutExpired:
                self._end_start()
                raise InstanceError(f"local mode was not ready after {_UP_S:.0f} s") from None
            self._starting = None
            output.seek(0)
            said = _tail(output.read())
        if code != 0:
            raise InstanceError(f"local mode did not start (exit code {code}):\n{said}")
        return self.status()

    def status(self) -> Status:
        """Ask it; InstanceError if it does not run."""
        done = self._run("status", "--json")
        if done.returncode != 0:
            raise InstanceError(f"local mode does not answer: {_tail(done.stdout + done.stderr)}")
        said = json.loads(done.stdout)
        return Status(
            pid=int(said["pid"]),
            gateway=str(said["gateway"]),
            kubeconfig=str(said["kubeconfig"]),
            ready=bool(said["ready"]),
        )

    def down(self) -> None:
        """End it, also in the midst of its start; InstanceError if it stays."""
        self._end_start()
        deadline = time.monotonic() + _DOWN_S
        while (done := self._run("down")).returncode != 0:
            if time.monotonic() > deadline:  # until then, it may be about to start, or to end
                raise InstanceError(f"local mode did not end: {_tail(done.stdout + done.stderr)}")
            time.sleep(_RETRY_S)

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    def _end_start(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None or starting.poll() is not None:
            return
        os.killpg(starting.pid, signal.SIGTERM)
        try:
            starting.wait(_DOWN_S)
        except subprocess.TimeoutExpired:
            os.killpg(starting.pid, signal.SIGKILL)
            starting.wait(_DOWN_S)

    def _run(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_COMMAND, verb, "--data-dir", str(self.data_dir), *options],
            capture_output=True,
            text=True,
            timeout=_DOWN_S,
            env=environment(),
            check=False,
            start_new_session=True,
        )


def environment() -> dict[str, str]:
    """The environment for local mode: `python3` in an image table is this interpreter."""
    here = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)])}


def descendants(pid: int) -> dict[int, str]:
    """The process `pid` and all below it, with their command lines; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        if (line := command_line(current)) is not None:
            found[current] = line
        waiting += children.get(current, [])
    return found


def survivors(processes: dict[int, str], within_s: float) -> dict[int, str]:
    """Those of `processes` that still run as they did, after at most `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        left = {pid: line for pid, line in processes.items() if command_line(pid) == line}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def command_line(pid: int) -> str | None:
    """The command line of a process, or None when it is gone or a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return raw.replace(b"\0", b" ").decode(errors="replace").strip() or None


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_LOG_TAIL:])
