"""Whether this process should get requests, and what is wrong if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotlight.http.answers import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotlight.http.exchange import Exchange


class Health:
    """Readiness, as it is told to the kubelet and to people.

    Args:
        synced: whether the API's objects have been seen once.
        connected: whether the API can be reached now.
    """

    def __init__(self, synced: Callable[[], bool], connected: Callable[[], bool]) -> None:
        self.listening = False
        self.stopping = False
        self._synced = synced
        self._connected = connected

    def unready(self) -> str | None:
        """Why no requests should come; None when they should."""
        if self.stopping:
            return "shutting down"
        if not self._synced():
            return "the objects of the Kubernetes API have not been read yet"
        if not self.listening:
            return "not listening yet"
        return None

    def remarks(self) -> str:
        """What people should know although requests are served."""
        if self._connected():
            return "ok"
        return "ok, but the Kubernetes API cannot be reached: serving with what is known"

    def answer(self, exchange: Exchange) -> None:
        """Answers `/readyz`."""
        reason = self.unready()
        if reason is None:
            exchange.respond(200, self.remarks().encode() + b"\n", [TEXT])
        else:
            exchange.respond(503, reason.encode() + b"\n", [TEXT])
