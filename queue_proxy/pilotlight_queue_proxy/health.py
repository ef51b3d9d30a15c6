"""Health checks and network probes on the data port: who asks, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from pilotlight import names
from pilotlight.http.answers import TEXT
from pilotlight.http.exchange import Exchange
from pilotlight.http.head import Request
from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.prober import Prober

if TYPE_CHECKING:
    from pilotlight_queue_proxy.tasks import Tasks

_PROBE = names.PROBE_HEADER.lower().encode()
_KUBELET = names.KUBELET_PROBE_HEADER.lower().encode()
_HASH = names.HASH_HEADER.lower().encode()
_HASH_NAME = names.HASH_HEADER.encode()
_REPORTS = (names.REPORTS_HEADER.encode(), b"load")
_USER_AGENTS = tuple(
    agent.encode()
    for agent in (
        names.PROBE_USER_AGENT_KUBELET,
        names.PROBE_USER_AGENT_ACTIVATOR,
        names.PROBE_USER_AGENT_AUTOSCALER,
    )
)
_QUEUE = b"queue"
_NETWORK = b"probe"

App = Callable[[Exchange], None]


def is_probe(request: Request) -> bool:
    """Whether a request is a health check or a network probe, and not for the user's container."""
    index = request.index
    return (
        _PROBE in index
        or _KUBELET in index
        or index.get(b"user-agent", b"").startswith(_USER_AGENTS)
    )


class Health:
    """Answers what `is_probe` recognises. `reports`: whether this process tells its load, which an
    activator that has not been greeted yet has to know.
    """

    def __init__(self, pod: Pod, prober: Prober, tasks: Tasks, *, reports: bool) -> None:
        self._pod = pod
        self._prober = prober
        self._tasks = tasks
        self._headers = [TEXT, _REPORTS] if reports else [TEXT]

    def answer(self, exchange: Exchange) -> None:
        value = exchange.request.get(_PROBE) or b""
        if self._pod.draining:
            exchange.respond(503, b"shutting down", [TEXT])
        elif value == _NETWORK:
            _echo_hash(exchange)
        elif value != _QUEUE:
            exchange.respond(400, b"unexpected probe header value: " + value, [TEXT])
        else:
            self._tasks.start(self._ask(exchange), "health check")

    async def _ask(self, exchange: Exchange) -> None:
        try:
            ready = await self._prober.ready()
        except asyncio.CancelledError:
            exchange.cancel()
            raise
        if exchange.ended:
            return
        if self._pod.draining:
            exchange.respond(503, b"shutting down", [TEXT])
        elif ready:
            exchange.respond(200, _QUEUE, self._headers)
        else:
            exchange.respond(503)


def _echo_hash(exchange: Exchange) -> None:
    given = exchange.request.get(_HASH)
    if not given:
        text = f'a probe request must contain a non-empty "{names.HASH_HEADER}" header'
        exchange.respond(400, text.encode(), [TEXT])
    else:
        exchange.respond(200, b"", [(_HASH_NAME, given)])
