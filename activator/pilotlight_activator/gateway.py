"""The gateway: finds the Revision of a request, and keeps the requests of all Revisions moving.

The engine calls `external` or `internal` with each request; the backends call `granted` and
`changed`. Timers and upstream connections live here; every decision is made in the pure modules.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from pilotlight import names
from pilotlight.http import (
    LEG_ROUTE,
    Exchange,
    Forwarding,
    Pool,
    Request,
    Upstream,
    answer_error,
    x_forwarded,
)
from pilotlight.http.http2.upstream import Upstream2
from pilotlight_activator.backends import Backend, Backends, Clock
from pilotlight_activator.flight import Flight
from pilotlight_activator.objects import split_address
from pilotlight_activator.probes import Probes
from pilotlight_activator.routes import (
    OURS,
    EvenPoints,
    HostRules,
    RoutingTable,
    Scope,
    Target,
    normal_host,
    revision_of_host,
)
from pilotlight_activator.settings import Queueing
from pilotlight_activator.tickets import Ticket

_log: Final = logging.getLogger("gateway")

_PROBE: Final = names.PROBE_HEADER.lower().encode()
_REVISION: Final = names.REVISION_HEADER.lower().encode()
_NAMESPACE: Final = names.NAMESPACE_HEADER.lower().encode()
_ORIGINAL_HOST: Final = names.ORIGINAL_HOST_HEADER.lower().encode()
_ORIGINAL_HOST_NAME: Final = names.ORIGINAL_HOST_HEADER.encode()
_REQUEST_ID: Final = b"x-request-id"
_HTTP: Final = b"http"
_PROXIED: Final = (names.PROXY_HEADER.encode(), names.ACTIVATOR.encode())
_DIRECT: Final = Target(None, "", (), OURS, 1.0)
"""For requests that name their Revision themselves."""
_LOGGED_PER_S: Final = 5

Changes = tuple[frozenset[bytes], list[tuple[bytes, bytes]]]
"""Headers to leave out of a request, by their names in lower case, and headers to add."""


class News(Protocol):
    """Who tells others about what waits, and about what is in pods that do not tell themselves."""

    def began(self, key: str, now: float) -> None:
        """A request of a Revision is held here from now on."""

    def ended(self, key: str, now: float) -> None:
        """A request of a Revision is held here no more."""

    def took(self, key: str) -> None:
        """A pod that does not tell has got a request, which is still held here."""

    def starving(self, key: str) -> None:
        """Requests wait for a Revision that has no pod: to be told at once, and once."""

    def fed(self, key: str) -> None:
        """A Revision has a pod, or nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the gateway holds."""

    waiting: int
    active: int
    revisions: int
    ingresses: int
    upstreams: int


class Gateway:
    """See the module's text.

    Args:
        queueing: bounds of what waits.
        news: told about waiting requests.
        clock: the process's clocks.
        random: uniform in [0, 1).
    """

    def __init__(
        self, queueing: Queueing, news: News, clock: Clock, random: Callable[[], float]
    ) -> None:
        self.clock = clock
        self.table = RoutingTable()
        self.backends = Backends(queueing, self, clock, random)
        self.probes = Probes()
        self.unrouted = 0
        """Requests for which no Revision was found."""
        self.on_changed: Callable[[Backend], None] = _nobody
        """Called when the pods of a Revision have changed."""
        self._news = news
        self._draw = EvenPoints(random())
        self._pool = Pool()
        self._timers: dict[Backend, tuple[float, asyncio.TimerHandle]] = {}
        self._new_id = request_ids(Random())
        self._log_window = (0.0, 0)

    # The engine's applications

    def external(self, exchange: Exchange) -> None:
        """Serves a request from outside the cluster."""
        self._serve(exchange, Scope.EXTERNAL)

    def internal(self, exchange: Exchange) -> None:
        """Serves a request from within the cluster."""
        self._serve(exchange, Scope.LOCAL)

    def _serve(self, exchange: Exchange, scope: Scope) -> None:
        request = exchange.request
        index = request.index
        host = normal_host(index.get(b"host", b"").decode("latin-1"))
        rules = self.table.find(host, scope)
        if _PROBE in index:
            self.probes.answer(exchange, rules)
        elif scope is Scope.LOCAL and _REVISION in index:
            self._go_direct(exchange)
        elif rules is not None:
            self._follow(exchange, rules, scope)
        else:
            self._go_by_name(exchange, host, scope)

    def _follow(self, exchange: Exchange, rules: HostRules, scope: Scope) -> None:
        request = exchange.request
        rule = rules.match(request.target, request.index)
        if rule is None:
            self._unknown(exchange, f"no path of host {_text(request.host)} matches the request")
            return
        target = rule.choose(self._draw)
        drop, add = self._changes(exchange, target, scope)
        if rule.rewrite_host is None and target.revision is not None:
            self._go(exchange, target.revision, Forwarding(drop, add))
            return
        inner = target
        if rule.rewrite_host is not None:
            inner = self._choose_again(request, rule.rewrite_host) or target
            drop |= inner.drop | {b"host", _ORIGINAL_HOST}
            add = [pair for pair in add if pair[0].lower() != _ORIGINAL_HOST]
            add += inner.append if inner is not target else ()
            add += [(b"Host", rule.rewrite_host), (_ORIGINAL_HOST_NAME, request.host)]
        revision = target.revision or inner.revision or target.service
        self._go(exchange, revision, Forwarding(drop, add))

    def _choose_again(self, request: Request, host: bytes) -> Target | None:
        """A host that is another name of a Service: the Service's own rules say where it leads."""
        rules = self.table.find(normal_host(host.decode("latin-1")), Scope.LOCAL)
        rule = None if rules is None else rules.match(request.target, request.index)
        return None if rule is None else rule.choose(self._draw)

    def _go_direct(self, exchange: Exchange) -> None:
        index = exchange.request.index
        namespace = index.get(_NAMESPACE, b"").decode("latin-1")
        name = index[_REVISION].decode("latin-1")
        drop, add = self._changes(exchange, _DIRECT, Scope.LOCAL)
        self._go(exchange, f"{namespace}/{name}", Forwarding(drop, add))

    def _go_by_name(self, exchange: Exchange, host: str, scope: Scope) -> None:
        key = revision_of_host(host) if scope is Scope.LOCAL else None
        if key is not None and self.backends.get(key) is not None:
            self._go(exchange, key, Forwarding(*self._changes(exchange, _DIRECT, scope)))
        elif scope is Scope.EXTERNAL or not self.probes.answer_kubelet(exchange):
            self._unknown(exchange, f"no service has the host {_text(exchange.request.host)}")

    def _go(self, exchange: Exchange, key: str, edit: Forwarding) -> None:
        backend = self.backends.get(key)
        if backend is None:
            self._unknown(exchange, f"revision {key} not found")
        else:
            Flight(self, exchange, backend, edit).begin()

    def _changes(self, exchange: Exchange, target: Target, scope: Scope) -> Changes:
        request = exchange.request
        _, add = x_forwarded(request, exchange.peer, _HTTP, trust=True)
        add.append(_PROXIED)
        add += target.append
        index = request.index
        if _REQUEST_ID not in index:
            add.append((b"X-Request-Id", self._new_id()))
        drop = target.drop
        if scope is Scope.EXTERNAL and _ORIGINAL_HOST in index:
            drop |= {_ORIGINAL_HOST}
        return drop, add

    def _unknown(self, exchange: Exchange, text: str) -> None:
        self.unrouted += 1
        answer_error(exchange, 404, text, LEG_ROUTE)

    # What flights and backends ask for

    def granted(self, backend: Backend, tickets: Sequence[Ticket]) -> None:
        """Sends off requests that have got a slot."""
        if tickets:
            now = self.clock.monotonic()
            for ticket in tickets:
                assert isinstance(ticket, Flight)
                ticket.granted(now)
        self._schedule(backend)

    def changed(self, backend: Backend) -> None:
        """The pods of a Revision have changed."""
        if backend.spec is None:
            now = self.clock.monotonic()
            for ticket in backend.throttle.evict():
                assert isinstance(ticket, Flight)
                ticket.evicted(now)
        elif backend.is_starving():
            self._news.starving(backend.key)
        else:
            self._news.fed(backend.key)
        _close_all(backend, backend.throttle.usable())
        self.on_changed(backend)

    def waits(self, backend: Backend) -> bool:
        """A request of a Revision waits from now on.

        Returns:
            Whether it is the first, and the Revision has no pod.
        """
        self._schedule(backend)
        if backend.throttle.waiting != 1 or not backend.is_starving():
            return False
        backend.decided_at = backend.patched_at = None
        self._news.starving(backend.key)
        return True

    def holds(self, backend: Backend, now: float) -> None:
        """A request is load that we report, from now on."""
        self._news.began(backend.key, now)

    def holds_no_more(self, backend: Backend, now: float) -> None:
        """It is no longer, since it is over, or a pod reports it."""
        self._news.ended(backend.key, now)

    def took(self, backend: Backend) -> None:
        """A pod that does not report has got a request."""
        self._news.took(backend.key)

    def upstream(self, backend: Backend, pod_key: str) -> Upstream:
        """The connections to a pod."""
        upstream = backend.upstreams.get(pod_key)
        if upstream is None:
            host, port = split_address(pod_key.rpartition("@")[2])
            speaks = Upstream2 if backend.spec is not None and backend.spec.h2c else Upstream
            upstream = backend.upstreams[pod_key] = speaks(host, port, pool=self._pool)
        return upstream

    def pod_failed(self, flight: Flight, leg: str, error: Exception, *, again: bool) -> None:
        """Notes a failure, a few times a second at most."""
        now = self.clock.monotonic()
        since, count = self._log_window
        if now - since >= 1.0:
            since, count = now, 0
        self._log_window = (since, count + 1)
        if count < _LOGGED_PER_S:
            _log.warning(
                "a pod failed a request",
                extra={
                    "revision": flight.backend.key,
                    "pod": "" if flight.pod is None else flight.pod.key,
                    "leg": leg,
                    "error": str(error),
                    "retried": again,
                },
            )

    def statistics(self) -> Statistics:
        return Statistics(
            waiting=self.backends.budget.count,
            active=sum(backend.throttle.active for backend in self.backends.all()),
            revisions=len(self.backends),
            ingresses=len(self.table),
            upstreams=sum(len(backend.upstreams) for backend in self.backends.all()),
        )

    def close(self) -> None:
        """Ends timers and idle connections. To be called when no request is under way."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for backend in self.backends.all():
            _close_all(backend, ())

    # Timers and connections

    def _schedule(self, backend: Backend) -> None:
        wake = backend.throttle.wake_at()
        timer = self._timers.get(backend)
        if timer is not None:
            if wake is not None and timer[0] <= wake:
                return
            timer[1].cancel()
            del self._timers[backend]
        if wake is not None:
            delay = max(wake - self.clock.monotonic(), 0.0)
            handle = asyncio.get_running_loop().call_later(delay, self._tick, backend)
            self._timers[backend] = (wake, handle)

    def _tick(self, backend: Backend) -> None:
        self._timers.pop(backend, None)
        now = self.clock.monotonic()
        due = backend.throttle.tick(now)
        for ticket in due.expired:
            assert isinstance(ticket, Flight)
            ticket.expired(now)
        self.granted(backend, due.granted)


def _close_all(backend: Backend, but: Collection[str]) -> None:
    """Lets go of the connections to pods; those that carry a request end with it."""
    for key in [key for key in backend.upstreams if key not in but]:
        backend.upstreams.pop(key).close()


def request_ids(random: Random) -> Callable[[], bytes]:
    """Makes identifiers in the form of a version 4 UUID (RFC 9562); unique, not secret."""
    bits = random.getrandbits

    def new_id() -> bytes:
        digits = b"%032x" % bits(128)
        return b"%b-%b-4%b-a%b-%b" % (
            digits[:8],
            digits[8:12],
            digits[13:16],
            digits[17:20],
            digits[20:],
        )

    return new_id


def _text(host: bytes) -> str:
    return f'"{host.decode("latin-1")}"'


def _nobody(backend: Backend) -> None:
    return None
