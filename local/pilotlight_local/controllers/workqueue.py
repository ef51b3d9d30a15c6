"""A level-triggered controller: keys that changed are reconciled one at a time until they hold."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from pilotlight_local.apiserver.errors import ApiError

Key = tuple[str, str]
"""(namespace, name); the namespace of cluster-scoped objects is empty."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Brings one object to what it should be. May ask to be called again after some seconds."""

_log: Final = logging.getLogger("controllers")
_FIRST_RETRY_S: Final = 0.01
_LONGEST_RETRY_S: Final = 30.0
_JITTER: Final = 0.2


def retry_delay(failures: int, jitter: float) -> float:
    """Seconds to wait after the n-th failure in a row (from 1); `jitter` is from 0 to 1."""
    delay = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 30))
    return delay * (1 + _JITTER * jitter)


class Controller:
    """Runs `reconcile` for each key that is put in. Keys that come again while they wait merge; a
    failed one is tried again with a growing delay; the delay starts afresh after a success.
    """

    def __init__(self, name: str, reconcile: Reconcile) -> None:
        self.name = name
        self._reconcile = reconcile
        self._queue: OrderedDict[Key, None] = OrderedDict()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def enqueue(self, key: Key) -> None:
        self._queue[key] = None
        self._idle.clear()
        self._wake.set()

    def enqueue_after(self, key: Key, delay: float) -> None:
        """Put a key in later; the earlier of two times stands."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None and known.when() <= loop.time() + delay:
            return
        if known is not None:
            known.cancel()
        self._timers[key] = loop.call_later(delay, self._due, key)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        try:
            while True:
                while self._queue:
                    key, _ = self._queue.popitem(last=False)
                    await self._once(key)
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def idle(self) -> None:
        """Wait until nothing is left to do (timers do not count)."""
        await self._idle.wait()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.enqueue(key)

    async def _once(self, key: Key) -> None:
        try:
            again = await self._reconcile(key)
        except ApiError as error:
            self._retry(key)
            level = logging.DEBUG if error.status == 409 else logging.WARNING
            _log.log(
                level,
                "reconcile failed, will be tried again",
                extra={"controller": self.name, "key": "/".join(key), "error": error.message},
            )
        except Exception:
            self._retry(key)
            _log.exception(
                "reconcile failed, will be tried again",
                extra={"controller": self.name, "key": "/".join(key)},
            )
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.enqueue_after(key, again)

    def _retry(self, key: Key) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.enqueue_after(key, retry_delay(failures, random.random()))
