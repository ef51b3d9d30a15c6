"""Peers of HTTP/2 that do as they are told, well or badly, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame

Pairs = list[tuple[bytes, bytes]]
E = events.Event


def asking(method: bytes = b"GET", path: bytes = b"/", *more: tuple[bytes, bytes]) -> Pairs:
    start = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)]
    return [*start, *more]


class Peer(asyncio.Protocol):
    """One end of a connection: collects what happens, and sends what it is told."""

    def __init__(self, client: bool, script: Callable[[Peer, E], None] | None = None) -> None:
        config = H2Configuration(
            client_side=client,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.events: list[Any] = []
        self.script = script
        self.closed = False
        self.reading = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if self.script is not None:
                self.script(self, event)
            if isinstance(event, events.DataReceived) and self.reading:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def send(self, *frames: Frame) -> None:
        """Frames that h2 would not send."""
        self.transport.write(b"".join(frame.serialize() for frame in frames))

    def ask(self, pairs: Pairs, *, end: bool = True) -> int:
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, pairs, end_stream=end)
        self.flush()
        return number

    def of(self, number: int, kind: type[Any]) -> list[Any]:
        return [e for e in self.events if type(e) is kind and e.stream_id == number]

    def status(self, number: int) -> int:
        (event,) = self.of(number, events.ResponseReceived)
        return int(dict(event.headers)[b":status"])

    def fields(self, number: int) -> dict[bytes, bytes]:
        (event,) = self.of(number, events.ResponseReceived)
        return dict(event.headers)

    def body(self, number: int) -> bytes:
        return b"".join(e.data for e in self.of(number, events.DataReceived))

    def is_over(self, number: int) -> bool:
        return bool(self.of(number, events.StreamEnded) or self.of(number, events.StreamReset))

    def has_seen(self, kind: type[Any]) -> bool:
        return any(type(event) is kind for event in self.events)


async def connect(port: int) -> Peer:
    _, peer = await asyncio.get_running_loop().create_connection(
        lambda: Peer(True), "127.0.0.1", port
    )
    return peer


async def listen(
    script: Callable[[Peer, E], None], settings: dict[SettingCodes, int] | None = None
) -> tuple[asyncio.Server, list[Peer]]:
    """A server of HTTP/2 whose connections run `script` for each event."""
    peers: list[Peer] = []

    def made() -> Peer:
        peers.append(Peer(False, script))
        peers[-1].h2.local_settings = Settings(client=False, initial_values=settings)
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    return server, peers
