"""One request on its way through the gateway: queue, pod, answer.

It is at once the ticket that the queue hands a slot to and the listener that the engine tells what
happens. A slot is given back in exactly one place for each end: `on_done` when the exchange is
over, `on_retry` and `on_error` when the pod did not take the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pilotlight import names
from pilotlight.http.answers import answer_error
from pilotlight.http.listener import (
    LEG_CONNECT,
    LEG_QUEUE,
    LEG_TIMEOUT,
    PROXY,
    RETRY,
    ForwardListener,
    Outcome,
)
from pilotlight_activator.coldstart import TOTAL, phases, queue_timing, server_timing
from pilotlight_activator.tickets import Stage, Ticket, Verdict

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.forwarding import Forwarding
    from pilotlight.http.head import Response
    from pilotlight_activator.backends import Backend
    from pilotlight_activator.gateway import Gateway

_BUSY: Final = names.BUSY_HEADER.lower().encode()
_LEG: Final = names.LEG_HEADER.encode()
_DRAINING: Final = b"draining"
_SERVER_TIMING: Final = names.SERVER_TIMING_HEADER.encode()
_RETRY_AFTER: Final = (b"Retry-After", b"1")
_KEPT_BODY: Final = 65536
"""The engine holds at most this much of a waiting request's body."""
MOST_FAILURES: Final = 16
"""Pods that may fail one request before its client is told."""
CLIENT_CLOSED: Final = 499
"""Counted for clients that left before an answer; the status that nginx logs for them."""

QUEUE_FULL: Final = "pending request queue full"
QUEUE_TIMEOUT: Final = "activator request timeout"


