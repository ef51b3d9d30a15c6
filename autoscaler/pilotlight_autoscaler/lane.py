"""Writes that must happen in the end: one in flight for a key, the latest wins, failures are tried
again with a growing pause.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pilotlight.kube.errors import ApiError

T = TypeVar("T")

_log: Final = logging.getLogger("lane")

_FIRST_RETRY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Lanes(Generic[T]):
    """How a lane works: `send` writes one value, and says whether there was something to write;
    `give_up` hears of a value that the API refuses for good. At most `width` writes are under way
    at once; pauses end at `longest_retry_s`."""

    name: str
    send: Callable[[str, T], Awaitable[bool]]
    give_up: Callable[[str, ApiError], None]
    width: int = 32
    longest_retry_s: float = 5.0


class Lane(Generic[T]):
    """A keyed queue of writes. It holds at most one value for each key."""

    def __init__(self, spec: Lanes[T]) -> None:
        self._spec = spec
        self._pending: dict[str, T] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._room = asyncio.Semaphore(spec.width)
        self._failing: dict[str, str] = {}
        self.sent = 0
        self.failed = 0

    def __contains__(self, key: str) -> bool:
        """Whether something is still to be written for the key, or being written."""
        return key in self._tasks or key in self._later

    @property
    def trouble(self) -> str | None:
        """What keeps writes from going through at present."""
        return next(iter(self._failing.values()), None)

    def put(self, key: str, value: T, after_s: float = 0.0) -> None:
        """Write the value in place of one that waits for the same key: as soon as can be, or after
        a while, in which another may make it needless.
        """
        self._pending[key] = value
        if key in self._tasks:
            return
        if after_s > 0:
            self._begin_after(key, after_s)
        else:
            self._begin(key)

    def drop(self, key: str) -> None:
        """Forget what waits for the key."""
        self._pending.pop(key, None)

    def drop_all(self) -> None:
        """Forget everything that waits."""
        self._pending.clear()

    async def rest(self, within_s: float) -> None:
        """Write what waits for its time too, and wait until nothing is being written, or the time
        is up."""
        for key in list(self._later):
            self._begin(key)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=within_s)

    async def close(self) -> None:
        """Stop; what is still to be written is not."""
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_after(self, key: str, after_s: float) -> None:
        """Begin then, or when it was to begin before, whichever is earlier."""
        loop = asyncio.get_running_loop()
        when, timer = loop.time() + after_s, self._later.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._later[key] = loop.call_at(when, self._begin, key)

    def _begin(self, key: str) -> None:
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._tasks[key] = asyncio.get_running_loop().create_task(
            self._run(key), name=f"{self._spec.name} of {key}"
        )

    async def _run(self, key: str) -> None:
        try:
            retry = _FIRST_RETRY_S
            while key in self._pending:
                if await self._attempt(key):
                    retry = _FIRST_RETRY_S
                    continue
                await asyncio.sleep(retry * random.uniform(0.8, 1.2))
                retry = min(retry * 2, self._spec.longest_retry_s)
        except Exception:
            _log.exception("a write failed unexpectedly", extra={"key": key})
        finally:
            self._failing.pop(key, None)
            del self._tasks[key]

    async def _attempt(self, key: str) -> bool:
        """Write what waits for the key. False when it has to be tried again."""
        async with self._room:
            if key not in self._pending:
                return True
            value = self._pending.pop(key)
            try:
                self.sent += await self._spec.send(key, value)
            except ApiError as error:
                return self._refused(key, value, error)
        self._failing.pop(key, None)
        return True

    def _refused(self, key: str, value: T, error: ApiError) -> bool:
        if error.conflict:
            # Somebody else was faster: that is no failure.
            self._pending.setdefault(key, value)
            return False
        self.failed += 1
        if not error.retryable:
            _log.warning(
                "the API refuses a write",
                extra={"what": self._spec.name, "key": key, "error": error.message},
            )
            self._failing.pop(key, None)
            self._spec.give_up(key, error)
            return True
        if key not in self._failing:
            _log.warning(
                "a write failed: will try again",
                extra={"what": self._spec.name, "key": key, "error": error.message},
            )
        self._failing[key] = error.message
        self._pending.setdefault(key, value)
        return False
