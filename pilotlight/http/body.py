"""Bodies: decoders that are fed as bytes arrive, and the chunked encoding. Pure.

A decoder's `feed` returns the payload found; when `done`, `rest` holds the bytes that follow the
body. Payload is never collected: what was fed is returned at once.
"""

from __future__ import annotations

import re

from pilotlight.http.errors import PeerError
from pilotlight.http.fields import Field, parse_fields
from pilotlight.http.head import CHUNKED, UNTIL_CLOSE, check_line_ends
from pilotlight.http.limits import Limits

_CHUNK_LINE_BYTES = 256
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]{0,230})?\r\n")
LAST_CHUNK = b"0\r\n\r\n"


class LengthBody:
    """A body of a known length in bytes (at least 1)."""

    __slots__ = ("done", "left", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = False
        self.rest = b""
        self.trailers: list[Field] = []

    def feed(self, data: bytes) -> bytes:
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        self.left = 0
        self.done = True
        if left < 0:
            self.rest = data[left:]
            return data[:left]
        return data


class CloseBody:
    """A body that lasts until its connection is closed."""

    __slots__ = ("done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: list[Field] = []

    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1). Chunk extensions are checked and left out.

    Raises PeerError(400) for a bad chunk size, a missing line end, or bad trailers, and
    PeerError(431) for too many trailers.
    """

    __slots__ = ("_in_trailers", "_left", "_limits", "_seen", "_tail", "done", "rest", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = 0  # bytes of the current chunk, its line end included
        self._tail = b""  # an incomplete line
        self._in_trailers = False
        self._seen = 0  # bytes of trailers that were looked at before
        self.done = False
        self.rest = b""
        self.trailers: list[Field] = []

    def feed(self, data: bytes) -> bytes:
        if self._tail:
            data = self._tail + data
            self._tail = b""
        if self._in_trailers:
            self._read_trailers(data, 0)
            return b""
        pieces: list[bytes] = []
        position = 0
        size = len(data)
        while position < size:
            if self._left:
                position = self._read_chunk(data, position, pieces)
                continue
            match = _CHUNK.match(data, position)
            if match is None:
                self._keep_line(data, position)
                break
            position = match.end()
            length = int(match[1], 16)
            if length == 0:
                self._in_trailers = True
                self._read_trailers(data, position)
                break
            self._left = length + 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_chunk(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take what is there of the current chunk and its line end; the new position."""
        payload = self._left - 2
        if payload > 0:
            piece = data[position : position + payload]
            pieces.append(piece)
            position += len(piece)
            self._left -= len(piece)
            if self._left > 2:
                return position
        end = data[position : position + self._left]
        if not b"\r\n"[2 - self._left :].startswith(end):
            raise PeerError(400, "chunk without line end")
        self._left -= len(end)
        return position + len(end)

    def _keep_line(self, data: bytes, position: int) -> None:
        line = data[position : position + _CHUNK_LINE_BYTES + 1]
        if b"\n" in line or len(line) > _CHUNK_LINE_BYTES:
            raise PeerError(400, "invalid chunk size")
        self._tail = line

    def _read_trailers(self, data: bytes, position: int) -> None:
        if data.startswith(b"\r\n", position):
            self.done = True
            self.rest = data[position + 2 :]
            return
        end = data.find(b"\r\n\r\n", position + max(self._seen - 3, 0))
        if end < 0:
            self._tail = tail = data[position:]
            if len(tail) > self._limits.head + 3:
                raise PeerError(431, "trailers too large")
            check_line_ends(tail, self._seen)
            self._seen = len(tail)
            return
        lines = data[position:end].split(b"\r\n")
        if len(lines) > self._limits.fields or end - position > self._limits.head:
            raise PeerError(431, "too many trailers")
        self.trailers = parse_fields(lines)
        self.done = True
        self.rest = data[end + 4 :]


Decoder = LengthBody | ChunkedBody | CloseBody


def decoder_for(length: int, limits: Limits) -> Decoder:
    """The decoder of a body of `length` (bytes, CHUNKED or UNTIL_CLOSE; never 0)."""
    if length == CHUNKED:
        return ChunkedBody(limits)
    if length == UNTIL_CLOSE:
        return CloseBody()
    return LengthBody(length)


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, for that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: list[bytes]) -> bytes:
    """The end of a chunked body; `trailers` are rendered lines."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n" + b"\r\n".join(trailers) + b"\r\n\r\n"
