"""The two families of errors: what a peer did wrong, and what we did wrong."""

from __future__ import annotations


class HttpError(Exception):
    """Base of everything this package raises."""


class PeerError(HttpError):
    """The bytes of a peer cannot be understood safely.

    `status` is the answer a client deserves (400, 413, 414, 431, 501, 505); for an upstream the
    answer to the client is always 502. `reason` is one line of plain ASCII.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class StateError(HttpError):
    """A method of an exchange was called in a phase that does not allow it: a bug of ours."""


class UpstreamLostError(HttpError):
    """The upstream closed or reset its connection before its answer was complete. `code`: what a
    client of HTTP/2 is told of it.
    """

    def __init__(self, reason: str, code: int = 2) -> None:
        super().__init__(reason)
        self.code = code


class ConnectError(HttpError):
    """No connection to the upstream could be made; `reason` is the system's message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
