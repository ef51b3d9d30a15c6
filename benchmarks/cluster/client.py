"""A plain HTTP/1.1 client, so that what is measured is not measured with itself.

Requests have no body; answers have a Content-Length. A pool keeps idle connections for the next.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pilotlight.cli.load import Answer, Tally

ANSWER_S: Final = 60.0
_LONGEST_HEAD: Final = 65536


class NoAnswerError(Exception):
    """The connection ended, or what came is no HTTP/1.1 answer with a length."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80)


class Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: Address) -> Connection:
        return cls(*await asyncio.open_connection(address.host, address.port, limit=_LONGEST_HEAD))

    async def get(self, host: str, path: str = "/") -> Answer:
        started = time.monotonic()
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        try:
            status, headers = parse_head(await self._reader.readuntil(b"\r\n\r\n"))
            body = await self._reader.readexactly(int(headers["content-length"]))
        except (EOFError, KeyError, ValueError, asyncio.LimitOverrunError) as error:
            raise NoAnswerError(type(error).__name__) from error
        return Answer(status, headers, body.decode(), time.monotonic() - started)

    @property
    def is_open(self) -> bool:
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        self._writer.close()


class Pool:
    """Connections to one address: an idle one if there is one, else a new one."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Connection] = []

    async def get(self, host: str, path: str = "/", within_s: float = ANSWER_S) -> Answer:
        async with asyncio.timeout(within_s):
            connection = self._take() or await Connection.open(self._address)
            try:
                answer = await connection.get(host, path)
            except BaseException:
                connection.close()
                raise
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.close()
        return None


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """The status and the fields, their names in lower case; ValueError if it is no answer."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    version, status, *_ = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{version!r} is no version of HTTP/1")
    fields = (line.partition(":") for line in lines)
    return int(status), {name.lower(): value.strip() for name, _, value in fields}


async def ask(address: Address, host: str, path: str = "/", within_s: float = ANSWER_S) -> Answer:
    """One request on a connection of its own; the seconds are those from before it was opened."""
    started = time.monotonic()
    pool = Pool(address)
    try:
        answer = await pool.get(host, path, within_s)
    finally:
        pool.close()
    return Answer(answer.status, answer.headers, answer.text, time.monotonic() - started)


@dataclass(slots=True)
class Steady:
    """Requests at constant arrival times, whether or not those before have been answered.

    A latency counts from the moment when the request was due, so it includes `lag_s`, by which the
    loader itself was late (the worst is kept).
    """

    pool: Pool
    host: str
    rate: float
    tally: Tally
    lag_s: float = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then until every request has ended."""
        loop = asyncio.get_running_loop()
        first, number = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due = first + number / self.rate
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                group.create_task(self._one(due), name=f"request-{number}")
                number += 1

    async def _one(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self.lag_s = max(self.lag_s, loop.time() - due)
        try:
            answer = await self.pool.get(self.host)
        except (NoAnswerError, TimeoutError, OSError) as error:
            self.tally.failures[f"{type(error).__name__}: {error}"] += 1
        else:
            self.tally.note(answer.status, answer.text, loop.time() - due)
