"""What the subjects stand on: cores, a network of their own, the upstream, and their processes."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.processes import Memory, cpu_ns, memory, pinned, tree
from benchmarks.proxy import stand_in
from benchmarks.results import CaseError

ROOT: Final = Path(__file__).parents[2]
UPSTREAM: Final = ROOT / "benchmarks" / "app" / "server"
LOCALHOST: Final = "127.0.0.1"
UPSTREAM_PORT: Final = 18000
HEADERS: Final[Mapping[str, str]] = {
    "Host": stand_in.HOST,
    # A gateway of Knative's tells the activator whose the request is.
    "Knative-Serving-Revision": stand_in.REVISION,
    "Knative-Serving-Namespace": stand_in.NAMESPACE,
}
_STANDING: Final = ("upstream", "stand-in")
_READY_S: Final = 20.0
FILES: Final = 20_000
_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET
_SET_FLAGS: Final = 0x8914  # SIOCSIFFLAGS
_UP: Final = 1


class Door(NamedTuple):
    """Where a subject takes requests."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(slots=True)
class Running:
    """A subject that has answered."""

    door: Door
    processes: list[subprocess.Popen[bytes]]
    started_ms: float = 0.0
    """From the start of the (first) process to the first answer of the upstream."""

    def pids(self) -> list[int]:
        return [pid for process in self.processes for pid in tree(process.pid)]

    def cpu_us(self) -> float:
        return sum(map(cpu_ns, self.pids())) / 1000

    def memory(self) -> Memory:
        return sum(map(memory, self.pids()), Memory())


@dataclass(slots=True)
class Bed:
    """`core` is the proxies'; this process, the load generators and the upstream share another."""

    folder: Path
    core: int
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def spawn(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A process of a subject, on the proxies' core. What it says goes to `name`.log."""
        with pinned(self.core):
            return self._spawn(name, command, env)

    def _spawn(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **(env or {})}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                list(map(str, command)),
                env=environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def python(self, module: str, *parts: str) -> tuple[list[str], dict[str, str]]:
        """How a component of ours is started: as its image does."""
        path = [ROOT, *(ROOT / part for part in parts), sysconfig.get_path("purelib")]
        return (
            [sys.executable, "-P", "-s", "-S", "-m", module],
            {"PYTHONPATH": os.pathsep.join(map(str, path))},
        )

    @contextmanager
    def standing(self) -> Iterator[None]:
        """With the upstream and the stand-in of a cluster."""
        try:
            self._spawn(_STANDING[0], [UPSTREAM], {"PORT": str(UPSTREAM_PORT)})
            command, env = self.python("benchmarks.proxy.stand_in")
            self._spawn(_STANDING[1], command, env)
            for port in (UPSTREAM_PORT, stand_in.API_PORT, stand_in.REPORT_PORT):
                _wait_for(port)
            yield
        finally:
            self._stop(self._started)

    @asynccontextmanager
    async def running(
        self, start: Callable[[Bed, int], Running], concurrency: int
    ) -> AsyncIterator[Running]:
        """A subject, from its start to its end; CaseError when it does not come to answer."""
        before = len(self._started)
        for log in self._logs():
            log.unlink()
        started = time.monotonic()
        try:
            running = start(self, concurrency)
            while not _answers(running.door):
                if any(process.poll() is not None for process in running.processes):
                    raise CaseError(f"it has ended: {self._last_words()}")
                if time.monotonic() - started > _READY_S:
                    raise CaseError(f"it does not answer: {self._last_words()}")
                await asyncio.sleep(0.001)
            running.started_ms = (time.monotonic() - started) * 1000
            yield running
        finally:
            self._stop(self._started[before:])
            del self._started[before:]

    def _stop(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """At once: nobody's requests are lost by it."""
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in processes:
            process.wait()

    def _logs(self) -> list[Path]:
        """Of the subject alone."""
        return [one for one in self.folder.glob("*.log") if one.stem not in _STANDING]

    def _last_words(self) -> str:
        words = (log.read_text(errors="replace").splitlines()[-2:] for log in self._logs())
        return " ".join(word for lines in words for word in lines)[-400:]


def choose_cores() -> tuple[int, int]:
    """For the load and for the proxies; the same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def allow_many_files() -> bool:
    """Whether there may be as many as the largest case wants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, FILES), max(hard, FILES)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= FILES


def own_network() -> bool:
    """Leave for a network with nothing but a loopback, where every port is free. Whether it is
    allowed."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_NEW_NETWORK) != 0:
        return False
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))
    return True


def request_bytes(path: str = "/") -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    return f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()


def _answers(door: Door) -> bool:
    """Whether a request comes through to the upstream."""
    try:
        with socket.create_connection(door, timeout=5.0) as connection:
            connection.sendall(request_bytes())
            data = b""
            while b"Hello, World!" not in data and (more := connection.recv(4096)):
                data += more
                if not data.startswith(b"HTTP/1.1 200"):
                    return False
            return b"Hello, World!" in data
    except OSError:
        return False


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection((LOCALHOST, port), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise CaseError(f"nobody listens on port {port}") from None
            time.sleep(0.01)
