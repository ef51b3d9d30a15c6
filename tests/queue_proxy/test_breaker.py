"""The breaker: slots and a bounded queue."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pilotlight_queue_proxy.breaker import Breaker, Statistics


def test_slots_then_queue_then_full() -> None:
    breaker: Breaker[str] = Breaker(2, 2)
    assert [breaker.take() for _ in range(3)] == [True, True, False]
    assert [breaker.wait(name) for name in "abc"] == [True, True, False]
    assert breaker.statistics() == Statistics(2, 2)
    assert breaker.next() is None
    breaker.release()
    assert not breaker.take(), "nobody passes those who wait"
    assert breaker.next() == "a"
    assert breaker.next() is None


def test_a_waiter_that_left_is_passed_over() -> None:
    breaker: Breaker[str] = Breaker(1, 10)
    breaker.take()
    for name in "abc":
        breaker.wait(name)
    assert breaker.withdraw("a")
    assert not breaker.withdraw("a")
    breaker.release()
    assert breaker.next() == "b"
    assert not breaker.withdraw("b"), "who has a slot gives it back by release"


def test_a_slot_cannot_be_released_twice() -> None:
    breaker: Breaker[str] = Breaker(1, 1)
    breaker.take()
    breaker.release()
    with pytest.raises(ValueError, match="nobody had"):
        breaker.release()


@pytest.mark.parametrize(("capacity", "queue"), [(0, 1), (-1, 1), (1, -1)])
def test_bad_sizes(capacity: int, queue: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Breaker(capacity, queue)


class Machine(RuleBasedStateMachine):
    """Any sequence of arrivals, departures and releases, against counting on one's fingers."""

    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.breaker: Breaker[int] = Breaker(3, 5)
        self.running: set[int] = set()
        self.queue: list[int] = []
        self.number = 0

    @rule(target=waiting)
    def arrive(self) -> int:
        self.number += 1
        if self.breaker.take():
            self.running.add(self.number)
        elif self.breaker.wait(self.number):
            self.queue.append(self.number)
        else:
            assert len(self.queue) == 5
        return self.number

    @rule(number=consumes(waiting))
    def leave(self, number: int) -> None:
        if number in self.running:
            self.running.discard(number)
            self.breaker.release()
        else:
            assert self.breaker.withdraw(number) is (number in self.queue)
            if number in self.queue:
                self.queue.remove(number)
        self.grant()

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.running:
            self.running.discard(data.draw(st.sampled_from(sorted(self.running))))
            self.breaker.release()
            self.grant()

    def grant(self) -> None:
        while (granted := self.breaker.next()) is not None:
            assert granted == self.queue.pop(0)
            self.running.add(granted)

    @invariant()
    def counts_agree(self) -> None:
        assert self.breaker.statistics() == Statistics(len(self.running), len(self.queue))
        assert len(self.running) <= 3
        assert not self.queue or len(self.running) == 3, "a free slot while somebody waits"


Machine.TestCase.settings = settings(max_examples=200, deadline=None)
TestBreaker = Machine.TestCase
