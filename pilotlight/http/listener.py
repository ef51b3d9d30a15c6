"""What an application hears about its exchanges."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.head import Response

PROXY = False
"""Verdict of `on_head`: pass the answer on."""
RETRY = True
"""Verdict of `on_head`: throw the answer away and take the request back."""

LEG_QUEUE = "queue"
LEG_CONNECT = "connect"
LEG_APP = "app"
LEG_TIMEOUT = "timeout"
LEG_ROUTE = "route"


class Outcome(Enum):
    """How an exchange ended."""

    ANSWERED = "answered"
    """The whole answer was handed to the client's connection (or the tunnel was closed)."""
    GONE = "gone"
    """The client closed its connection first."""
    TRUNCATED = "truncated"
    """The upstream failed after the head of its answer had been passed on."""
    TIMED_OUT = "timed out"
    """A timeout ended an answer that had begun, or a tunnel."""
    CANCELLED = "cancelled"
    """The application called `cancel`, or the server was closed."""


class ForwardListener:
    """Callbacks of one exchange; override what is of interest.

    Set it as `exchange.listener` in the application's first call, or give it to `forward`.
    Callbacks run synchronously on the event loop, must not block, and must not raise.
    """

    __slots__ = ()

    def on_head(self, exchange: Exchange, response: Response) -> bool:
        """The head of the upstream's final answer; nothing of it has been sent on.

        PROXY passes it on. RETRY discards it, `exchange.can_retry` permitting (otherwise it is
        passed on all the same), and calls `on_retry`. Fields for the client's answer may be put
        into `exchange.extra` here.
        """
        return PROXY

    def on_retry(self, exchange: Exchange) -> None:
        """The request is back after RETRY: forward it again or respond, now or later."""

    def on_error(self, exchange: Exchange, leg: str, error: Exception, replayable: bool) -> None:
        """The upstream failed before any byte of its answer was sent to the client.

        `leg` is LEG_CONNECT (no connection: the upstream has not seen the request) or LEG_APP
        (closed, reset, or an answer that is not HTTP). `replayable`: the request may be given to
        an upstream again without the risk of being carried out twice. The exchange is back in
        the application's hands: respond or forward, now or later.
        """
        from pilotlight.http.answers import answer_error

        answer_error(exchange, 502, str(error), leg)

    def on_timeout(self, exchange: Exchange, kind: str) -> None:
        """One of the three limits was exceeded before the answer began; respond now."""
        from pilotlight.http.answers import answer_error

        answer_error(exchange, 504, "request timeout", LEG_TIMEOUT)

    def on_cut(self, exchange: Exchange, kind: str) -> bytes:
        """A limit was exceeded in the middle of an answer whose length the client was not told.

        What is returned is added to it, and it ends as if it were complete, and its connection;
        without a word it is broken off, as an answer of known length always is.
        """
        return b""

    def on_done(self, exchange: Exchange, outcome: Outcome) -> None:
        """The exchange has ended. Called exactly once, whatever happened: release the slot here.

        `exchange.status` is the status sent to the client, 0 if none was.
        """


NOBODY = ForwardListener()
