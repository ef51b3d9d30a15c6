"""Tells the autoscalers and activators about load and readiness."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.meter import LATEST_PHASE_S, Meter, Sample, until_report
from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.settings import Settings

_HEARTBEAT_EVERY = 5
_ID = 1


class Reports:
    """One reporter for each kind of collector. `on_released` is called when an activator says that
    it has seen DRAINING, with its address.
    """

    def __init__(
        self, settings: Settings, pod: Pod, meter: Meter, on_released: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._pod = pod
        self._meter = meter
        self._on_released = on_released
        self._loaded = False
        self._idle_rounds = 0
        self.on_sample: Callable[[Sample, float], None] = _unheard
        """Hears each second's sample, and its monotonic time."""
        self._activators: Reporter | None = None
        self._reporters: list[Reporter] = []

    @property
    def activators(self) -> list[str]:
        """Addresses of the activators that have this pod's reports."""
        return self._activators.connected if self._activators is not None else []

    def start(self) -> None:
        reporting = self._settings.reporting
        if not reporting.key:
            return
        self._activators = self._reporter(reporting.activator, self._from_activator)
        self._reporters = [self._activators, self._reporter(reporting.autoscaler, _ignore)]
        for reporter in self._reporters:
            reporter.start()

    async def close(self) -> None:
        for reporter in self._reporters:
            await reporter.close()

    def announce(self) -> None:
        """Send the pod's state to everybody, now."""
        self._broadcast(wire.encode_state(self._pod.state()))

    async def run(self) -> None:
        """Report the load each second while there is any, a last zero, and heartbeats.

        All pods measure from one whole second to the next, so that a request that passes from an
        activator to a pod is in both their records by the same clock. They do not all send at once.
        """
        phase = random.uniform(0.0, LATEST_PHASE_S)
        while True:
            await asyncio.sleep(until_report(time.time()))
            taken_at = time.monotonic()
            sample = self._meter.take(taken_at)
            self.on_sample(sample, taken_at)
            await asyncio.sleep(phase)
            self._report(sample, time.monotonic() - taken_at)

    def _report(self, sample: Sample, age: float) -> None:
        if not sample.idle or self._loaded:
            self._loaded = not sample.idle
            self._idle_rounds = 0
            self._broadcast(wire.encode_load(wire.Load(_ID, *sample, age)))
            return
        self._idle_rounds += 1
        if self._idle_rounds % _HEARTBEAT_EVERY == 0:
            self._broadcast(wire.encode_heartbeat())

    def _broadcast(self, data: bytes) -> None:
        for reporter in self._reporters:
            reporter.broadcast(data)

    def _reporter(self, endpoint: str, on_frame: Callable[[str, wire.Frame], None]) -> Reporter:
        who = self._settings.identity
        greeting = wire.Greeting(
            kind="queue-proxy",
            namespace=who.namespace,
            revision=who.revision,
            uid=who.revision_uid,
            pod=who.pod,
            address=self._settings.address,
        )
        return Reporter(
            ReporterSpec(
                endpoint=endpoint,
                greeting=greeting,
                key=self._settings.reporting.key,
                snapshot=self._snapshot,
                on_frame=on_frame,
            )
        )

    def _snapshot(self) -> bytes:
        who = self._settings.identity
        name = wire.encode_name(_ID, f"{who.namespace}/{who.revision}")
        return name + wire.encode_state(self._pod.state())

    def _from_activator(self, address: str, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Released):
            self._on_released(address)


def _ignore(_address: str, _frame: wire.Frame) -> None:
    """Autoscalers have nothing to say to a queue-proxy."""


def _unheard(_sample: Sample, _taken_at: float) -> None:
    """Nobody scrapes."""
