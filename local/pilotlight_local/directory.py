"""An instance's directory: what is where, who holds it, and what is known of who does."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight import names
from pilotlight_local.hosts import write_file
from pilotlight_local.kubelet.supervisor import MARK, kill

_POLL_S: Final = 0.02


class DirectoryError(Exception):
    """The directory cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """What an instance tells of itself to the other verbs. `gateway` and `api` are URLs."""

    pid: int
    gateway: str
    api: str
    kubeconfig: str
    data_dir: str
    started_at: float
    version: str
    network: str
    ready: bool = False


def default_directory() -> Path:
    """The directory of the instance that has no other: under $XDG_STATE_HOME."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "pilotlight" / "default"


class DataDirectory:
    """The files of one instance. At most one process holds it."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self._lock: int | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def accounts(self) -> Path:
        return self.root / "accounts"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    @property
    def images(self) -> Path:
        return self.root / "images.yaml"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def own_log(self) -> Path:
        return self.logs / "local.log"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def certificates(self) -> Path:
        return self.root / "pki"

    @property
    def _lock_path(self) -> Path:
        return self.root / "lock"

    @property
    def _instance_path(self) -> Path:
        return self.root / "instance.json"

    def hold(self) -> None:
        """Become the holder, taking over from one that was killed. The lock is the system's, so
        that it ends with its holder. Raises DirectoryError when another instance is running.
        """
        self.prepare()
        try:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryError(f"{self.root} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise DirectoryError(self.already()) from None
        self._lock = lock
        self._instance_path.unlink(missing_ok=True)
        for pid in orphans(self.hosts):
            kill(pid, signal.SIGKILL)

    def prepare(self) -> None:
        """Make it, for this user's eyes only: there are keys and Secrets in it. Raises
        DirectoryError when it cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._is_own():
                self.root.chmod(0o700)
            for directory in (self.logs, self.pods, self.accounts):
                directory.mkdir(exist_ok=True)
                directory.chmod(0o700)
            # SQLite gives its other files the mode of this one.
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            for path in self.root.glob(f"{self.database.name}*"):
                path.chmod(0o600)
        except OSError as error:
            raise DirectoryError(f"{self.root} cannot be used: {error.strerror}") from error

    def _is_own(self) -> bool:
        """Whether nothing but an instance's files is in it: others' files keep their readers."""
        ours = {
            *(self.logs.name, self.pods.name, self.certificates.name, self.database.name),
            self.accounts.name,
            *(self.images.name, self.hosts.name, self.kubeconfig.name, self._lock_path.name),
            *(self._instance_path.name, "token"),
        }
        found = {
            path.name.removesuffix("-wal").removesuffix("-shm") for path in self.root.iterdir()
        }
        return found <= ours

    def release(self) -> None:
        if self._lock is not None:
            self._instance_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def publish(self, running: Running) -> None:
        """Let the other verbs know."""
        write_file(self._instance_path, json.dumps(asdict(running), indent=2) + "\n", 0o600)

    def running(self) -> Running | None:
        """What the holder has published; None when nobody holds the directory, or not yet."""
        if not self.is_held():
            return None
        try:
            content: dict[str, Any] = json.loads(self._instance_path.read_text(encoding="utf-8"))
            return Running(**content)
        except (OSError, ValueError, TypeError):
            return None

    def is_held(self) -> bool:
        """Whether an instance runs here, whatever it has published."""
        try:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def wait_released(self, within_s: float, still: Callable[[], None] = lambda: None) -> bool:
        """Wait until nobody holds the directory, calling `still` meanwhile."""
        deadline = time.monotonic() + within_s
        while self.is_held():
            if time.monotonic() > deadline:
                return False
            still()
            time.sleep(_POLL_S)
        return True

    def already(self) -> str:
        """What to tell somebody who wants to start an instance where one runs."""
        running = self.running()
        who = f" as process {running.pid}, at {running.gateway}" if running else ""
        return f"an instance is already running in {self.root}{who}"


def orphans(hosts: Path) -> list[int]:
    """The processes that a killed instance has left, told by what their environment says. None
    where that cannot be read (outside Linux).
    """
    if not sys.platform.startswith("linux"):
        return []
    wanted = f"{names.ENV_HOSTS}={hosts}".encode()
    mark = f"{MARK}=".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        if wanted in environment and any(entry.startswith(mark) for entry in environment):
            found.append(int(name))
    return found