class Flight(Ticket, ForwardListener):
    """See the module's text."""

    __slots__ = ("backend", "counted", "edit", "exchange", "failures", "gateway", "queued_at",
                 "refusal", "starved", "waited_s", "woke")  # fmt: skip

    def __init__(
        self, gateway: Gateway, exchange: Exchange, backend: Backend, edit: Forwarding
    ) -> None:
        Ticket.__init__(self, 0)
        self.gateway = gateway
        self.exchange = exchange
        self.backend = backend
        self.edit = edit
        self.counted = False
        """Whether it is load that we report: while it waits, and in a pod that is mute."""
        self.queued_at = 0.0
        """Monotonic seconds; 0 while it does not wait."""
        self.waited_s = 0.0
        self.starved = False
        """Whether the Revision had no pod when the request came."""
        self.woke = False
        """Whether this is the request that woke the Revision: a cold start is counted once."""
        self.refusal = b""
        """Why the pod would not take the request."""
        self.failures = 0

    def begin(self) -> None:
        """Asks for a slot."""
        exchange = self.exchange
        exchange.listener = self
        exchange.limit(self.backend.timeouts)
        verdict = self.backend.throttle.offer(self, exchange.arrived)
        if verdict is Verdict.GRANTED:
            self._send()
        elif verdict is Verdict.QUEUED:
            self._wait()
        else:
            self.backend.tally.refused += 1
            self._fail(503, QUEUE_FULL, LEG_QUEUE, _RETRY_AFTER)

    def granted(self, now: float) -> None:
        """The wait is over: a pod has a slot."""
        self._stop_waiting(now)
        self._send()

    def expired(self, now: float) -> None:
        """The wait was too long."""
        self._stop_waiting(now)
        self._count(False, now)
        self._fail(504, QUEUE_TIMEOUT, LEG_TIMEOUT)

    def evicted(self, now: float) -> None:
        """The Revision has been deleted."""
        self._stop_waiting(now)
        self._count(False, now)
        self._fail(503, f"revision {self.backend.name} has been deleted", LEG_QUEUE)

    # As a ticket

    def measure(self) -> int:
        request = self.exchange.request
        body = request.length if 0 <= request.length < _KEPT_BODY else _KEPT_BODY
        return body + len(request.target) + sum(len(field[2]) for field in request.fields)

    # As a listener

    def on_head(self, exchange: Exchange, response: Response) -> bool:
        if response.status == 503:
            refusal = response.get(_BUSY)
            if refusal is not None:
                if exchange.can_retry:
                    self.refusal = refusal
                    return RETRY
                self._tell_refusal(exchange, response)
        if self.waited_s:
            self._tell_wait(exchange)
        throttle = self.backend.throttle
        if throttle.is_doubtful(self):
            now = self.gateway.clock.monotonic()
            self.gateway.granted(self.backend, throttle.answered(self, now))
        return PROXY

    def on_retry(self, exchange: Exchange) -> None:
        backend, pod = self.backend, self.pod
        backend.tally.busy += 1
        now = self.gateway.clock.monotonic()
        granted = backend.throttle.busy(self, now)
        if backend.spec is None:
            self.evicted(now)
        else:
            self._wait()
        self.gateway.granted(backend, granted)
        if self.refusal == _DRAINING and pod is not None:
            self.gateway.backends.draining(backend, pod.key)

    def on_error(self, exchange: Exchange, leg: str, error: Exception, replayable: bool) -> None:
        backend = self.backend
        self.failures += 1
        again = replayable and self.failures < MOST_FAILURES and backend.spec is not None
        self.gateway.pod_failed(self, leg, error, again=again)
        granted = backend.throttle.failed(self, self.gateway.clock.monotonic(), again=again)
        if again:
            backend.tally.retries += 1
            self._wait()
        else:
            self._fail(502, str(error), leg or LEG_CONNECT)
        self.gateway.granted(backend, granted)

    def on_timeout(self, exchange: Exchange, kind: str) -> None:
        self._fail(504, QUEUE_TIMEOUT, LEG_TIMEOUT)

    def on_done(self, exchange: Exchange, outcome: Outcome) -> None:
        backend, gateway = self.backend, self.gateway
        now = gateway.clock.monotonic()
        self._stop_waiting(now)
        self._count(False, now)
        backend.tally.answered(exchange.status or CLIENT_CLOSED, now - exchange.arrived)
        if self.stage is not Stage.DONE:
            granted = backend.throttle.cancel(self, now)
            if granted:
                gateway.granted(backend, granted)

    # Inside

    def _send(self) -> None:
        pod = self.pod
        assert pod is not None
        if pod.mute or self.counted:
            self._count(pod.mute, self.gateway.clock.monotonic())
            if pod.mute:
                self.gateway.took(self.backend)
        upstream = self.gateway.upstream(self.backend, pod.key)
        self.exchange.forward(upstream, self, self.edit, expect=True)

    def _wait(self) -> None:
        gateway, backend = self.gateway, self.backend
        now = gateway.clock.monotonic()
        self.queued_at = now
        self._count(True, now)
        if not backend.throttle.has_pods():
            self.starved = True
        if gateway.waits(backend):
            self.woke = True

    def _stop_waiting(self, now: float) -> None:
        if self.queued_at:
            # Never zero for one who waited: it tells the answer apart.
            self.waited_s += max(now - self.queued_at, 1e-6)
            self.queued_at = 0.0

    def _count(self, counts: bool, now: float) -> None:
        """Let it be load that we report, or no longer."""
        if counts is self.counted:
            return
        self.counted = counts
        if counts:
            self.gateway.holds(self.backend, now)
        else:
            self.gateway.holds_no_more(self.backend, now)

    def _tell_refusal(self, exchange: Exchange, response: Response) -> None:
        """The pod would not take the request, and its body is gone: the client has to know. The
        header is between us and the pods: another gateway would act on it.
        """
        response.fields = [field for field in response.fields if field[0] != _BUSY]
        exchange.add_header(_LEG, LEG_QUEUE.encode())
        exchange.add_header(*_RETRY_AFTER)

    def _tell_wait(self, exchange: Exchange) -> None:
        if not self.starved:
            exchange.add_header(_SERVER_TIMING, queue_timing(self.waited_s))
            return
        clock = self.gateway.clock
        wall = clock.wall()
        total_s = clock.monotonic() - exchange.arrived
        found = phases(self.backend.marks(self.pod, wall - total_s, wall))
        exchange.add_header(_SERVER_TIMING, server_timing(found, total_s))
        if not self.woke:
            return
        for phase in found:
            self.backend.tally.started(phase.name, phase.seconds)
        self.backend.tally.started(TOTAL, total_s)

    def _fail(
        self, status: int, text: str, leg: str, header: tuple[bytes, bytes] | None = None
    ) -> None:
        headers = () if header is None else (header,)
        answer_error(self.exchange, status, text, leg, revision=self.backend.name, headers=headers)
