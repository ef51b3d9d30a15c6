"""Every bound of the engine: sizes, counts and times, in one place.

Named tuples rather than dataclasses: a queue-proxy starts with each pod, and making one of the
latter takes most of a millisecond.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes and counts; what exceeds them is refused, never stored."""

    request_line: int = 8192
    """Longer ones are answered 414. nginx and Apache allow 8 KiB as well."""
    head: int = 65536
    """Request line and header fields together; 431 above."""
    fields: int = 128
    """Header fields of a message, and trailer fields of a body; 431 above."""
    ahead: int = 65536
    """Bytes of pipelined requests, or of a body nobody takes yet, held before reading pauses."""
    replay: int = 65536
    """A request body up to this size is kept until the upstream has answered, so that the request
    can be given to another one."""
    write_high: int = 65536
    """Unsent bytes above which the other side of an exchange stops being read."""
    discard: int = 262144
    """Bytes of an unwanted request body that are read and thrown away so that the client gets
    to see the answer."""
    connections: int = 16384
    """Open connections of a server; further ones are closed at once."""


class ConnectionTimes(NamedTuple):
    """How long a client connection may sit in a state, in seconds (checked once a second)."""

    header_s: float = 10.0
    """From accepting a connection, or the first byte of a request, to its complete head."""
    idle_s: float = 300.0
    """Between requests. Longer than a pool keeps idle connections, so that the client side closes
    first and no request meets a connection that is being closed."""
    linger_s: float = 2.0
    """For the client to read an answer sent before its request was complete."""


class Timeouts(NamedTuple):
    """The three limits of an exchange, in seconds from its arrival; 0 switches one off."""

    total_s: float = 0.0
    """Always fires when elapsed."""
    response_start_s: float = 0.0
    """Fires while no byte of the answer has been sent."""
    idle_s: float = 0.0
    """Fires when nothing has been sent to the client for this long."""


TOTAL = "total"
RESPONSE_START = "response-start"
IDLE = "idle"


def expired(timeouts: Timeouts, arrived: float, wrote: float | None, now: float) -> str | None:
    """Which limit an exchange has exceeded, or None.

    `wrote` is the time of the last write to the client, None before the first; all times are
    monotonic seconds.
    """
    if 0 < timeouts.total_s <= now - arrived:
        return TOTAL
    if wrote is None and 0 < timeouts.response_start_s <= now - arrived:
        return RESPONSE_START
    since = arrived if wrote is None else wrote
    if 0 < timeouts.idle_s <= now - since:
        return IDLE
    return None
