"""Asks a server over HTTP/2 with prior knowledge: a gRPC health check, or a GET for its status.

One connection, one request, a bounded answer. Of HPACK only what that needs: requests are sent
without compression, of an answer's head the status is read, which stands first in it (RFC 9113,
8.3). Imported only by pods that have such a probe.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from pilotlight.http.errors import PeerError, UpstreamLostError
from pilotlight_queue_proxy.protobuf import text, varint

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _MORE = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 1, 1, 4, 8, 32
_STREAM = 1
_LARGEST_FRAME = 16384
_LARGEST_ANSWER = 65536
LARGEST_MESSAGE = 65530
"""With its five bytes of framing what a peer takes without a word (RFC 9113, 6.9.2)."""
_MOST_FRAMES = 256
_SERVING = 1
_CHECK = b"/grpc.health.v1.Health/Check"
# The static table's statuses, by index (RFC 7541, appendix A).
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}

Pairs = list[tuple[bytes, bytes]]
Peer = tuple[str, int, str]
"""A host and a port, and the path of a UNIX socket to use in place of them, or nothing."""


class Reply:
    """What has come of an answer."""

    __slots__ = ("body", "status")

    def __init__(self) -> None:
        self.status = 0
        self.body = b""


async def is_serving(peer: Peer, service: str, timeout_s: float) -> bool:
    """Whether a gRPC health check says SERVING. Raises OSError, TimeoutError or HttpError."""
    asked = text(1, service) if service else b""
    return _health_of(await call(peer, _CHECK, asked, timeout_s)) == _SERVING


async def call(peer: Peer, path: bytes, message: bytes, timeout_s: float) -> bytes:
    """A unary call: the answer's messages as gRPC frames them, nothing when it was refused. The
    message is at most LARGEST_MESSAGE bytes. Raises OSError, TimeoutError or HttpError.
    """
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"%b:%d" % (peer[0].encode(), peer[1])),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"kube-probe//"),
    ]
    framed = struct.pack(">BI", 0, len(message)) + message
    return (await _exchange(peer, headers, framed, timeout_s)).body


async def status_of_get(peer: Peer, path: bytes, headers: Pairs, timeout_s: float) -> int:
    """The status of a GET. Raises OSError, TimeoutError or HttpError."""
    sent = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", path)]
    for name, value in headers:
        low = name.lower()
        sent.append((b":authority" if low == b"host" else low, value))
    sent.sort(key=lambda pair: not pair[0].startswith(b":"))
    return (await _exchange(peer, sent, None, timeout_s)).status


async def _exchange(peer: Peer, headers: Pairs, body: bytes | None, timeout_s: float) -> Reply:
    transport: asyncio.BaseTransport | None = None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            client = _Client(body)
            host, port, socket = peer
            if socket:
                transport, _ = await loop.create_unix_connection(lambda: client, socket)
            else:
                transport, _ = await loop.create_connection(lambda: client, host, port)
            head = _frame(_HEADERS, _END_HEADERS | (body is None), _STREAM, encode_headers(headers))
            for at in range(0, len(body or b""), _LARGEST_FRAME):
                piece = (body or b"")[at : at + _LARGEST_FRAME]
                last = at + _LARGEST_FRAME >= len(body or b"")
                head += _frame(_DATA, _END_STREAM if last else 0, _STREAM, piece)
            transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + head)
            return await client.reply
    finally:
        if transport is not None:
            cast(asyncio.Transport, transport).abort()


class _Client(asyncio.Protocol):
    """Reads frames until the answer is known: with a body its end, else its head."""

    def __init__(self, body: bytes | None) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._wants_body = body is not None
        self._answer = Reply()
        self._buffer = b""
        self._frames = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reply.done():
            self.reply.set_exception(UpstreamLostError(f"connection closed: {exc or 'no answer'}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self.reply.done() and len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if size > _LARGEST_FRAME or self._frames >= _MOST_FRAMES:
                self._fail("not HTTP/2, or too long")
                return
            if len(self._buffer) < 9 + size:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            self._frames += 1
            try:
                self._take(kind, flags, stream, payload)
            except IndexError:
                self._fail("cut short")

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._frames == 1 and kind != _SETTINGS:
            self._fail("not HTTP/2")
        elif kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RESET and stream == _STREAM):
            self._fail("refused")
        elif stream == _STREAM and kind in (_HEADERS, _DATA):
            self._take_answer(kind, flags, _unpadded(payload, flags, kind))

    def _take_answer(self, kind: int, flags: int, payload: bytes) -> None:
        answer = self._answer
        if kind == _DATA:
            answer.body += payload
            if len(answer.body) > _LARGEST_ANSWER:
                self._fail("answer too large")
        elif not answer.status or answer.status < 200:
            answer.status = decode_status(payload)
        done = flags & _END_STREAM or (answer.status >= 200 and not self._wants_body)
        if done and not self.reply.done():
            self.reply.set_result(answer)

    def _fail(self, reason: str) -> None:
        if not self.reply.done():
            self.reply.set_exception(PeerError(502, f"HTTP/2: {reason}"))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _unpadded(payload: bytes, flags: int, kind: int) -> bytes:
    if flags & _PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if kind == _HEADERS and flags & _PRIORITY else payload


def encode_headers(headers: Pairs) -> bytes:
    """A block of literals that are not indexed (RFC 7541, 6.2.2)."""
    return b"".join(
        b"\x00" + _integer(len(name), 7) + name + _integer(len(value), 7) + value
        for name, value in headers
    )


def decode_status(block: bytes) -> int:
    """The status at the head of a block, 0 when it is not there. Raises IndexError."""
    at = 0
    while block[at] & 0xE0 == 0x20:  # a new size of the table
        at = _skip_integer(block, at, 5)
    first = block[at]
    if first & 0x80:
        return _STATUSES.get(first & 0x7F, 0)
    name = first & (0x3F if first & 0x40 else 0x0F)
    at += 1
    if name == 0:
        size = block[at] & 0x7F
        at += 1 + size
    elif name not in _STATUSES:
        return 0
    huffman, size = block[at] & 0x80, block[at] & 0x7F
    value = block[at + 1 : at + 1 + size]
    if huffman:
        return _huffman_digits(value)
    return int(value) if value.isdigit() else 0


def _huffman_digits(value: bytes) -> int:
    """Three digits: 0 to 2 have five bits, 3 to 9 six (RFC 7541, appendix B)."""
    bits = "".join(f"{byte:08b}" for byte in value)
    number = at = 0
    for _ in range(3):
        code = int(bits[at : at + 5] or "31", 2)
        if code <= 2:
            at += 5
        else:
            code = int(bits[at : at + 6] or "63", 2) - 0x16
            at += 6
        if not 0 <= code <= 9:
            return 0
        number = number * 10 + code
    return number


def _health_of(body: bytes) -> int:
    """The status in a HealthCheckResponse, as gRPC frames it; 0 for anything else."""
    if len(body) < 5 or body[0] != 0:
        return 0
    message = body[5 : 5 + int.from_bytes(body[1:5], "big")]
    return message[1] if len(message) == 2 and message[0] == 0x08 else 0


def _integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    return bytes((value,)) if value < most else bytes((most,)) + varint(value - most)


def _skip_integer(block: bytes, at: int, bits: int) -> int:
    most = (1 << bits) - 1
    if block[at] & most == most:
        at += 1
        while block[at] & 0x80:
            at += 1
    return at + 1
