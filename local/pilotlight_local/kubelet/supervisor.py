"""The parent of every process of every pod: a small program of its own, run by path, on the
standard library only.

Why a process of its own: forking from it costs a third of a millisecond whatever the size of the
API server beside it, and it outlives its owner by just as long as it takes to kill what is left.

Nothing may survive the owner, whoever is killed, and however:

- the owner's end closes the socket: every process is killed, then this one exits;
- this process is killed: each leader dies by PR_SET_PDEATHSIG, and what they had started falls to
  the owner, which is a subreaper too;
- a process leaves its session: being a subreaper, this process inherits it, and its environment
  still says which container it belongs to;
- it has wiped its environment too: its limit of real-time processor time, which nobody uses (it is
  of some 35 years), is another number in each container, and is handed down through everything.

Where there is no prctl (macOS) the leaders' process groups are what is known and killed.

Protocol on the socket given by number: frames of a 4-byte length and JSON. The owner sends
`spawn {id, mark, argv, env, cwd, keep}` with two descriptors (stdout, stderr) and
`signal {id, signal}`; `keep` are those of the other descriptors given by number that the program
inherits. It receives `spawned {id, pid}`, `failed {id, error}` and `exited {id, status}` (a wait
status).
"""

from __future__ import annotations

import array
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, Final, NoReturn

MARK: Final = "PILOTLIGHT_CONTAINER_ID"
LARGEST_FRAME: Final = 8 << 20
_LENGTH: Final = struct.Struct("!I")
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_DESCRIPTORS: Final = 2
_FIRST_MARK: Final = 1 << 50
_MARKS: Final = 1 << 40
_LINUX: Final = sys.platform.startswith("linux")
_LIBC: Final = ctypes.CDLL(None) if _LINUX else None


def become_subreaper() -> bool:
    """Make this process the parent of its descendants' orphans. False where that cannot be had."""
    return _LIBC is not None and _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def children_of(pid: int) -> list[int]:
    """The direct children of a process, zombies included. Nothing outside Linux."""
    if not _LINUX:
        return []
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return [child for child in _all_pids() if _parent_of(child) == pid]
    except OSError:
        return []
    return found


