"""One bounded work queue per Revision, from which its pods take requests.

Theory of operation. A request (`Ticket`) is offered once. When nobody waits and a pod has a free
slot it is granted at once; otherwise it waits, or is refused because the queue is full. Each event
that may free a slot (a release, a change of the pods, a closed gate that opens) hands out waiting
tickets in the order of their arrival until either is used up; the calls return the tickets that
they granted, and the caller sends them off. So after each call: either nobody waits or no slot is
free. A ticket that a pod would not take goes back to where it stood in the order.

Nothing here reads a clock, draws a random number or does I/O.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Generic, TypeVar

from pilotlight_activator.errors import StateError
from pilotlight_activator.slots import TIMED, Event, FreePods, Gate, Slots
from pilotlight_activator.tickets import (
    Budget,
    PodStatistics,
    QueueLimits,
    Stage,
    ThrottleStatistics,
    Ticket,
    Verdict,
)

TicketT = TypeVar("TicketT", bound=Ticket)


@dataclass(frozen=True, slots=True)
class Pod:
    """A usable pod, as `Throttle.update` wants it."""

    key: str
    preferred: bool = True
    mute: bool = False


@dataclass(frozen=True, slots=True)
class Due(Generic[TicketT]):
    """What the time has brought: tickets granted, and tickets that have waited too long."""

    granted: Sequence[TicketT]
    expired: Sequence[TicketT]


FIRST_PAUSE_S: Final = 0.002
LONGEST_PAUSE_S: Final = 0.02
"""Another activator's request may free the slot unseen, so a full pod is asked again soon."""
FIRST_SUSPICION_S: Final = 0.05
LONGEST_SUSPICION_S: Final = 5.0
TRIAL_S: Final = 1.0
"""A request that takes its time says nothing about its pod: then another one may try."""
_STRIKES: Final = 16
"""Beyond it the pauses have long reached their cap."""


