"""The request path: health checks, the breaker, forwarding to the user's container."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pilotlight import names
from pilotlight.http.answers import answer_error
from pilotlight.http.exchange import Exchange
from pilotlight.http.head import Response
from pilotlight.http.listener import (
    LEG_APP,
    LEG_CONNECT,
    LEG_QUEUE,
    LEG_TIMEOUT,
    PROXY,
    ForwardListener,
    Outcome,
)
from pilotlight.http.upstream import Upstream
from pilotlight.load.meter import Meter
from pilotlight_queue_proxy.breaker import Breaker
from pilotlight_queue_proxy.headers import edit, route_tag
from pilotlight_queue_proxy.metrics import Metrics
from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.settings import Settings

if TYPE_CHECKING:
    from pilotlight_queue_proxy.stat import DirectMeter

_PROXIED = names.PROXY_HEADER.lower().encode()
_BUSY = names.BUSY_HEADER.encode()
_BUSY_KEY = _BUSY.lower()
_FIRST_BACKOFF_S = 0.05
_BACKOFF_GROWTH = 1.4
_BACKOFF_STEPS = 15
_REPLAYS = 1
_TIMEOUT = "request timeout"
_HTTP11 = 11
_CLIENT_GONE = 499  # nginx's number for it; no status was sent

FULL = "full"
DRAINING = "draining"
UNREACHABLE = "unreachable"


class Events(NamedTuple):
    """What the rest of the process wants to hear of."""

    unreachable: Callable[[], None]
    """A connection to the user's container failed."""
    direct: Callable[[], None]
    """A request came that no activator has sent."""


class Requests:
    """Takes what is not a health check. `breaker` is None when concurrency is not limited."""

    __slots__ = (
        "_events",
        "_granting",
        "breaker",
        "direct",
        "meter",
        "metrics",
        "pod",
        "revision",
        "timeouts",
        "upstream",
    )

    def __init__(self, settings: Settings, pod: Pod, upstream: Upstream, events: Events) -> None:
        self.timeouts = settings.timeouts
        self._events = events
        self._granting = False
        self.pod = pod
        self.upstream = upstream
        self.revision = settings.identity.revision
        self.meter = Meter(time.monotonic())
        self.direct: DirectMeter | None = None
        """Requests that no activator has sent; None until somebody asks for them."""
        self.metrics = Metrics(settings.identity, lambda: self.meter.inflight)
        self.breaker: Breaker[Handling] | None = None
        if settings.concurrency:
            self.breaker = Breaker(settings.concurrency, settings.queue_length)

    def take(self, exchange: Exchange) -> None:
        """Forward a request now or later, or answer why not."""
        proxied = _PROXIED in exchange.request.index
        if not proxied:
            self._events.direct()
            if self.direct is not None:
                self.direct.begin(exchange.arrived)
        elif self.pod.draining:
            self.busy(exchange, DRAINING)
            return
        breaker = self.breaker
        if breaker is None or breaker.take():
            Handling(self, exchange).start(exchange.arrived)
        elif proxied:
            self.busy(exchange, FULL)
        elif not breaker.wait(Handling(self, exchange)):
            answer_error(
                exchange, 503, "pending request queue full", LEG_QUEUE, revision=self.revision
            )

    def busy(self, exchange: Exchange, reason: str) -> None:
        """Give a request back to the activator that sent it, untouched."""
        self.metrics.busy[reason] += 1
        exchange.respond(503, b"", [(_BUSY, reason.encode())])

    def grant(self) -> None:
        """Start those who wait, as long as there are slots. Never nested: an exchange that ends
        while it is being started leaves its slot to the loop that is running already."""
        breaker = self.breaker
        if breaker is None or self._granting:
            return
        self._granting = True
        try:
            while (handling := breaker.next()) is not None:
                handling.start(time.monotonic())
        finally:
            self._granting = False

    def unreachable(self) -> None:
        self._events.unreachable()


class Handling(ForwardListener):
    """One request that counts as load, from its admission to its end."""

    __slots__ = (
        "_attempts",
        "_exchange",
        "_given_back",
        "_replays",
        "_requests",
        "_retry",
        "_started",
    )

    def __init__(self, requests: Requests, exchange: Exchange) -> None:
        self._requests = requests
        self._exchange = exchange
        self._started = 0.0
        self._attempts = 0
        self._replays = 0
        self._given_back = False
        self._retry: asyncio.TimerHandle | None = None
        exchange.listener = self
        exchange.timeouts = requests.timeouts
        requests.meter.begin(exchange.arrived)

    def start(self, now: float) -> None:
        """The request has a slot since `now`, in monotonic seconds."""
        self._started = now
        exchange = self._exchange
        exchange.forward(self._requests.upstream, None, edit(exchange.request))

    def _again(self) -> None:
        self._retry = None
        self.start(self._started)

    def on_head(self, exchange: Exchange, response: Response) -> bool:
        if _BUSY_KEY in response.index:
            # A program that says it would be sent again what it has worked on already.
            response.fields = [field for field in response.fields if field[0] != _BUSY_KEY]
        return PROXY

    def on_error(self, exchange: Exchange, leg: str, error: Exception, replayable: bool) -> None:
        if leg == LEG_CONNECT:
            self._requests.unreachable()
            self._connect_again(exchange, error)
        elif replayable and self._replays < _REPLAYS:
            self._replays += 1
            self._requests.upstream.shed()
            self._again()
        else:
            self._fail(exchange, 502, str(error), LEG_APP)

    def _connect_again(self, exchange: Exchange, error: Exception) -> None:
        """An activator gets the request back; others wait for the container with back-off."""
        if _PROXIED in exchange.request.index:
            self._given_back = True
            self._requests.busy(exchange, UNREACHABLE)
        elif self._attempts >= _BACKOFF_STEPS:
            self._fail(exchange, 502, str(error), LEG_CONNECT)
        else:
            delay = _FIRST_BACKOFF_S * _BACKOFF_GROWTH**self._attempts * random.uniform(1.0, 1.1)
            self._attempts += 1
            self._retry = asyncio.get_running_loop().call_later(delay, self._again)

    def on_timeout(self, exchange: Exchange, kind: str) -> None:
        self._fail(exchange, 504, _TIMEOUT, LEG_TIMEOUT)

    def on_cut(self, exchange: Exchange, kind: str) -> bytes:
        """As Knative does it: such an answer ends with the text, and not in an error. Those of
        HTTP/2, where it would be taken for a message, are broken off.
        """
        return b"" if exchange.request.version > _HTTP11 else _TIMEOUT.encode()

    def _fail(self, exchange: Exchange, status: int, text: str, leg: str) -> None:
        answer_error(exchange, status, text, leg, revision=self._requests.revision)

    def on_done(self, exchange: Exchange, outcome: Outcome) -> None:
        requests = self._requests
        now = time.monotonic()
        requests.meter.end(now)
        if requests.direct is not None:
            requests.direct.end(now, exchange)
        if exchange.data is not None:
            exchange.data.started = self._started
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        started = self._started
        if not self._given_back:
            requests.metrics.record(
                exchange.status or _CLIENT_GONE,
                route_tag(exchange.request),
                now - exchange.arrived,
                now - started if started else None,
            )
        breaker = requests.breaker
        if breaker is not None:
            if started:
                breaker.release()
            else:
                breaker.withdraw(self)
            if breaker.waiting:
                requests.grant()
