"""Logs of containers: files with one line a record, cut in size, that can be read and followed.

A record is `<time> <stdout|stderr> <F|P> <text>`, the format of the container runtimes: F ends a
line, P is a part of a line that was too long or not ended. A file above its limit becomes
`<n>.log.1`, so that a container holds at most twice the limit, and its previous run as much.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 5 << 20
_LONGEST_LINE: Final = 16 << 10
_READ_BYTES: Final = 64 << 10
_OLD: Final = ".1"
_KEPT_RUNS: Final = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One line (or part of one) of a container's output."""

    stamp: bytes
    stream: bytes
    complete: bool
    text: bytes


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which of a container's lines are wanted; `since_ns` is a Unix time, `tail` counts lines."""

    follow: bool = False
    tail: int | None = None
    since_ns: int | None = None
    timestamps: bool = False
    previous: bool = False


def stamp(time_ns: int) -> bytes:
    """A Unix time in nanoseconds as RFC 3339 with all nine digits."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z".encode()


def parse_record(line: bytes) -> Record | None:
    """Read one line of a log file; None for what is not one (a cut file)."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) != 4:
        return None
    return Record(parts[0], parts[1], parts[2] == b"F", parts[3])


def render(record: Record, timestamps: bool) -> bytes:
    text = record.text + (b"\n" if record.complete else b"")
    return record.stamp + b" " + text if timestamps else text


class LineCutter:
    """Turns the chunks of one stream into records: whole lines, and parts of too long ones."""

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._rest = b""

    def feed(self, chunk: bytes, at: bytes) -> bytes:
        lines = (self._rest + chunk).split(b"\n")
        rest = lines.pop()
        head = at + b" " + self._stream
        out = [self._record(head, line) for line in lines]
        while len(rest) >= _LONGEST_LINE:
            out.append(head + b" P " + rest[:_LONGEST_LINE] + b"\n")
            rest = rest[_LONGEST_LINE:]
        self._rest = rest
        return b"".join(out)

    def end(self, at: bytes) -> bytes:
        rest, self._rest = self._rest, b""
        return at + b" " + self._stream + b" P " + rest + b"\n" if rest else b""

    def _record(self, head: bytes, line: bytes) -> bytes:
        parts = []
        while len(line) > _LONGEST_LINE:
            parts.append(head + b" P " + line[:_LONGEST_LINE] + b"\n")
            line = line[_LONGEST_LINE:]
        return b"".join(parts) + head + b" F " + line + b"\n"


