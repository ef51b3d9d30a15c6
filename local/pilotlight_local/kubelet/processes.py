"""The owner's side of the supervisor: start processes, signal them, hear how they ended."""

from __future__ import annotations

import array
import asyncio
import itertools
import logging
import os
import signal
import socket
import sys
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight_local.kubelet import supervisor

_log: Final = logging.getLogger("processes")
_KILLED: Final = int(signal.SIGKILL)  # the wait status of a process killed by SIGKILL
_STRAY_SWEEPS: Final = 40
_STRAY_PAUSE_S: Final = 0.05
_RESTART_PAUSE_S: Final = 0.1


class SpawnError(Exception):
    """A program could not be started; the text names what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments (the first is looked up in the environment's PATH), its whole
    environment, its working directory, and the descriptors of this process that it inherits.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    inherits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its code as a shell reports it (128 + signal when killed by one)."""

    code: int
    signal: int

    @classmethod
    def of_status(cls, status: int) -> Exit:
        code = os.waitstatus_to_exitcode(status)
        return cls(code, 0) if code >= 0 else cls(128 - code, -code)


class Process:
    """A running process, leader of its own session."""

    def __init__(self, ident: str, pid: int, owner: Supervisor) -> None:
        self.ident = ident
        self.pid = pid
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._owner = owner

    def signal(self, number: int) -> None:
        """Send a signal to the process and all of its session; nothing when it has ended."""
        if not self.ended.done():
            self._owner.send({"op": "signal", "id": self.ident, "signal": int(number)})


class Supervisor:
    """Keeps the supervising process up, and speaks with it.

    When that process dies, so do all processes that it started: each is reported as killed, and a
    new supervisor takes its place.

    `inheritable`: descriptors of this process that programs may inherit; they have to stay open.
    """

    def __init__(self, inheritable: tuple[int, ...] = ()) -> None:
        self._inheritable = inheritable
        self._socket: socket.socket | None = None
        self._pid = 0
        self._reader = supervisor.FrameReader()
        self._waiting: dict[str, asyncio.Future[Process]] = {}
        self._running: dict[str, Process] = {}
        self._marks: dict[str, int] = {}
        self._numbers = itertools.count()
        self._outbox: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._closing = False
        self._repair: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The supervising process."""
        return self._pid

    async def start(self) -> None:
        supervisor.become_subreaper()
        self._launch()

    async def stop(self) -> None:
        """Kill every process that is left, and the supervisor."""
        self._closing = True
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.gather(self._repair, return_exceptions=True)
        self._disconnect()
        await asyncio.to_thread(_reap, self._pid)
        self._all_killed()

    async def spawn(self, command: Command, stdout: int, stderr: int) -> Process:
        """Start a program whose output goes to two descriptors, which are this call's to close.

        Raises SpawnError when the program or its directory cannot be used.
        """
        ident, mark = uuid.uuid4().hex, supervisor.nth_mark(next(self._numbers))
        environment = {**command.environment, supervisor.MARK: ident}
        frame = supervisor.encode(
            {
                "op": "spawn",
                "id": ident,
                "mark": mark,
                "argv": command.argv,
                "env": environment,
                "cwd": command.directory,
                "keep": command.inherits,
            }
        )
        if self._socket is None:
            raise SpawnError("the supervisor of processes is being restarted")
        answer: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = answer
        self._marks[ident] = mark
        # The descriptors are duplicated: they may wait in the outbox longer than the caller does.
        self._push(frame, (os.dup(stdout), os.dup(stderr)))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            self.send({"op": "signal", "id": ident, "signal": int(signal.SIGKILL)})
            raise

    def send(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            self._push(supervisor.encode(message), ())

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        path = str(Path(supervisor.__file__).resolve())
        descriptors = (theirs.fileno(), *self._inheritable)
        argv = [sys.executable, "-I", "-S", path, *map(str, descriptors)]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        try:
            self._pid = os.posix_spawn(sys.executable, argv, dict(os.environ), setsid=True)
        except NotImplementedError:
            self._pid = os.posix_spawn(sys.executable, argv, dict(os.environ), setpgroup=0)
        finally:
            theirs.close()
        self._socket = ours
        self._reader = supervisor.FrameReader()
        asyncio.get_running_loop().add_reader(ours, self._receive)

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        while self._outbox:
            _close(self._outbox.popleft()[1])

    def _push(self, frame: bytes, descriptors: tuple[int, ...]) -> None:
        self._outbox.append((frame, descriptors))
        self._flush()

    def _flush(self) -> None:
        """Write what the socket takes now, the rest when it takes more."""
        loop = asyncio.get_running_loop()
        while self._outbox and self._socket is not None:
            frame, descriptors = self._outbox[0]
            rights = [
                (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)),
            ]
            try:
                sent = self._socket.sendmsg([frame], rights if descriptors else [])
            except BlockingIOError:
                loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                return  # it is gone: `_receive` sees that
            _close(descriptors)
            if sent < len(frame):
                self._outbox[0] = (frame[sent:], ())
            else:
                self._outbox.popleft()
        if self._socket is not None:
            loop.remove_writer(self._socket)

    def _receive(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        for message in self._reader.feed(data):
            self._on_message(message)

    def _on_message(self, message: dict[str, Any]) -> None:
        ident = message["id"]
        if message["op"] == "exited":
            process = self._running.pop(ident, None)
            self._marks.pop(ident, None)
            if process is not None and not process.ended.done():
                process.ended.set_result(Exit.of_status(message["status"]))
            return
        waiter = self._waiting.pop(ident)
        if message["op"] == "spawned":
            process = self._running[ident] = Process(ident, message["pid"], self)
            if not waiter.done():
                waiter.set_result(process)
            return
        self._marks.pop(ident, None)
        if not waiter.done():
            waiter.set_exception(SpawnError(message["error"]))
            waiter.exception()  # seen: the caller may have been cancelled

    def _lost(self) -> None:
        """The supervisor died, and its children with it."""
        self._disconnect()
        if self._closing or self._repair is not None:
            return
        _log.warning("the supervisor of processes died: restarting it", extra={"pid": self._pid})
        self._repair = asyncio.get_running_loop().create_task(
            self._restart(), name="supervisor-restart"
        )

    async def _restart(self) -> None:
        await asyncio.to_thread(_reap, self._pid)
        await self._kill_strays()
        self._all_killed()
        while self._socket is None:
            try:
                self._launch()
            except OSError as error:
                _log.warning("the supervisor does not start", extra={"error": str(error)})
                await asyncio.sleep(_RESTART_PAUSE_S)
        self._repair = None

    async def _kill_strays(self) -> None:
        """What the dead processes had started is this process's child now."""
        leaders = {process.pid for process in self._running.values()}
        marks = set(self._marks.values())
        for _ in range(_STRAY_SWEEPS):
            strays = [
                pid
                for pid in supervisor.children_of(os.getpid())
                if pid in leaders
                or supervisor.container_of(pid) in self._running
                or supervisor.mark_of(pid) in marks
            ]
            if not strays:
                return
            for pid in strays:
                supervisor.kill(pid)
                await asyncio.to_thread(_reap, pid)
            await asyncio.sleep(_STRAY_PAUSE_S)

    def _all_killed(self) -> None:
        running, self._running = self._running, {}
        self._marks.clear()
        for process in running.values():
            if not process.ended.done():
                process.ended.set_result(Exit.of_status(_KILLED))
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(SpawnError("the supervisor of processes died"))
                waiter.exception()


def _close(descriptors: tuple[int, ...]) -> None:
    for fd in descriptors:
        os.close(fd)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