class Throttle(Generic[TicketT]):
    """The queue and the pods of one Revision.

    Args:
        concurrency: requests at once in one pod, 0 for no limit.
        limits: of this queue.
        budget: shared by all queues.
        random: uniform in [0, 1).
    """

    def __init__(
        self,
        concurrency: int,
        limits: QueueLimits,
        budget: Budget,
        random: Callable[[], float],
    ) -> None:
        self.concurrency = concurrency
        self.limits = limits
        self.active = 0
        """Tickets granted and not yet released."""
        self.waiting = 0
        self.waiting_bytes = 0
        self._budget = budget
        self._random = random
        self._orders = 0
        self._fresh: OrderedDict[int, TicketT] = OrderedDict()
        self._again: list[tuple[int, TicketT]] = []
        """Tickets that a pod would not take: all older than the fresh ones."""
        self._pods: dict[str, Slots] = {}
        self._closed: dict[str, Slots] = {}
        """The pods whose gate opens at a known time, by key."""
        self._own = FreePods()
        self._others = FreePods()

    # A request's way

    def offer(self, ticket: TicketT, now: float) -> Verdict:
        """Takes a new request."""
        if ticket.stage is not Stage.NEW:
            raise StateError(f"a ticket is offered while {ticket.stage.value}")
        self._orders += 1
        ticket.order = self._orders
        ticket.deadline = now + self.limits.wait_s
        if self.waiting == 0:
            pod = self._pick(now)
            if pod is not None:
                self._take(ticket, pod, now)
                return Verdict.GRANTED
        ticket.size = ticket.measure()
        if self._is_full(ticket.size):
            ticket.stage = Stage.DONE
            return Verdict.FULL
        self._fresh[ticket.order] = ticket
        self._count_waiting(ticket, 1)
        return Verdict.QUEUED

    def release(self, ticket: TicketT, now: float) -> Sequence[TicketT]:
        """Ends a granted request, whatever came of it; its slot is free.

        Returns:
            The tickets that are granted by it.

        Raises:
            StateError: the ticket holds no slot.
        """
        pod = self._give_back(ticket)
        ticket.stage = Stage.DONE
        if pod.limit == 0 and pod.gate is Gate.OPEN and self.waiting == 0:
            return ()
        self._move(pod, Event.ABANDONED if pod.gate is Gate.TRIAL else Event.FREED)
        return self._hand_out(now)

    def answered(self, ticket: TicketT, now: float) -> Sequence[TicketT]:
        """The pod has begun to answer: it is well again. To be called when `is_doubtful`."""
        pod = _pod_of(ticket)
        pod.strikes = 0
        self._move(pod, Event.ANSWERED)
        return self._hand_out(now)

    def is_doubtful(self, ticket: TicketT) -> bool:
        """Whether an answer to this ticket would say something new about its pod."""
        pod = ticket.pod
        return pod is not None and (pod.strikes > 0 or pod.gate is not Gate.OPEN)

    def busy(self, ticket: TicketT, now: float) -> Sequence[TicketT]:
        """The pod would not take the request: it waits again, where it stood in the order."""
        pod = self._give_back(ticket)
        self._close(pod, Event.BUSY, now)
        return self._back(ticket, now)

    def failed(self, ticket: TicketT, now: float, *, again: bool) -> Sequence[TicketT]:
        """The pod failed. With `again` the request waits again, else it is over."""
        pod = self._give_back(ticket)
        self._close(pod, Event.FAILED, now)
        if again:
            return self._back(ticket, now)
        ticket.stage = Stage.DONE
        return self._hand_out(now)

    def cancel(self, ticket: TicketT, now: float) -> Sequence[TicketT]:
        """The client has gone. Does nothing to a ticket that is done already."""
        if ticket.stage is Stage.GRANTED:
            return self.release(ticket, now)
        if ticket.stage is Stage.WAITING:
            self._remove(ticket)
        ticket.stage = Stage.DONE
        return ()

    # The pods

    def update(self, pods: Iterable[Pod], now: float) -> Sequence[TicketT]:
        """Replaces the usable pods. Requests in a pod that is gone may finish; if the pod comes
        back meanwhile they still count in it."""
        wanted = {pod.key: pod for pod in pods}
        for key in [key for key in self._pods if key not in wanted]:
            self._drop(key)
        for pod in wanted.values():
            self._admit(pod)
        return self._hand_out(now)

    def clear(self, key: str, now: float) -> Sequence[TicketT]:
        """Somebody else has seen that the pod is well."""
        pod = self._pods.get(key)
        if pod is None or pod.gate not in (Gate.PAUSED, Gate.SUSPECT):
            return ()
        pod.strikes = 0
        self._move(pod, Event.ANSWERED)
        return self._hand_out(now)

    def freed(self, key: str, now: float) -> Sequence[TicketT]:
        """Somebody else has seen that a pod which was full has a free slot."""
        pod = self._pods.get(key)
        paused = pod is not None and pod.gate is Gate.PAUSED
        return self.clear(key, now) if paused else ()

    def configure(self, concurrency: int, limits: QueueLimits, now: float) -> Sequence[TicketT]:
        """Takes over changed limits; pods above a lower one finish what they have."""
        self.limits = limits
        if concurrency == self.concurrency:
            return ()
        self.concurrency = concurrency
        for pod in self._pods.values():
            pod.limit = concurrency
            self._place(pod)
        return self._hand_out(now)

    def has_pods(self) -> bool:
        """Whether any pod may be used, closed ones included."""
        return any(pod.gate is not Gate.GONE for pod in self._pods.values())

    def usable(self) -> set[str]:
        """The keys of the pods that may be used, closed ones included."""
        return {key for key, pod in self._pods.items() if pod.gate is not Gate.GONE}

    def in_flight(self, key: str) -> int:
        """Requests that a pod holds, usable or not; 0 for one that is unknown."""
        pod = self._pods.get(key)
        return 0 if pod is None else pod.in_flight

    # Time

    def wake_at(self) -> float | None:
        """When `tick` will have something to do, if nothing else happens before."""
        times = [pod.until for pod in self._closed.values()]
        first = self._first()
        if first is not None:
            times.append(first.deadline)
        return min(times, default=None)

    def tick(self, now: float) -> Due[TicketT]:
        """Opens the gates and ends the waits whose time has come."""
        expired: list[TicketT] = []
        while (first := self._first()) is not None and first.deadline <= now:
            self._remove(first)
            first.stage = Stage.DONE
            expired.append(first)
        self._elapse(now)
        return Due(self._hand_out(now), expired)

    def statistics(self) -> ThrottleStatistics:
        return ThrottleStatistics(
            self.waiting,
            self.waiting_bytes,
            self.active,
            tuple(
                PodStatistics(pod.key, pod.in_flight, pod.limit, pod.gate)
                for pod in self._pods.values()
            ),
        )

    def evict(self) -> Sequence[TicketT]:
        """Ends all waits: nothing will ever serve them."""
        evicted: list[TicketT] = []
        while (first := self._first()) is not None:
            self._remove(first)
            first.stage = Stage.DONE
            evicted.append(first)
        return evicted

    # Below: parts of the above

    def _pick(self, now: float) -> Slots | None:
        if self._own.pods:
            return self._own.least_loaded(self._random())
        if self._others.pods:
            return self._others.least_loaded(self._random())
        if self._closed and self._elapse(now):
            return self._pick(now)
        return None

    def _take(self, ticket: TicketT, pod: Slots, now: float) -> None:
        ticket.stage = Stage.GRANTED
        ticket.pod = pod
        pod.in_flight += 1
        self.active += 1
        if pod.limit == 0 and pod.gate is Gate.OPEN:
            return
        pod.until = now + TRIAL_S
        self._move(pod, Event.TAKEN)

    def _give_back(self, ticket: TicketT) -> Slots:
        pod = _pod_of(ticket)
        ticket.pod = None
        pod.in_flight -= 1
        self.active -= 1
        if pod.gate is Gate.GONE and pod.in_flight == 0 and self._pods.get(pod.key) is pod:
            del self._pods[pod.key]
        return pod

    def _back(self, ticket: TicketT, now: float) -> Sequence[TicketT]:
        # The limits do not hold here: it was admitted once, and connections bound what flies.
        if ticket.size == 0:
            ticket.size = ticket.measure()
        insort(self._again, (ticket.order, ticket), key=itemgetter(0))
        self._count_waiting(ticket, 1)
        return self._hand_out(now)

    def _hand_out(self, now: float) -> Sequence[TicketT]:
        if self.waiting == 0:
            return ()
        granted: list[TicketT] = []
        while self.waiting and (pod := self._pick(now)) is not None:
            ticket = self._first()
            assert ticket is not None
            self._remove(ticket)
            self._take(ticket, pod, now)
            granted.append(ticket)
        return granted or ()

    def _first(self) -> TicketT | None:
        if self._again:
            return self._again[0][1]
        if self._fresh:
            return next(iter(self._fresh.values()))
        return None

    def _remove(self, ticket: TicketT) -> None:
        if self._fresh.pop(ticket.order, None) is None:
            self._again.remove((ticket.order, ticket))
        self._count_waiting(ticket, -1)

    def _count_waiting(self, ticket: TicketT, sign: int) -> None:
        if sign > 0:
            ticket.stage = Stage.WAITING
        self.waiting += sign
        self.waiting_bytes += sign * ticket.size
        self._budget.change(sign, sign * ticket.size)

    def _is_full(self, size: int) -> bool:
        limits = self.limits
        return (
            self.waiting >= limits.count
            or self.waiting_bytes + size > limits.size
            or not self._budget.fits(size)
        )

    def _admit(self, wanted: Pod) -> None:
        pod = self._pods.get(wanted.key)
        if pod is None:
            pod = self._pods[wanted.key] = Slots(wanted.key, self.concurrency, wanted.preferred)
        elif pod.preferred is not wanted.preferred:
            self._unplace(pod)
            pod.preferred = wanted.preferred
        pod.mute = wanted.mute
        if pod.gate is Gate.GONE:
            pod.strikes = 0
            pod.limit = self.concurrency
        self._move(pod, Event.RETURNED)

    def _drop(self, key: str) -> None:
        pod = self._pods[key]
        self._move(pod, Event.REMOVED)
        if pod.in_flight == 0:
            del self._pods[key]

    def _close(self, pod: Slots, event: Event, now: float) -> None:
        if event is Event.BUSY:
            first, longest = FIRST_PAUSE_S, LONGEST_PAUSE_S
        else:
            first, longest = FIRST_SUSPICION_S, LONGEST_SUSPICION_S
        # Between the half and the whole, so that several activators do not ask in step.
        pause: float = min(longest, first * 2**pod.strikes) * (0.5 + 0.5 * self._random())
        pod.until = now + pause
        pod.strikes = min(pod.strikes + 1, _STRIKES)
        self._move(pod, event)

    def _elapse(self, now: float) -> bool:
        due = [pod for pod in self._closed.values() if pod.until <= now]
        for pod in due:
            self._move(pod, Event.ELAPSED)
        return bool(due)

    def _move(self, pod: Slots, event: Event) -> None:
        pod.apply(event)
        if pod.gate in TIMED:
            self._closed[pod.key] = pod
        else:
            self._closed.pop(pod.key, None)
        self._place(pod)

    def _place(self, pod: Slots) -> None:
        free = self._own if pod.preferred else self._others
        if pod.is_free():
            free.add(pod)
        else:
            free.discard(pod)

    def _unplace(self, pod: Slots) -> None:
        (self._own if pod.preferred else self._others).discard(pod)


def _pod_of(ticket: Ticket) -> Slots:
    pod = ticket.pod
    if ticket.stage is not Stage.GRANTED or pod is None:
        raise StateError(f"a ticket that is {ticket.stage.value} holds no slot")
    return pod
