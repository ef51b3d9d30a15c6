"""Both connections of an exchange on transports that only record, for what sockets cannot time."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pilotlight.http import Exchange, Request, Server, Upstream
from pilotlight.http.downstream import ServerConnection
from pilotlight.http.leg import UpstreamConnection

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Transport:
    """Takes everything; stalls its protocol when it holds more than the mark."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.closed = False
        self.protocol: Any = None
        self.high = 65536

    def give(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol
        protocol.connection_made(cast(asyncio.Transport, self))

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("10.0.0.1", 1)

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def write(self, data: bytes) -> None:
        self.written += data
        before, self.unsent = self.unsent, self.unsent + len(data)
        if before <= self.high < self.unsent:
            self.protocol.pause_writing()

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def flush(self) -> None:
        stalled, self.unsent = self.unsent > self.high, 0
        if stalled:
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    abort = close


class Joint:
    """A client's connection and one upstream connection, joined by a server's application."""

    def __init__(self) -> None:
        self.upstream = Upstream("127.0.0.1", 1)
        self.exchanges: list[Exchange] = []
        self.server = Server(self.app)
        self.client, self.up = Transport(), Transport()
        self.down = ServerConnection(self.server)
        self.client.give(self.down)
        self.leg = UpstreamConnection(self.upstream)
        self.up.give(self.leg)
        self.upstream._idle.append(self.leg)

    def app(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        exchange.forward(self.upstream)

    def close(self) -> None:
        self.server.close()
        self.upstream.close()


async def test_a_connection_that_was_paused_is_reading_again_in_the_pool() -> None:
    joint = Joint()
    joint.down.data_received(GET)
    body = b"x" * 100_000
    joint.leg.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)
    assert joint.client.unsent > joint.client.high
    assert joint.up.is_reading()
    assert joint.upstream.idle == 1
    joint.close()


async def test_the_upstream_waits_while_an_earlier_answer_is_unsent() -> None:
    joint = Joint()
    joint.down.data_received(GET)
    joint.leg.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    joint.down.data_received(GET)
    joint.leg.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x")
    assert not joint.up.is_reading()
    joint.client.flush()
    assert joint.up.is_reading()
    joint.close()


async def test_the_client_waits_for_the_upstream_and_is_released_with_the_exchange() -> None:
    joint = Joint()
    joint.down.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
    joint.down.data_received(b"x" * 100_000)
    assert not joint.client.is_reading()
    joint.up.flush()
    assert joint.client.is_reading()
    joint.down.data_received(b"x" * 100_000)
    assert not joint.client.is_reading()
    joint.leg.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    assert joint.client.is_reading(), "what the client still sends is read and thrown away"
    assert joint.up.closed
    joint.close()


async def test_a_request_taken_back_from_a_stalled_upstream_reads_on() -> None:
    joint = Joint()
    joint.down.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n")
    joint.down.data_received(b"x" * 66_000)
    assert not joint.client.is_reading()
    joint.leg.connection_lost(ConnectionResetError())
    assert joint.client.written.startswith(b"HTTP/1.1 502 ")
    assert joint.client.is_reading()
    joint.close()


async def test_nothing_is_written_after_the_connection_is_lost() -> None:
    joint = Joint()
    joint.down.data_received(GET + GET)
    joint.down.connection_lost(None)
    joint.down.connection_lost(None)
    joint.leg.data_received(OK)
    await asyncio.sleep(0)
    assert joint.client.written == b""
    assert len(joint.exchanges) == 1
    assert joint.exchanges[0].ended
    assert (joint.upstream.busy, joint.upstream.idle) == (0, 0)
    joint.close()


async def test_bytes_nobody_asked_for_close_an_idle_connection() -> None:
    joint = Joint()
    joint.leg.data_received(OK)
    assert joint.up.closed
    assert joint.upstream.take(Request(b"GET", b"/", 11, [])) is None
    joint.close()


async def test_no_cycle_is_left_behind() -> None:
    import gc
    import weakref

    class Held:
        pass

    joint = Joint()
    gc.disable()
    try:
        joint.down.data_received(GET)
        held = joint.exchanges[0].data = Held()
        alive = weakref.ref(held)
        del held
        joint.leg.data_received(OK)
        joint.exchanges.clear()
        assert alive() is None
    finally:
        gc.enable()
    joint.close()
