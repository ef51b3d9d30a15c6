"""Probes of pods that only the API knows: does the queue-proxy answer, and is the program ready?"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from pilotlight import names
from pilotlight.http.errors import HttpError
from pilotlight.http.fetch import Target, fetch
from pilotlight_activator.backends import Backend, Backends
from pilotlight_activator.objects import split_address
from pilotlight_activator.pods import Probe

_log: Final = logging.getLogger("prober")

TIMEOUT_S: Final = 0.3
INTERVAL_S: Final = 0.2
AT_ONCE: Final = 128
"""Probes under way at the same time; a probe is short, so more would only compete."""
_EXPECTED: Final = b"queue"
_REPORTS: Final = names.REPORTS_HEADER.lower().encode()


class Prober:
    """Probes each pod that waits for it until it passes or is of no interest any more.

    Args:
        backends: told which pods have passed.
    """

    def __init__(self, backends: Backends) -> None:
        self.failures = 0
        """Probes that have not passed."""
        self._backends = backends
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def sync(self, backend: Backend) -> None:
        """Starts the probes that a Revision's pods now need."""
        for known in backend.pods.to_probe():
            at = (backend.key, known.key)
            if at not in self._tasks:
                task = asyncio.get_running_loop().create_task(
                    self._probe(backend, known.key), name=f"probe {known.key}"
                )
                self._tasks[at] = task
                task.add_done_callback(partial(self._ended, at, backend))

    async def close(self) -> None:
        """Ends all probes."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, backend: Backend, pod_key: str) -> None:
        while any(known.key == pod_key for known in backend.pods.to_probe()):
            async with self._slots:
                found = await probe(pod_key.rpartition("@")[2])
            if found is not Probe.NONE:
                self._backends.probed(backend, pod_key, found)
                return
            self.failures += 1
            await asyncio.sleep(INTERVAL_S)

    def _ended(self, at: tuple[str, str], backend: Backend, task: asyncio.Task[None]) -> None:
        if self._tasks.get(at) is task:
            del self._tasks[at]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("a probe failed unexpectedly", exc_info=error)
        else:
            self.sync(backend)  # the pod may need a probe again since the task's last look


async def probe(address: str) -> Probe:
    """Whether the queue-proxy at `host:port` says that its pod is ready, and whether it is one that
    reports its load: Knative's waits to be asked by an autoscaler of its own.
    """
    host, port = split_address(address)
    headers = [
        (b"Host", address.encode()),
        (b"User-Agent", names.PROBE_USER_AGENT_ACTIVATOR.encode()),
        (names.PROBE_HEADER.encode(), _EXPECTED),
    ]
    target = Target(host, port, b"/healthz", headers)
    try:
        answer = await fetch(target, timeout_s=TIMEOUT_S, max_body=1024)
    except (OSError, TimeoutError, HttpError):
        return Probe.NONE
    if answer.status != 200 or answer.body != _EXPECTED:
        return Probe.NONE
    return Probe.MUTE if answer.response.get(_REPORTS) is None else Probe.PASSED
