"""A request as the queues see it, and what bounds them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pilotlight_activator.slots import Gate, Slots


class Stage(Enum):
    """The life of a ticket."""

    NEW = "new"
    WAITING = "waiting"
    GRANTED = "granted"
    DONE = "done"


class Verdict(Enum):
    """What became of an offer."""

    GRANTED = "granted"
    QUEUED = "queued"
    FULL = "full"


class Ticket:
    """One request as the throttle sees it."""

    __slots__ = ("deadline", "order", "pod", "size", "stage")

    def __init__(self, size: int) -> None:
        self.size = size
        """Bytes that the request holds while it waits."""
        self.order = -1
        self.deadline = float("inf")
        """When waiting ends, monotonic seconds."""
        self.stage = Stage.NEW
        self.pod: Slots | None = None

    def measure(self) -> int:
        """Bytes that the request would hold if it waited; asked once, when it has to."""
        return self.size


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may wait."""

    count: int = 10_000
    """Requests; Knative's activator has the same depth."""
    size: int = 64 << 20
    """Bytes."""
    wait_s: float = 300.0
    """The longest wait; the Revision's own timeout."""


class Budget:
    """What all queues of the process together may hold."""

    __slots__ = ("count", "limit_count", "limit_size", "size")

    def __init__(self, limit_count: int, limit_size: int) -> None:
        self.limit_count = limit_count
        self.limit_size = limit_size
        self.count = 0
        self.size = 0

    def fits(self, size: int) -> bool:
        return self.count < self.limit_count and self.size + size <= self.limit_size

    def change(self, count: int, size: int) -> None:
        self.count += count
        self.size += size


@dataclass(frozen=True, slots=True)
class PodStatistics:
    """What a queue knows of one of its pods."""

    key: str
    in_flight: int
    limit: int
    gate: Gate


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """What one queue holds."""

    waiting: int
    waiting_bytes: int
    active: int
    pods: tuple[PodStatistics, ...]
