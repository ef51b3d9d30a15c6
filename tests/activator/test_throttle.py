"""The work queue of a Revision: order, limits, and that no slot is lost or used twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pilotlight_activator.errors import StateError
from pilotlight_activator.slots import TRANSITIONS, Event, FreePods, Gate, Slots
from pilotlight_activator.throttle import (
    FIRST_PAUSE_S,
    LONGEST_SUSPICION_S,
    TRIAL_S,
    Pod,
    Throttle,
)
from pilotlight_activator.tickets import Budget, QueueLimits, Stage, Ticket, Verdict

ROOMY = QueueLimits(count=1000, size=1 << 20, wait_s=60.0)


def make(
    concurrency: int, *keys: str, limits: QueueLimits = ROOMY, budget: Budget | None = None
) -> Throttle[Ticket]:
    throttle: Throttle[Ticket] = Throttle(
        concurrency, limits, budget or Budget(10_000, 1 << 30), Random(7).random
    )
    throttle.update([Pod(key) for key in keys], 0.0)
    return throttle


def offer(throttle: Throttle[Ticket], count: int, now: float = 0.0) -> list[Ticket]:
    tickets = [Ticket(10) for _ in range(count)]
    for ticket in tickets:
        throttle.offer(ticket, now)
    return tickets


def loads(throttle: Throttle[Ticket]) -> dict[str, int]:
    return {pod.key: pod.in_flight for pod in throttle.statistics().pods}


def test_without_pods_requests_wait_and_the_first_pod_takes_them_in_order() -> None:
    throttle = make(2)
    tickets = offer(throttle, 3)
    assert [ticket.stage for ticket in tickets] == [Stage.WAITING] * 3

    assert throttle.update([Pod("a")], 1.0) == tickets[:2]
    assert throttle.release(tickets[0], 2.0) == tickets[2:]
    assert loads(throttle) == {"a": 2}


def test_unlimited_pods_take_everything_and_share_it() -> None:
    throttle = make(0, "a", "b", "c")
    offer(throttle, 30)
    assert loads(throttle) == {"a": 10, "b": 10, "c": 10}
    assert throttle.waiting == 0


def test_two_choices_keep_many_pods_close_together() -> None:
    throttle = make(0, *(f"pod-{number}" for number in range(50)))
    offer(throttle, 5000)
    assert max(loads(throttle).values()) - min(loads(throttle).values()) <= 20


def test_an_own_pod_is_preferred_and_another_borrowed() -> None:
    throttle = make(1)
    throttle.update([Pod("mine"), Pod("theirs", preferred=False)], 0.0)
    first, second, third = offer(throttle, 3)
    assert first.pod is not None
    assert first.pod.key == "mine"
    assert second.pod is not None
    assert second.pod.key == "theirs"
    assert third.stage is Stage.WAITING


def test_a_pod_changes_hands_between_activators() -> None:
    throttle = make(1, "a", "b")
    throttle.update([Pod("a", preferred=False), Pod("b")], 0.0)
    (first,) = offer(throttle, 1)
    assert first.pod is not None
    assert first.pod.key == "b"


@pytest.mark.parametrize(
    ("limits", "budget", "waiting"),
    [
        pytest.param(QueueLimits(count=2), Budget(100, 1000), 2, id="count"),
        pytest.param(QueueLimits(size=39), Budget(100, 1000), 3, id="bytes"),
        pytest.param(QueueLimits(), Budget(4, 1000), 4, id="count of all queues"),
        pytest.param(QueueLimits(), Budget(100, 50), 5, id="bytes of all queues"),
        pytest.param(QueueLimits(count=0), Budget(100, 1000), 0, id="no queue at all"),
    ],
)
def test_a_full_queue_refuses(limits: QueueLimits, budget: Budget, waiting: int) -> None:
    throttle = make(1, limits=limits, budget=budget)
    verdicts = [throttle.offer(Ticket(10), 0.0) for _ in range(8)]
    assert verdicts == [Verdict.QUEUED] * waiting + [Verdict.FULL] * (8 - waiting)
    assert throttle.waiting == budget.count == waiting


def test_a_cancelled_waiter_makes_room_and_is_not_granted() -> None:
    budget = Budget(2, 1000)
    throttle = make(1, budget=budget)
    first, second = offer(throttle, 2)
    throttle.cancel(first, 1.0)
    assert budget.count == 1
    assert throttle.update([Pod("a")], 2.0) == [second]
    assert first.stage is Stage.DONE


def test_a_slot_granted_to_one_who_left_passes_on() -> None:
    throttle = make(1)
    first, second = offer(throttle, 2)
    assert throttle.update([Pod("a")], 1.0) == [first]
    assert throttle.cancel(first, 1.0) == [second]
    assert throttle.cancel(first, 1.0) == ()
    assert loads(throttle) == {"a": 1}


def test_a_slot_is_released_once() -> None:
    throttle = make(1, "a")
    (ticket,) = offer(throttle, 1)
    throttle.release(ticket, 1.0)
    with pytest.raises(StateError, match="holds no slot"):
        throttle.release(ticket, 1.0)
    with pytest.raises(StateError, match="offered"):
        throttle.offer(ticket, 1.0)


def test_a_busy_answer_puts_the_request_back_in_its_place() -> None:
    throttle = make(1, "a", "b")
    first, second, third, fourth = offer(throttle, 4)
    # In the wrong order: the older one comes back last and still goes first.
    assert throttle.busy(second, 1.0) == ()
    assert throttle.busy(first, 1.0) == ()
    granted = throttle.tick(1.0 + FIRST_PAUSE_S).granted
    assert granted == [first, second]
    assert throttle.release(first, 2.0) == [third]
    assert throttle.release(second, 2.0) == [fourth]


def test_a_busy_pod_is_left_alone_until_it_frees_a_slot() -> None:
    throttle = make(2, "a")
    running, refused = offer(throttle, 2)
    throttle.busy(refused, 1.0)
    assert refused.stage is Stage.WAITING
    assert throttle.release(running, 1.0) == [refused]


def test_a_busy_pod_is_asked_again_after_a_pause_that_grows() -> None:
    throttle = make(1, "a")
    (ticket,) = offer(throttle, 1)
    now, pauses = 0.0, []
    for _ in range(8):
        throttle.busy(ticket, now)
        until = throttle.wake_at()
        assert until is not None
        assert throttle.tick(math.nextafter(until, 0.0)).granted == ()
        assert throttle.tick(until).granted == [ticket]
        pauses.append(until - now)
        now = until
    assert pauses[-1] > 4 * pauses[0]


def test_a_report_of_a_free_slot_opens_a_paused_pod() -> None:
    throttle = make(1, "a")
    (ticket,) = offer(throttle, 1)
    throttle.busy(ticket, 0.0)
    assert throttle.freed("a", 0.0) == [ticket]
    assert throttle.freed("a", 0.0) == ()
    assert throttle.freed("unknown", 0.0) == ()


def test_only_a_probe_clears_a_pod_that_failed() -> None:
    throttle = make(1, "a")
    (ticket,) = offer(throttle, 1)
    throttle.failed(ticket, 0.0, again=True)
    assert throttle.freed("a", 0.0) == ()
    assert throttle.clear("a", 0.0) == [ticket]
    assert throttle.clear("unknown", 0.0) == ()


def test_an_evicted_queue_is_empty() -> None:
    throttle = make(1, "a")
    running, *waiting = offer(throttle, 4)
    throttle.busy(running, 0.0)
    assert throttle.evict() == [running, *waiting]
    assert throttle.statistics().waiting_bytes == throttle.waiting == 0
    assert throttle.tick(1.0).granted == ()


def test_a_failed_pod_gets_one_request_on_trial() -> None:
    throttle = make(0, "a")
    first, second, third = offer(throttle, 3)
    throttle.failed(first, 0.0, again=True)
    throttle.failed(second, 0.0, again=True)
    throttle.release(third, 0.0)
    until = throttle.wake_at()
    assert until is not None
    assert throttle.tick(until).granted == [first]
    assert second.stage is Stage.WAITING
    assert throttle.is_doubtful(first)
    assert throttle.answered(first, until) == [second]
    assert not throttle.is_doubtful(first)


def test_a_trial_that_ends_without_an_answer_is_repeated() -> None:
    throttle = make(0, "a")
    first, second = offer(throttle, 2)
    throttle.failed(first, 0.0, again=False)
    throttle.failed(second, 0.0, again=True)
    assert throttle.tick(LONGEST_SUSPICION_S).granted == [second]
    (third,) = offer(throttle, 1)
    assert third.stage is Stage.WAITING
    assert throttle.cancel(second, 6.0) == [third]


def test_a_trial_that_takes_its_time_keeps_nobody_waiting_for_its_end() -> None:
    throttle = make(0, "a")
    first, second, third = offer(throttle, 3)
    for ticket in (first, second, third):
        throttle.failed(ticket, 0.0, again=True)
    began = LONGEST_SUSPICION_S
    assert throttle.tick(began).granted == [first]
    assert throttle.wake_at() == began + TRIAL_S
    assert throttle.tick(began + TRIAL_S * 0.9).granted == ()
    assert throttle.tick(began + TRIAL_S).granted == [second]
    assert throttle.answered(second, began + TRIAL_S) == [third]


def test_a_trial_in_the_only_slot_is_not_joined_by_another() -> None:
    throttle = make(1, "a")
    first, second = offer(throttle, 2)
    throttle.failed(first, 0.0, again=True)
    began = LONGEST_SUSPICION_S
    assert throttle.tick(began).granted == [first]
    assert throttle.tick(began + 10 * TRIAL_S).granted == ()
    assert throttle.release(first, began + 10 * TRIAL_S) == [second]


def test_what_comes_back_from_a_pod_counts_with_its_size() -> None:
    throttle = make(1, "a")
    (ticket,) = offer(throttle, 1)
    ticket.size, measured = 0, 77

    class Measured(Ticket):
        def measure(self) -> int:
            return measured

    other = Measured(0)
    throttle.release(ticket, 0.0)
    throttle.offer(other, 0.0)
    throttle.busy(other, 0.0)
    assert throttle.statistics().waiting_bytes == measured
    throttle.evict()
    assert throttle.statistics().waiting_bytes == 0


def test_a_failed_pod_is_passed_over_while_others_work() -> None:
    throttle = make(0, "a", "b")
    tickets = offer(throttle, 2)
    bad = tickets[0].pod
    assert bad is not None
    throttle.failed(tickets[0], 0.0, again=True)
    assert tickets[0].pod is tickets[1].pod
    for ticket in offer(throttle, 20):
        assert ticket.pod is not bad


def test_requests_in_a_pod_that_comes_back_still_count() -> None:
    throttle = make(2, "a")
    first, second, third = offer(throttle, 3)
    throttle.update([], 1.0)
    throttle.release(first, 1.0)
    assert third.stage is Stage.WAITING
    assert throttle.update([Pod("a")], 2.0) == [third]
    assert loads(throttle) == {"a": 2}
    throttle.update([], 3.0)
    throttle.release(second, 3.0)
    throttle.release(third, 3.0)
    assert throttle.statistics().pods == ()


def test_a_newcomer_does_not_overtake_while_a_timer_is_late() -> None:
    throttle = make(1, "a")
    (first,) = offer(throttle, 1)
    throttle.busy(first, 0.0)
    (second,) = offer(throttle, 1, now=10.0)
    assert second.stage is Stage.WAITING
    assert throttle.tick(10.0).granted == [first]


def test_waiting_ends_at_the_deadline() -> None:
    throttle = make(1, limits=QueueLimits(wait_s=5.0))
    (first,) = offer(throttle, 1, now=1.0)
    (second,) = offer(throttle, 1, now=2.0)
    assert throttle.wake_at() == 6.0
    due = throttle.tick(6.0)
    assert (due.granted, due.expired) == ((), [first])
    assert second.stage is Stage.WAITING
    assert throttle.waiting == 1


def test_a_request_that_was_sent_back_keeps_its_deadline() -> None:
    throttle = make(1, "a", limits=QueueLimits(wait_s=5.0))
    (ticket,) = offer(throttle, 1, now=1.0)
    throttle.failed(ticket, 5.0, again=True)
    throttle.update([], 5.0)
    assert throttle.tick(6.0).expired == [ticket]


def test_a_higher_limit_lets_waiting_requests_in() -> None:
    throttle = make(1, "a")
    first, second, third = offer(throttle, 3)
    assert throttle.configure(2, ROOMY, 1.0) == [second]
    assert throttle.configure(0, ROOMY, 1.0) == [third]
    assert throttle.configure(1, ROOMY, 1.0) == ()
    (fourth,) = offer(throttle, 1)
    assert fourth.stage is Stage.WAITING
    throttle.release(first, 2.0)
    throttle.release(second, 2.0)
    assert throttle.release(third, 2.0) == [fourth]


@pytest.mark.parametrize("gate", Gate)
@pytest.mark.parametrize("event", Event)
def test_every_event_moves_a_gate_or_is_refused(gate: Gate, event: Event) -> None:
    pod = Slots("a", 1, True)
    pod.gate = gate
    if (gate, event) in TRANSITIONS:
        pod.apply(event)
        assert pod.gate is TRANSITIONS[gate, event]
    else:
        with pytest.raises(StateError, match=f"{event.value} while {gate.value}"):
            pod.apply(event)


@pytest.mark.parametrize("gate", [gate for gate in Gate if gate is not Gate.GONE])
def test_a_pod_that_is_gone_stays_so_until_it_returns(gate: Gate) -> None:
    pod = Slots("a", 1, True)
    pod.gate = gate
    pod.apply(Event.REMOVED)
    for event in (Event.ANSWERED, Event.BUSY, Event.FAILED, Event.FREED):
        pod.apply(event)
        assert pod.gate is Gate.GONE
    pod.apply(Event.RETURNED)
    assert pod.gate is Gate.OPEN


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
def test_the_choice_reaches_every_pod_and_never_misses_its_list(count: int) -> None:
    free = FreePods()
    for number in range(count):
        free.add(Slots(str(number), 0, True))
    chosen = {free.least_loaded(step / 1000) for step in range(1000)}
    assert chosen == set(free.pods)


class ThrottleMachine(RuleBasedStateMachine):
    """Any order of events; the model is the list of tickets in the order of their arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.concurrency = 1
        self.budget = Budget(6, 1 << 20)
        self.throttle: Throttle[Ticket] = Throttle(
            1, QueueLimits(count=5, wait_s=10.0), self.budget, Random(1).random
        )
        self.waiting: list[Ticket] = []
        self.granted: list[Ticket] = []
        self.usable: set[str] = set()

    def grant(self, tickets: Sequence[Ticket]) -> None:
        # First come, first served: what is granted is always the head of the queue.
        assert list(tickets) == self.waiting[: len(tickets)]
        del self.waiting[: len(tickets)]
        self.granted.extend(tickets)

    def wait_again(self, ticket: Ticket) -> None:
        self.granted.remove(ticket)
        self.waiting.append(ticket)
        self.waiting.sort(key=lambda waiting: waiting.order)

    @rule(size=st.integers(0, 100))
    def offer(self, size: int) -> None:
        ticket = Ticket(size)
        match self.throttle.offer(ticket, self.now):
            case Verdict.GRANTED:
                assert not self.waiting
                self.granted.append(ticket)
            case Verdict.QUEUED:
                self.waiting.append(ticket)
            case Verdict.FULL:
                assert len(self.waiting) >= 5

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.granted))
        self.granted.remove(ticket)
        self.grant(self.throttle.release(ticket, self.now))

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.granted))
        if self.throttle.is_doubtful(ticket):
            self.grant(self.throttle.answered(ticket, self.now))

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), is_busy=st.booleans())
    def send_back(self, data: st.DataObject, is_busy: bool) -> None:
        ticket = data.draw(st.sampled_from(self.granted))
        self.wait_again(ticket)
        if is_busy:
            self.grant(self.throttle.busy(ticket, self.now))
        else:
            self.grant(self.throttle.failed(ticket, self.now, again=True))

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.granted))
        self.granted.remove(ticket)
        self.grant(self.throttle.failed(ticket, self.now, again=False))

    @precondition(lambda self: self.waiting or self.granted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.waiting + self.granted))
        (self.waiting if ticket in self.waiting else self.granted).remove(ticket)
        self.grant(self.throttle.cancel(ticket, self.now))

    @rule(keys=st.dictionaries(st.sampled_from("abcd"), st.booleans()))
    def update(self, keys: dict[str, bool]) -> None:
        self.usable = set(keys)
        self.grant(self.throttle.update([Pod(*item) for item in keys.items()], self.now))

    @rule(concurrency=st.integers(0, 3))
    def configure(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.grant(self.throttle.configure(concurrency, self.throttle.limits, self.now))

    @rule(key=st.sampled_from("abcd"))
    def clear(self, key: str) -> None:
        self.grant(self.throttle.clear(key, self.now))

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 1.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and the timer is late."""
        self.now += seconds

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 1.0, 20.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        due = self.throttle.tick(self.now)
        for ticket in due.expired:
            assert ticket.deadline <= self.now
            self.waiting.remove(ticket)
        self.grant(due.granted)

    @invariant()
    def counts_agree(self) -> None:
        statistics = self.throttle.statistics()
        assert statistics.waiting == self.budget.count == len(self.waiting)
        assert statistics.waiting_bytes == self.budget.size == sum(t.size for t in self.waiting)
        assert statistics.active == len(self.granted)
        assert sum(pod.in_flight for pod in statistics.pods) == len(self.granted)
        assert all(ticket.stage is Stage.WAITING for ticket in self.waiting)
        assert all(ticket.stage is Stage.GRANTED for ticket in self.granted)

    @invariant()
    def no_slot_is_free_while_somebody_waits(self) -> None:
        if self.waiting:
            for pod in self.throttle.statistics().pods:
                full = pod.limit > 0 and pod.in_flight >= pod.limit
                assert full or pod.gate not in (Gate.OPEN, Gate.HALF_OPEN)

    @invariant()
    def only_usable_pods_are_there(self) -> None:
        pods = self.throttle.statistics().pods
        assert {pod.key for pod in pods if pod.gate is not Gate.GONE} == self.usable
        assert all(pod.in_flight > 0 for pod in pods if pod.gate is Gate.GONE)


class CapacityMachine(ThrottleMachine):
    """As above with a fixed limit, which is then never exceeded."""

    @rule()
    def configure(self) -> None:
        """The limit of a Revision does not change."""

    @invariant()
    def capacity_is_never_exceeded(self) -> None:
        assert all(pod.in_flight <= 1 for pod in self.throttle.statistics().pods)


TestThrottle = ThrottleMachine.TestCase
TestCapacity = CapacityMachine.TestCase
TestThrottle.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCapacity.settings = TestThrottle.settings
