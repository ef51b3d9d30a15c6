"""The slots of the user's container, and the bounded queue of those who wait for one. Pure.

A slot belongs to whoever got it from `take` or `next`, and is given back exactly once by `release`.
Waiters are told by the caller, synchronously with `next`: there is no moment between a grant and
its receiver in which a slot could be lost.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

WaiterT = TypeVar("WaiterT")


class Statistics(NamedTuple):
    """A snapshot: requests in slots, requests waiting."""

    taken: int
    waiting: int


class Breaker(Generic[WaiterT]):
    """`capacity` slots and at most `queue_length` waiters, served in order of arrival."""

    __slots__ = ("capacity", "queue_length", "taken", "waiting")

    def __init__(self, capacity: int, queue_length: int) -> None:
        if capacity < 1 or queue_length < 0:
            raise ValueError(f"capacity {capacity} must be >= 1, queue {queue_length} >= 0")
        self.capacity = capacity
        self.queue_length = queue_length
        self.taken = 0
        self.waiting: dict[WaiterT, None] = {}

    def statistics(self) -> Statistics:
        return Statistics(self.taken, len(self.waiting))

    def take(self) -> bool:
        """Take a free slot; never past those who wait."""
        if self.waiting or self.taken >= self.capacity:
            return False
        self.taken += 1
        return True

    def wait(self, waiter: WaiterT) -> bool:
        """Queue up; False when the queue is full."""
        if len(self.waiting) >= self.queue_length:
            return False
        self.waiting[waiter] = None
        return True

    def withdraw(self, waiter: WaiterT) -> bool:
        """Leave the queue; False for one who is not (or no longer) in it."""
        if waiter not in self.waiting:
            return False
        del self.waiting[waiter]
        return True

    def release(self) -> None:
        """Give a slot back; `next` says who gets it."""
        if self.taken == 0:
            raise ValueError("a slot was released that nobody had")
        self.taken -= 1

    def next(self) -> WaiterT | None:
        """The first waiter, who has a slot now; None when there is no waiter or no free slot."""
        if not self.waiting or self.taken >= self.capacity:
            return None
        waiter = next(iter(self.waiting))
        del self.waiting[waiter]
        self.taken += 1
        return waiter