class LogFile:
    """The log of one run of a container, being written."""

    def __init__(self, path: Path, limit: int = LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rotations = 0
        self.closed = False
        self._limit = limit
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._waiters: list[asyncio.Future[None]] = []

    def write(self, records: bytes) -> None:
        if not records or self.closed:
            return
        if self._size and self._size + len(records) > self._limit:
            self._rotate()
        self._file.write(records)
        self._size += len(records)
        self._wake()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()
            self._wake()

    async def changed(self) -> None:
        """Wait for the next write, or the end."""
        if not self.closed:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(old_path(self.path))
        self._file = self.path.open("wb", buffering=0)
        self._size = 0
        self.rotations += 1


class OutputPump:
    """Reads what a process writes into two pipes, and puts it into its log."""

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._cutters: dict[int, LineCutter] = {}
        self._loop = asyncio.get_running_loop()
        self._drained: asyncio.Future[None] = self._loop.create_future()

    def open(self) -> tuple[int, int]:
        """The write ends for stdout and stderr; close them once the process has them."""
        ends = []
        for stream in (b"stdout", b"stderr"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self._cutters[read] = LineCutter(stream)
            self._loop.add_reader(read, self._read, read)
            ends.append(write)
        return ends[0], ends[1]

    async def drain(self, timeout: float) -> None:
        """Wait until all writers are gone, at most `timeout` seconds, and close the log."""
        try:
            await asyncio.wait_for(asyncio.shield(self._drained), timeout)
        except TimeoutError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        for fd in list(self._cutters):
            self._end(fd)
        self._log.close()

    def _read(self, fd: int) -> None:
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            self._log.write(self._cutters[fd].feed(chunk, stamp(time.time_ns())))
        else:
            self._end(fd)

    def _end(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        os.close(fd)
        self._log.write(self._cutters.pop(fd).end(stamp(time.time_ns())))
        if not self._cutters and not self._drained.done():
            self._drained.set_result(None)


def old_path(path: Path) -> Path:
    return path.with_name(path.name + _OLD)


def read_records(path: Path) -> Iterator[Record]:
    """The records of one run, oldest first."""
    for part in (old_path(path), path):
        try:
            with part.open("rb") as file:
                for line in file:
                    record = parse_record(line)
                    if record is not None:
                        yield record
        except FileNotFoundError:
            continue


def last_text(path: Path, most_bytes: int, most_lines: int) -> str:
    """The end of a log: what a container said before it ended."""
    tail: deque[bytes] = deque(maxlen=most_lines)
    for record in read_records(path):
        tail.append(render(record, timestamps=False))
    return b"".join(tail)[-most_bytes:].decode(errors="replace")


class LogStore:
    """The logs of all containers on this node, under one directory."""

    def __init__(self, directory: Path, limit: int = LIMIT_BYTES) -> None:
        self._directory = directory
        self._limit = limit
        self._open: dict[Path, LogFile] = {}

    def create(self, pod_uid: str, container: str, run: int) -> LogFile:
        """A log for the n-th run of a container; only the run before it is kept."""
        directory = self._directory / pod_uid / container
        for old in _runs(directory)[: -(_KEPT_RUNS - 1)]:
            for path in (self._path(directory, old), old_path(self._path(directory, old))):
                path.unlink(missing_ok=True)
        log = LogFile(self._path(directory, run), self._limit)
        self._open = {path: known for path, known in self._open.items() if not known.closed}
        self._open[log.path] = log
        return log

    def remove(self, pod_uid: str) -> None:
        shutil.rmtree(self._directory / pod_uid, ignore_errors=True)

    def clear(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def has(self, pod_uid: str, container: str, previous: bool) -> bool:
        return self._find(pod_uid, container, previous) is not None

    def latest(self, pod_uid: str, container: str) -> Path | None:
        return self._find(pod_uid, container, previous=False)

    async def read(self, pod_uid: str, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Pieces of a container's log, its latest run's or the one before; with `follow` until
        that run ends. Nothing when the container has not run.
        """
        path = self._find(pod_uid, container, options.previous)
        if path is None:
            return
        async for piece in _read_run(path, self._open.get(path), options):
            yield piece

    def _find(self, pod_uid: str, container: str, previous: bool) -> Path | None:
        directory = self._directory / pod_uid / container
        runs = _runs(directory)
        wanted = -2 if previous else -1
        return self._path(directory, runs[wanted]) if len(runs) >= -wanted else None

    @staticmethod
    def _path(directory: Path, run: int) -> Path:
        return directory / f"{run}.log"


async def _read_run(path: Path, log: LogFile | None, options: LogOptions) -> AsyncIterator[bytes]:
    """What is there first, then what comes. Reading and waiting happen in one thread, so that
    nothing is written between the end of the one and the beginning of the other.
    """
    follower = _Follower(path, log) if log is not None and options.follow else None
    since = stamp(options.since_ns or 0)  # all stamps are of one length, so that they compare
    wanted: Iterator[Record] = (record for record in read_records(path) if record.stamp >= since)
    if options.tail is not None:
        wanted = iter(deque(wanted, maxlen=max(options.tail, 0)))
    piece = bytearray()
    held = list(wanted)  # read at once: a rotation must not happen in the middle
    if follower is not None:
        follower.skip_to_end()
    try:
        for record in held:
            piece += render(record, options.timestamps)
            if len(piece) >= _READ_BYTES:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)
        if follower is not None:
            async for more in follower.pieces(options.timestamps):
                yield more
    finally:
        if follower is not None:
            follower.close()


class _Follower:
    """Reads on in a log that is being written, across its rotations."""

    def __init__(self, path: Path, log: LogFile) -> None:
        self._path = path
        self._log = log
        self._file = path.open("rb")
        self._rotations = log.rotations
        self._rest = b""

    def skip_to_end(self) -> None:
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._file.close()

    async def pieces(self, timestamps: bool) -> AsyncIterator[bytes]:
        while True:
            ended = self._log.closed
            piece = self._take(timestamps)
            if piece:
                yield piece
            elif self._rotations != self._log.rotations:
                self._file.close()
                self._rotations = self._log.rotations
                self._file = self._path.open("rb")
            elif ended:
                return
            else:
                await self._log.changed()

    def _take(self, timestamps: bool) -> bytes:
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        records = (parse_record(line) for line in lines)
        return b"".join(render(record, timestamps) for record in records if record is not None)


def _runs(directory: Path) -> list[int]:
    """The numbers of the runs that have a log, in order."""
    try:
        found = [path.name.partition(".")[0] for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted({int(name) for name in found if name.isdecimal()})
