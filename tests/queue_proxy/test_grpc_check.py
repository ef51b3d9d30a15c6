"""gRPC health checks and probes over HTTP/2, against a peer of hand-made frames."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from pilotlight.http import HttpError
from pilotlight_queue_proxy.grpc_check import decode_status, is_serving, status_of_get
from pilotlight_queue_proxy.probe import ProbeSpec
from pilotlight_queue_proxy.prober import Prober, attempt
from tests.http.peers import Peers

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
OK = b"\x88"
SERVING = b"\0\0\0\0\2\x08\x01"
NOT_SERVING = b"\0\0\0\0\2\x08\x02"


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


class Peer:
    """A server that reads the request, and answers with given bytes, each in a packet."""

    def __init__(self) -> None:
        self.port = 0
        self.answer: list[bytes] = []
        self.asked = b""
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked = await reader.read(65536)
            for data in self.answer:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    assert peer.server is not None
    peer.server.close()


async def test_serving(peer: Peer) -> None:
    peer.answer = [
        SETTINGS + frame(4, 1, b"", 0) + frame(8, 0, b"\0\0\1\0", 0) + frame(6, 0, b"12345678", 0),
        frame(1, 4, OK + b"\x00\x01a\x01b")[:5],
        frame(1, 4, OK + b"\x00\x01a\x01b")[5:] + frame(0, 0, SERVING[:3]),
        frame(0, 8, b"\2" + SERVING[3:] + b"\0\0") + frame(1, 5, b"\x00\x0bgrpc-status\x010"),
    ]
    assert await is_serving(("127.0.0.1", peer.port, ""), "my.Service", 5)
    assert peer.asked.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"/grpc.health.v1.Health/Check" in peer.asked
    assert peer.asked.endswith(b"\0\0\0\0\x0c\x0a\x0amy.Service")


@pytest.mark.parametrize(
    "answer",
    [
        SETTINGS + frame(1, 4, OK) + frame(0, 1, NOT_SERVING),
        SETTINGS + frame(1, 5, OK),
        SETTINGS + frame(1, 4, OK) + frame(0, 1, b"\1\0\0\0\2\x08\x01"),
        SETTINGS + frame(1, 4, OK) + frame(0, 1, b"\0\0"),
        SETTINGS + frame(3, 0, b"\0\0\0\0"),
        SETTINGS + frame(7, 0, b"\0" * 8, 0),
        SETTINGS + frame(1, 4, OK) + frame(0, 0, b"x" * 16384) * 5,
        SETTINGS + frame(6, 1, b"12345678", 0) * 300,
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        SETTINGS + frame(1, 4, b""),
        SETTINGS + frame(1, 12, b""),
    ],
    ids=[
        "not serving", "trailers only", "compressed", "short", "reset", "goaway", "too large",
        "too many frames", "HTTP/1", "no head", "bad padding",
    ],
)  # fmt: skip
async def test_not_serving(peer: Peer, answer: bytes) -> None:
    peer.answer = [answer]
    spec = ProbeSpec("grpc", peer.port)
    assert not await attempt(spec, 5)


async def test_a_peer_that_says_nothing_or_is_not_there(peer: Peer) -> None:
    assert not await attempt(ProbeSpec("grpc", peer.port), 0.1)
    assert peer.server is not None
    peer.server.close()
    await asyncio.sleep(0)
    assert not await attempt(ProbeSpec("grpc", peer.port), 5)


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"\x88", 200),
        (b"\x8b", 304),
        (b"\x8e", 500),
        (b"\x3f\xe1\x1f\x88", 200),
        (b"\x20\x88", 200),
        (b"\x48\x03301", 301),
        (b"\x08\x03599", 599),
        (b"\x18\x03103", 103),
        (b"\x00\x07:status\x03302", 302),
        (b"\x48\x82\x64\x02", 302),  # RFC 7541, C.6.1
        (b"\x48\x83\x64\x0e\xff", 307),  # C.6.2
        (b"\x48\x82\xff\xff", 0),
        (b"\x82", 0),
        (b"\x44\x01/", 0),
    ],
)
def test_statuses(block: bytes, status: int) -> None:
    assert decode_status(block) == status


@pytest.mark.parametrize(
    ("block", "passes"), [(b"\x88", True), (b"\x48\x03302", True), (b"\x8d", False)]
)
async def test_a_get_over_http2(peer: Peer, block: bytes, passes: bool) -> None:
    peer.answer = [SETTINGS + frame(1, 4, block)]
    spec = ProbeSpec("http", peer.port, path=b"/up", headers=((b"X-A", b"b"),))
    prober = Prober((spec,), http2=True)
    assert await prober.once() is passes
    assert b"/up" in peer.asked or not passes
    peer.answer = [b"HTTP/1.1 200 OK\r\n\r\n"]
    with pytest.raises(HttpError):
        await status_of_get(("127.0.0.1", peer.port, ""), b"/", [(b"Host", b"a")], 5)


async def test_who_does_not_speak_http2_is_asked_by_http1(peers: Peers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /up HTTP/1.1"):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    port = (await peers.upstream(script)).port
    assert await Prober((ProbeSpec("http", port, path=b"/up"),), http2=True).once()
