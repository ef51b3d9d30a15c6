"""A small HTTP/1.1 client that hides nothing: what a connection did is what its caller hears.

It keeps connections as Go's client does: the one used last is taken first, one that the server has
closed while it was idle is dropped, and a request without a body that meets the end of a reused
connection before any byte of an answer is sent again on another, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

REPLAYED: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MOST_IDLE: Final = 64
LONGEST_IDLE_S: Final = 90.0
"""As in Go's default transport."""
_LONGEST_HEAD: Final = 1 << 16
_PIECE: Final = 1 << 16


class RefusedError(Exception):
    """No connection could be made: nothing was sent."""


class BrokenError(Exception):
    """The connection ended before the answer did; `reused` when it had carried another before."""

    def __init__(self, text: str, *, reused: bool = False) -> None:
        super().__init__(text)
        self.reused = reused


class Ask(NamedTuple):
    """A request."""

    host: str
    path: str
    method: str = "GET"
    body: bytes = b""
    keep: bool = True
    """Whether the connection may carry another one afterwards."""

    def render(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}"]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        if not self.keep:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(slots=True)
class Reply:
    """The head of an answer, and the connection that its body is still to be read from."""

    status: int
    headers: Mapping[str, str]
    connection: Connection
    reused: bool
    retries: int

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises BrokenError when it does not come to its end."""
        reader = self.connection.reader
        try:
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    yield await reader.readexactly(size)
                    await reader.readexactly(2)
                await reader.readexactly(2)
            else:
                left = int(self.headers.get("content-length", "0"))
                while left:
                    piece = await reader.read(min(left, _PIECE))
                    if not piece:
                        raise BrokenError(f"{left} bytes of the body are missing")
                    left -= len(piece)
                    yield piece
        except (OSError, asyncio.IncompleteReadError) as error:
            raise BrokenError(f"in the body: {error!r}") from error

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])


class Connection:
    """A connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.idle_since = 0.0
        self._writer = writer

    @property
    def is_open(self) -> bool:
        ended = self.reader.at_eof() or self.reader.exception() is not None
        return not (ended or self._writer.is_closing())

    async def send(self, data: bytes) -> tuple[int, Mapping[str, str]]:
        """Send a request and read the head of its answer. Raises OSError or IncompleteReadError."""
        self._writer.write(data)
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].decode("latin-1").split("\r\n")
            status = int(line.split()[1])
            if status >= 200:
                pairs = (field.partition(":") for field in fields)
                return status, {name.lower(): value.strip() for name, _, value in pairs}

    def close(self) -> None:
        self._writer.close()


class Client:
    """Connections to one address."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._idle: list[Connection] = []

    async def ask(self, ask: Ask) -> Reply:
        """The head of an answer. Raises RefusedError or BrokenError."""
        data = ask.render()
        retries = 0
        while True:
            connection = self._take() if ask.keep else None
            reused = connection is not None
            if connection is None:
                connection = await self._connect()
            try:
                status, headers = await connection.send(data)
            except (OSError, asyncio.IncompleteReadError) as error:
                connection.close()
                heard = isinstance(error, asyncio.IncompleteReadError) and bool(error.partial)
                if not goes_again(ask.method, reused=reused, heard=heard):
                    raise BrokenError(f"before an answer: {error!r}", reused=reused) from error
                retries += 1
                continue
            except BaseException:
                connection.close()
                raise
            return Reply(status, headers, connection, reused, retries)

    def done(self, ask: Ask, reply: Reply) -> None:
        """The body has been read to its end."""
        connection = reply.connection
        last = not ask.keep or reply.headers.get("connection", "").lower() == "close"
        if last or len(self._idle) >= MOST_IDLE:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and now - connection.idle_since < LONGEST_IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        try:
            reader, writer = await asyncio.open_connection(
                self.host, self.port, limit=_LONGEST_HEAD
            )
        except OSError as error:
            raise RefusedError(str(error)) from error
        return Connection(reader, writer)


def goes_again(method: str, *, reused: bool, heard: bool) -> bool:
    """Whether Go's client sends a request again whose connection has ended: it was a used one, no
    byte of an answer had come, and the method may be carried out twice.
    """
    return reused and not heard and method in REPLAYED
