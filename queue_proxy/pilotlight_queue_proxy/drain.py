"""Leaving without losing a request.

A drain begins with SIGTERM, or when the kubelet runs a container's preStop hook, whichever comes
first. The state DRAINING is announced; requests are still served, those of an activator are given
back. The drain is over when every activator that was connected has said that it sends nothing more
(or two seconds have passed), requests that bypass the activator have ceased, none is in flight, and
the connections of clients are closed.
A preStop hook that is not followed by SIGTERM within a second was the restart of a container whose
liveness probe failed: then everything is as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from pilotlight.http.answers import TEXT
from pilotlight.http.exchange import Exchange
from pilotlight_queue_proxy.pod import Pod

_RELEASE_S = 2.0
_RESTART_S = 1.0


class Drain:
    """One pod's drain. `announce` sends the pod's state, whatever it is now."""

    def __init__(self, pod: Pod, announce: Callable[[], None], quiet_s: float) -> None:
        self._pod = pod
        self._announce = announce
        self._quiet_s = quiet_s
        self._unreleased: set[str] = set()
        self._released = asyncio.Event()
        self._last_direct = float("-inf")
        self._waiting: list[Exchange] = []
        self._terminating = False
        self._restart: asyncio.TimerHandle | None = None

    def direct_request(self) -> None:
        """A request came that no activator has sent."""
        self._last_direct = time.monotonic()

    def released(self, activator: str) -> None:
        """An activator sends nothing more."""
        self._unreleased.discard(activator)
        if not self._unreleased:
            self._released.set()

    def begin(self, activators: Iterable[str]) -> None:
        """Announce DRAINING; `activators` are the addresses of those that will hear it."""
        if not self._pod.draining:
            self._pod.draining = True
            self._unreleased = set(activators)
            if not self._unreleased:
                self._released.set()
            self._announce()

    def hook(self, exchange: Exchange, activators: Iterable[str]) -> None:
        """A preStop hook: it is answered when the drain is over."""
        self.begin(activators)
        self._waiting.append(exchange)
        if not self._terminating and self._restart is None:
            loop = asyncio.get_running_loop()
            self._restart = loop.call_later(_RESTART_S, self._reset)

    async def run(self, activators: Iterable[str], deserted: Callable[[], Awaitable[None]]) -> None:
        """The drain that SIGTERM begins; returns when it is over. `deserted` waits until nothing is
        in flight, nor can come on a connection that is open.
        """
        self._terminating = True
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self.begin(activators)
        await self._wait_for_release()
        await self._wait_for_quiet()
        await deserted()
        self.finish()

    def finish(self) -> None:
        """Let the preStop hooks go: their containers may be stopped now."""
        waiting, self._waiting = self._waiting, []
        for exchange in waiting:
            if not exchange.ended:
                exchange.respond(200, b"drained\n", [TEXT])

    async def _wait_for_release(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._released.wait()
        except TimeoutError:
            pass

    async def _wait_for_quiet(self) -> None:
        """Only when such requests have come at all: whoever sent them knows this pod's address."""
        left = self._quiet_s_left()
        while left > 0:
            await asyncio.sleep(left)
            left = self._quiet_s_left()

    def _quiet_s_left(self) -> float:
        return self._last_direct + self._quiet_s - time.monotonic()

    def _reset(self) -> None:
        self._restart = None
        self._pod.draining = False
        self._released.clear()
        self._announce()
        self.finish()
