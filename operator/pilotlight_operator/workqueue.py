"""The queue of keys that wait to be reconciled.

Duplicates merge; a key is never handed out twice at once, and one that is added while it is worked
on comes again afterwards; failures come back after a delay that doubles up to a cap, with jitter,
and starts anew after a success.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_DELAY_S: Final = 0.05
LONGEST_DELAY_S: Final = 30.0
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class Statistics:
    """Keys that wait now, are worked on, will come later, and have failed since their success."""

    ready: int
    active: int
    delayed: int
    failing: int


class WorkQueue(Generic[K]):
    """For one event loop. Its size is bounded by the number of distinct keys."""

    def __init__(self) -> None:
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._closed = False

    def add(self, key: K) -> None:
        """Ask for `key` to be worked on as soon as possible."""
        if self._closed:
            return
        if key in self._active:
            self._again.add(key)
            return
        self._ready[key] = None
        self._wake()

    def add_after(self, key: K, delay_s: float) -> None:
        """Ask for it later; of several times asked for the earliest counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + delay_s
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    async def get(self) -> K:
        """The next key. The caller must end its work with `done` or `failed`."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = None
            try:
                await waiter
            except asyncio.CancelledError:
                # A wake-up that came at the same moment belongs to the next waiter.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
            finally:
                self._waiters.pop(waiter, None)
        key, _ = self._ready.popitem(last=False)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """The work on `key` has succeeded."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K) -> float:
        """The work has failed and will be tried again; returns after how many seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_DELAY_S * 2.0 ** min(failures, 30), LONGEST_DELAY_S)
        delay *= random.uniform(1 - _JITTER, 1 + _JITTER)
        self._release(key)
        if key not in self._ready:
            self.add_after(key, delay)
        return delay

    def statistics(self) -> Statistics:
        return Statistics(
            len(self._ready), len(self._active), len(self._timers), len(self._failures)
        )

    def close(self) -> None:
        """Forget everything, and take nothing more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for keys in (self._timers, self._ready, self._failures):
            keys.clear()

    def _release(self, key: K) -> None:
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
