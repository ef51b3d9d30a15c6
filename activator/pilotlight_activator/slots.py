"""The slots of one pod, as this activator may use them, and when it may not use them at all.

A pod is closed for a while after it said that it is full (PAUSED) or after it failed (SUSPECT). A
failed pod comes back through one request that is watched (HALF_OPEN, then TRIAL); one that says
nothing for a while is followed by another. All transitions
are in `TRANSITIONS`; an unknown pair is our bug and raises.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from pilotlight_activator.errors import StateError


class Gate(Enum):
    """Whether a pod may take a request."""

    OPEN = "open"
    PAUSED = "paused"
    SUSPECT = "suspect"
    HALF_OPEN = "half-open"
    TRIAL = "trial"
    GONE = "gone"


class Event(Enum):
    """What happened to a pod."""

    TAKEN = "taken"
    ANSWERED = "answered"
    BUSY = "busy"
    FAILED = "failed"
    FREED = "freed"
    ABANDONED = "abandoned"
    ELAPSED = "elapsed"
    REMOVED = "removed"
    RETURNED = "returned"


def _transitions() -> dict[tuple[Gate, Event], Gate]:
    table: dict[tuple[Gate, Event], Gate] = {}
    for gate in Gate:
        # A pod that is not ours any more only comes back when the knowledge of pods says so.
        gone = gate is Gate.GONE
        table[gate, Event.ANSWERED] = Gate.GONE if gone else Gate.OPEN
        table[gate, Event.BUSY] = Gate.GONE if gone else Gate.PAUSED
        table[gate, Event.FAILED] = Gate.GONE if gone else Gate.SUSPECT
        table[gate, Event.REMOVED] = Gate.GONE
        table[gate, Event.RETURNED] = Gate.OPEN if gone else gate
        table[gate, Event.FREED] = Gate.OPEN if gate is Gate.PAUSED else gate
        table[gate, Event.ABANDONED] = Gate.HALF_OPEN if gate is Gate.TRIAL else gate
    table[Gate.OPEN, Event.TAKEN] = Gate.OPEN
    table[Gate.HALF_OPEN, Event.TAKEN] = Gate.TRIAL
    table[Gate.PAUSED, Event.ELAPSED] = Gate.OPEN
    table[Gate.SUSPECT, Event.ELAPSED] = Gate.HALF_OPEN
    table[Gate.TRIAL, Event.ELAPSED] = Gate.HALF_OPEN
    return table


TRANSITIONS: Final = _transitions()
TIMED: Final = frozenset(gate for gate, event in TRANSITIONS if event is Event.ELAPSED)
"""Gates that open at a known time."""


class Slots:
    """One pod's slots.

    Args:
        key: what the pod is called; the same pod at the same address has the same key.
        limit: requests at once, 0 for no limit.
        preferred: whether the pod belongs to the share of this activator.
    """

    __slots__ = ("gate", "in_flight", "key", "limit", "mute", "position", "preferred", "strikes",
                 "until")  # fmt: skip

    def __init__(self, key: str, limit: int, preferred: bool) -> None:
        self.key = key
        self.limit = limit
        self.preferred = preferred
        self.mute = False
        """Whether it does not report what it holds, so that we do."""
        self.in_flight = 0
        self.gate = Gate.OPEN
        self.until = 0.0
        """When a PAUSED, SUSPECT or TRIAL gate opens again, monotonic seconds."""
        self.strikes = 0
        """How often in a row the pod was busy or failed."""
        self.position = -1
        """Index in the list of free pods that holds it; -1 when it is in none."""

    def apply(self, event: Event) -> None:
        """Moves the gate.

        Raises:
            StateError: the event cannot happen to a pod in this state.
        """
        gate = TRANSITIONS.get((self.gate, event))
        if gate is None:
            raise StateError(f"pod {self.key}: {event.value} while {self.gate.value}")
        self.gate = gate

    def is_free(self) -> bool:
        """Whether the pod may take one more request now."""
        if self.gate is Gate.HALF_OPEN:
            return self.limit == 0 or self.in_flight < self.limit
        return self.gate is Gate.OPEN and (self.limit == 0 or self.in_flight < self.limit)


class FreePods:
    """The pods with a free slot, in no order: constant-time add, discard and choice."""

    __slots__ = ("pods",)

    SCANNED: Final = 4

    def __init__(self) -> None:
        self.pods: list[Slots] = []

    def add(self, pod: Slots) -> None:
        if pod.position < 0:
            pod.position = len(self.pods)
            self.pods.append(pod)

    def discard(self, pod: Slots) -> None:
        if pod.position < 0:
            return
        last = self.pods.pop()
        if last is not pod:
            last.position = pod.position
            self.pods[pod.position] = last
        pod.position = -1

    def least_loaded(self, point: float) -> Slots | None:
        """The least loaded pod: of all when there are few, else of two chosen at random.

        Args:
            point: uniformly random in [0, 1); also breaks ties.

        The power of two choices: M. Mitzenmacher, "The Power of Two Choices in Randomized Load
        Balancing", IEEE TPDS 12(10), 2001.
        """
        pods = self.pods
        count = len(pods)
        if count == 1:
            return pods[0]
        if count == 0:
            return None
        first = int(point * count)
        best = pods[first]
        if count <= self.SCANNED:
            for step in range(1, count):
                pod = pods[(first + step) % count]
                if pod.in_flight < best.in_flight:
                    best = pod
            return best
        # The digits of `point` below the first choice make the second, distinct one.
        rest = point * count - first
        other = pods[(first + 1 + int(rest * (count - 1))) % count]
        return other if other.in_flight < best.in_flight else best