def container_of(pid: int) -> str | None:
    """The id of the container that a process belongs to, by its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return None
    prefix = f"{MARK}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return None


def nth_mark(number: int) -> int:
    """The limit (microseconds) that tells the container with this number. They fall, because a
    limit may only be lowered: in an instance within a container of another they still work.
    """
    return _FIRST_MARK - number % _MARKS


def mark_of(pid: int) -> int | None:
    """The mark that a process was given or has inherited, if any."""
    try:
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            line = next((line for line in file if line.startswith("Max realtime timeout")), "")
    except OSError:
        return None
    words = line.split()
    mark = int(words[4]) if len(words) > 4 and words[4].isdecimal() else 0
    return mark if _FIRST_MARK - _MARKS < mark <= _FIRST_MARK else None


def _take_mark(mark: int) -> None:
    if _LINUX:
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (mark, mark))
        except (OSError, ValueError):
            pass  # somebody has set a lower one: the environment has to do


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill_group(leader: int, number: int = signal.SIGKILL) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        kill(leader, number)  # its session is not made yet
    except PermissionError:
        pass


def encode(message: dict[str, Any]) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > LARGEST_FRAME:
        raise ValueError(f"a message of {len(body)} bytes is above {LARGEST_FRAME}")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into the messages in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        self._buffer += data
        messages: list[dict[str, Any]] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LARGEST_FRAME:
                raise ValueError(f"a frame of {length} bytes is above {LARGEST_FRAME}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(json.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages


class _Supervisor:
    def __init__(self, owner: socket.socket) -> None:
        self._owner = owner
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._pids: dict[str, int] = {}
        self._marks: dict[str, int] = {}
        self._ids: dict[int, str] = {}

    def run(self) -> None:
        wake, wake_end = os.pipe()
        for end in (wake, wake_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._owner.fileno(), wake], [], [])
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if self._owner.fileno() in ready and not self._receive():
                break
        self._end_all()

    def _receive(self) -> bool:
        room = socket.CMSG_LEN(64 * array.array("i").itemsize)
        data, ancillary, _, _ = self._owner.recvmsg(1 << 16, room)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._descriptors += fds
        if not data:
            return False
        for message in self._reader.feed(data):
            if message["op"] == "spawn":
                self._spawn(message)
            elif message["op"] == "signal":
                self._signal(message["id"], message["signal"])
        return True

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._owner.sendall(encode(message))
        except OSError:
            pass  # the owner is gone: the loop sees the end of the socket next

    def _spawn(self, message: dict[str, Any]) -> None:
        outputs, self._descriptors = (
            self._descriptors[:_DESCRIPTORS],
            self._descriptors[_DESCRIPTORS:],
        )
        failure, failure_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(message, outputs, failure_end)
        os.close(failure_end)
        for fd in set(outputs):
            os.close(fd)
        reason = os.read(failure, 4096)  # empty once the program has taken over
        os.close(failure)
        if reason:
            os.waitpid(pid, 0)
            self._send({"op": "failed", "id": message["id"], "error": reason.decode()})
            return
        self._pids[message["id"]] = pid
        self._marks[message["id"]] = message["mark"]
        self._ids[pid] = message["id"]
        self._send({"op": "spawned", "id": message["id"], "pid": pid})

    def _signal(self, ident: str, number: int) -> None:
        pid = self._pids.get(ident)
        if pid is not None:  # not reaped, so the number is still this process's
            kill_group(pid, number)

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if ended is None:
                break
            pid = ended.si_pid
            ident = self._ids.pop(pid, None)
            if ident is not None:
                del self._pids[ident], self._marks[ident]
                kill_group(pid)  # a container ends with its first process
            _, status = os.waitpid(pid, 0)
            if ident is not None:
                self._send({"op": "exited", "id": ident, "status": status})
        self._kill_strays()

    def _kill_strays(self) -> None:
        """Kill what left its container's session and has outlived the container."""
        for pid in children_of(os.getpid()):
            if pid not in self._ids and self._is_stray(pid):
                kill(pid)

    def _is_stray(self, pid: int) -> bool:
        ident = container_of(pid)
        if ident is not None:
            return ident not in self._pids
        mark = mark_of(pid)
        return mark is not None and mark not in self._marks.values()

    def _end_all(self) -> None:
        """Kill every descendant. They are killed again until none is left, because each death may
        hand down further orphans.
        """
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for leader in self._ids:
                kill_group(leader)
            for pid in children_of(os.getpid()):
                kill(pid)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self._ids.pop(pid, None)


def _become(message: dict[str, Any], outputs: list[int], failure: int) -> NoReturn:
    """In the child: turn into the program, or write why not and exit."""
    what = message["argv"][0]
    try:
        parent = os.getppid()
        os.setsid()
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)  # the parent died before the line above
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGCHLD,
            signal.SIGPIPE,
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
        ):
            signal.signal(number, signal.SIG_DFL)
        _take_mark(message["mark"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        for kept in message["keep"]:
            os.set_inheritable(kept, True)
        what = f"working directory {message['cwd']!r}"
        os.chdir(message["cwd"])
        what = f"command {message['argv'][0]!r}"
        os.execvpe(message["argv"][0], message["argv"], message["env"])
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        os.write(failure, f"{what}: {os.strerror(error.errno or 0)} ({name})".encode()[:4000])
    except BaseException as error:
        os.write(failure, f"{what}: {error}".encode()[:4000])
    os._exit(127)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def main() -> None:
    """Serve the owner whose socket is the first descriptor that the arguments name; the others
    are for programs.
    """
    descriptors = [int(argument) for argument in sys.argv[1:]]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    owner = socket.socket(fileno=descriptors[0])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    become_subreaper()
    _Supervisor(owner).run()


if __name__ == "__main__":
    main()
