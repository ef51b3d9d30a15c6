"""Several activators that share pods without a coordinator, in virtual time.

The pods are as their queue-proxies make them: one slot, and what comes beyond is sent back. What a
slot that another activator has freed costs is bounded exactly here, where no machine is slow.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight_activator.pods import preferred
from pilotlight_activator.throttle import LONGEST_PAUSE_S, Pod, Throttle
from pilotlight_activator.tickets import Budget, QueueLimits, Ticket, Verdict

LATENCY_S = 0.0005
EPSILON_S = 1e-9


class Simulation:
    """Activators, pods and a clock that jumps from event to event."""

    def __init__(self, activators: int, pods: int, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.keys = [f"pod-{number:02}" for number in range(pods)]
        self.held = dict.fromkeys(self.keys, 0)
        self.coming = dict.fromkeys(self.keys, 0)
        self.idle_since: dict[str, float | None] = dict.fromkeys(self.keys)
        self.longest_idle_s = 0.0
        self.refused = self.served = self.most = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.throttles: list[Throttle[Ticket]] = []
        for index in range(activators):
            throttle: Throttle[Ticket] = Throttle(
                1, QueueLimits(), Budget(10**6, 1 << 30), self.random.random
            )
            share = preferred(pods, index, activators)
            throttle.update([Pod(key, n in share) for n, key in enumerate(self.keys)], 0.0)
            self.throttles.append(throttle)

    def at(self, delay: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + delay, self._number, event))

    def run(self) -> None:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self.watch()

    def watch(self) -> None:
        """Notes how long a slot has been free, with nothing on its way, while somebody waits."""
        somebody_waits = any(throttle.waiting for throttle in self.throttles)
        for key in self.keys:
            since = self.idle_since[key]
            if since is not None:
                self.longest_idle_s = max(self.longest_idle_s, self.now - since)
            if not somebody_waits or self.held[key] or self.coming[key]:
                self.idle_since[key] = None
            elif since is None:
                self.idle_since[key] = self.now

    def arrive(self, throttle: Throttle[Ticket]) -> None:
        ticket = Ticket(1)
        if throttle.offer(ticket, self.now) is Verdict.GRANTED:
            self.send(throttle, [ticket])

    def send(self, throttle: Throttle[Ticket], tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            assert ticket.pod is not None
            key = ticket.pod.key
            self.coming[key] += 1
            self.at(LATENCY_S, lambda t=ticket, k=key: self.reach(throttle, t, k))  # type: ignore[misc]
        wake = throttle.wake_at()
        if wake is not None and wake < self.now + 100:
            self.at(max(wake - self.now, 0.0), lambda: self.tick(throttle))

    def tick(self, throttle: Throttle[Ticket]) -> None:
        granted = throttle.tick(self.now).granted
        if granted:
            self.send(throttle, granted)

    def reach(self, throttle: Throttle[Ticket], ticket: Ticket, key: str) -> None:
        self.coming[key] -= 1
        if self.held[key]:
            self.refused += 1
            self.at(LATENCY_S, lambda: self.send(throttle, throttle.busy(ticket, self.now)))
            return
        self.held[key] += 1
        self.most = max(self.most, self.held[key])
        self.at(self.random.uniform(0.001, 0.03), lambda: self.finish(throttle, ticket, key))

    def finish(self, throttle: Throttle[Ticket], ticket: Ticket, key: str) -> None:
        self.held[key] -= 1
        self.served += 1
        self.at(LATENCY_S, lambda: self.end(throttle, ticket))

    def end(self, throttle: Throttle[Ticket], ticket: Ticket) -> None:
        granted = list(throttle.answered(ticket, self.now)) if throttle.is_doubtful(ticket) else []
        granted += throttle.release(ticket, self.now)
        self.send(throttle, granted)


@settings(max_examples=60, deadline=None)
@given(
    loads=st.lists(st.integers(0, 80), min_size=1, max_size=4),
    pods=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_a_slot_is_idle_for_a_pause_at_most_while_somebody_waits(
    loads: list[int], pods: int, seed: int
) -> None:
    simulation = Simulation(len(loads), pods, seed)
    for throttle, count in zip(simulation.throttles, loads, strict=True):
        for _ in range(count):
            delay = simulation.random.uniform(0.0, 0.05)
            simulation.at(delay, lambda t=throttle: simulation.arrive(t))  # type: ignore[misc]
    simulation.run()
    assert simulation.served == sum(loads)
    assert simulation.most <= 1
    # The answer that frees a slot travels, too, before the next request can be sent.
    assert simulation.longest_idle_s <= LONGEST_PAUSE_S + 2 * LATENCY_S + EPSILON_S


def test_a_single_activator_leaves_no_slot_idle_and_is_never_refused() -> None:
    simulation = Simulation(1, 10, 3)
    for _ in range(300):
        simulation.at(0.0, lambda: simulation.arrive(simulation.throttles[0]))
    simulation.run()
    assert (simulation.served, simulation.refused) == (300, 0)
    assert simulation.longest_idle_s <= LATENCY_S + EPSILON_S
