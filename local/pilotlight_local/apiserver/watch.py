"""Watches: a bounded buffer between the store and one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from .errors import expired
from .store import ADDED, DELETED, MODIFIED, Change, Record, Store
from .values import Object

BUFFER_LIMIT: Final = 4096
Event = tuple[str, Record]
Matches = Callable[[Object], bool]


def seen_as(change: Change, matches: Matches) -> Event | None:
    """A change as a watcher with selectors sees it: objects come and go as they start and cease
    to match.
    """
    now = matches(change.record.obj)
    before = change.old is not None and matches(change.old.obj)
    if change.type == DELETED:
        return (DELETED, change.record) if before or now else None
    if now:
        return (MODIFIED if before else ADDED), change.record
    # What is gone from the watcher's view is shown as it was when it still matched, as of now.
    return (DELETED, _as_of(change)) if before else None


def _as_of(change: Change) -> Record:
    assert change.old is not None
    metadata = {**change.old.obj["metadata"], "resourceVersion": str(change.version)}
    return Record({**change.old.obj, "metadata": metadata}, change.version)


class Watcher:
    """One client's view of one resource. It is closed by `close`, or when it falls behind."""

    def __init__(
        self, store: Store, table: tuple[str, str], matches: Matches, limit: int = BUFFER_LIMIT
    ) -> None:
        self._matches = matches
        self._limit = limit
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._failed: Exception | None = None
        self.ended = False
        """The server ends the watch; the client may begin another where this one stopped."""
        self._unsubscribe = store.subscribe(table, self._offer)

    def start(self, changes: Iterable[Change]) -> None:
        """Puts changes that were before the subscription into the buffer, bounded by history."""
        for change in changes:
            event = seen_as(change, self._matches)
            if event:
                self._events.append(event)

    @property
    def pending(self) -> bool:
        """Whether there are events that were not taken."""
        return bool(self._events)

    def end(self) -> None:
        """Ends the watch from the server's side, after the events that are pending."""
        self._unsubscribe()
        self.ended = True
        self._wake()

    def close(self) -> None:
        """Ends the subscription. Idempotent."""
        self._unsubscribe()
        self._events.clear()
        self._wake()

    async def take(self, timeout_s: float) -> list[Event]:
        """The events so far, waiting for the first; empty when none came in time. Raises a 410
        when the client fell behind.
        """
        if not self._events and self._failed is None and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(max(timeout_s, 0)):
                    await self._waiter
            except TimeoutError:
                return []
            finally:
                self._waiter = None
        if self._failed is not None and not self._events:
            raise self._failed
        events = list(self._events)
        self._events.clear()
        return events

    def _offer(self, change: Change) -> None:
        if self._failed is not None:
            return
        event = seen_as(change, self._matches)
        if event is None:
            return
        if len(self._events) >= self._limit:
            self._events.clear()
            self._fail()
            return
        self._events.append(event)
        self._wake()

    def _fail(self) -> None:
        self._unsubscribe()
        self._failed = expired("the watch is too slow or has ended: list again")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
