"""What a client's connection takes the bytes for that arrive next."""

from __future__ import annotations

from enum import IntEnum


class Reading(IntEnum):
    """What the next bytes of the client are."""

    HEAD = 0
    BODY = 1
    AHEAD = 2
    """The request is complete; these belong to the next one (or to the tunnel to come)."""
    TUNNEL = 3
    LINGER = 4
    """Thrown away: the answer was the last one."""
    CLOSED = 5
