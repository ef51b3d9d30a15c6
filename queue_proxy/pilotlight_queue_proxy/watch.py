"""Watches whether the user's container answers: closely while it starts, calmly afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.probe import ProbeSpec
from pilotlight_queue_proxy.prober import Prober

_SHORTEST_INTERVAL_S = 0.01
_LONGEST_INTERVAL_S = 0.5
_SHARE = 0.02
_DEFAULT_PERIOD_S = 10.0
_ONCE_MORE_S = 0.05


def pause_after(waited_s: float) -> float:
    """Seconds until a container is asked again that has not answered for `waited_s`: a fiftieth of
    that, so that looking adds no more than two hundredths to any start, within 10 and 500 ms.
    """
    return min(max(waited_s * _SHARE, _SHORTEST_INTERVAL_S), _LONGEST_INTERVAL_S)


class ReadinessWatch:
    """A loop of probes. While the container does not answer, every 10 ms at first and rarer as time
    goes by; once it does, every period of its probe, or at once when a connection failed.
    """

    def __init__(
        self,
        pod: Pod,
        prober: Prober,
        specs: tuple[ProbeSpec, ...],
        changed: Callable[[], None],
    ) -> None:
        self._pod = pod
        self._prober = prober
        self._changed = changed
        self._doubt = asyncio.Event()
        self._period_s = min((s.period_s for s in specs if s.period_s), default=_DEFAULT_PERIOD_S)
        self._successes = max((s.success_threshold for s in specs), default=1)
        self._failures = min((s.failure_threshold for s in specs), default=1)

    def doubt(self) -> None:
        """A connection to the container failed: look now, and believe the first failure."""
        if self._pod.ready:
            self._doubt.set()

    async def run(self) -> None:
        """Probe for as long as the process lives."""
        since = time.monotonic()
        while True:
            doubted = self._doubt.is_set()
            self._doubt.clear()
            passed = await self._prober.once(starting=not self._pod.ready)
            failures = 1 if doubted else self._failures
            if self._pod.probed(passed, time.time(), successes=self._successes, failures=failures):
                self._changed()
                since = time.monotonic()
            if self._pod.ready:
                await self._pause(self._period_s if passed else _ONCE_MORE_S)
            else:
                await asyncio.sleep(pause_after(time.monotonic() - since))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._doubt.wait()
        except TimeoutError:
            pass
