"""Bounds, the way to zero, and the condition Active, by tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_autoscaler.bounds import Bounds, bound, least_ready
from pilotlight_autoscaler.decide import Rule
from pilotlight_autoscaler.zero import UNDECIDED, Activity, Life, next_activity, to_zero

NOW = 10_000.0


@dataclass(frozen=True)
class Case:
    least: int = 0
    most: int = 0
    initial: int = 1
    initialized: bool = True
    reachable: bool = True
    held: int = 0
    first: int = 0

    def bounds(self) -> Bounds:
        return Bounds(
            np.array([self.least]),
            np.array([self.most]),
            np.array([self.initial]),
            np.array([self.initialized]),
            np.array([self.reachable]),
            np.array([self.held]),
            np.array([self.first]),
        )


NEW = Case(initialized=False)


@pytest.mark.parametrize(
    ("case", "desired", "wanted", "rule"),
    [
        pytest.param(Case(), 5, 5, Rule.TARGET, id="free"),
        pytest.param(Case(least=3), 1, 3, Rule.MIN_SCALE, id="min"),
        pytest.param(Case(least=3), -1, 3, Rule.MIN_SCALE, id="min before any decision"),
        pytest.param(Case(least=3, reachable=False), 0, 0, Rule.TARGET, id="unreachable: no min"),
        pytest.param(Case(most=4), 9, 4, Rule.MAX_SCALE, id="max"),
        pytest.param(Case(most=4, reachable=False), 9, 4, Rule.MAX_SCALE, id="unreachable: max"),
        pytest.param(Case(initial=4, initialized=False), 1, 4, Rule.INITIAL_SCALE, id="initial"),
        pytest.param(Case(first=4), 9, 4, Rule.FIRST_PODS, id="first pods"),
        pytest.param(Case(first=4), 4, 4, Rule.TARGET, id="no more than the first pods"),
        pytest.param(Case(first=4, least=6), 9, 6, Rule.FIRST_PODS, id="first pods, but min"),
        pytest.param(Case(first=4, most=2), 9, 2, Rule.MAX_SCALE, id="first pods, but max"),
        pytest.param(Case(first=4, held=7), 9, 7, Rule.NO_DATA, id="first pods, but held"),
        pytest.param(Case(initial=4), 1, 1, Rule.TARGET, id="initial scale was reached"),
        pytest.param(NEW, 0, 0, Rule.TARGET, id="an initial scale of 1 is no bound"),
        pytest.param(
            Case(least=5, initial=4, initialized=False),
            1,
            5,
            Rule.MIN_SCALE,
            id="min above initial",
        ),
        pytest.param(
            Case(initial=4, initialized=False, reachable=False), 1, 1, Rule.TARGET, id="given up"
        ),
        pytest.param(Case(held=6), 2, 6, Rule.NO_DATA, id="held"),
        pytest.param(Case(held=6, most=3), 2, 6, Rule.NO_DATA, id="held above max"),
        pytest.param(Case(held=6), 8, 8, Rule.TARGET, id="held, but more is wanted"),
    ],
)
def test_bound(case: Case, desired: int, wanted: int, rule: Rule) -> None:
    found = bound(np.array([desired]), np.array([Rule.TARGET]), case.bounds())
    assert (found.wanted.tolist(), found.rule.tolist()) == ([wanted], [rule])


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(Case(), 1, id="at least one"),
        pytest.param(Case(least=3, initial=5), 3, id="min"),
        pytest.param(Case(least=3, initial=5, initialized=False), 5, id="initial"),
        pytest.param(Case(initial=0, initialized=False), 0, id="initial scale 0"),
        pytest.param(Case(least=3, reachable=False), 1, id="unreachable"),
    ],
)
def test_least_ready(case: Case, expected: int) -> None:
    assert least_ready(case.bounds()).tolist() == [expected]


@given(
    st.integers(-1, 50),
    st.builds(
        Case,
        least=st.integers(0, 9),
        most=st.integers(10, 20),
        initial=st.integers(0, 12),
        initialized=st.booleans(),
        reachable=st.booleans(),
    ),
)
def test_bounds_hold(desired: int, case: Case) -> None:
    wanted = bound(np.array([desired]), np.array([Rule.TARGET]), case.bounds()).wanted[0]
    assert wanted <= case.most
    assert wanted >= (case.least if case.reachable else -1)


def life(activity: Activity, lasted: float, retention_s: float = 0.0) -> Life:
    return Life(
        np.array([activity]),
        np.array([NOW - lasted]),
        np.array([60]),
        np.array([retention_s]),
        np.array([630.0]),
    )


A = Activity


@pytest.mark.parametrize(
    ("state", "want", "apply", "rule"),
    [
        pytest.param(life(A.ACTIVATING, 629), -1, False, Rule.ACTIVATING, id="still starting"),
        pytest.param(life(A.ACTIVATING, 630), 0, True, Rule.ACTIVATION_TIMEOUT, id="gave up"),
        pytest.param(life(A.ACTIVE, 59), 1, True, Rule.STABLE_WINDOW, id="active too shortly"),
        pytest.param(life(A.ACTIVE, 60), 0, False, Rule.NO_TRAFFIC, id="turns inactive first"),
        pytest.param(life(A.INACTIVE, 0), 0, True, Rule.NO_TRAFFIC, id="inactive: zero"),
        pytest.param(life(A.INACTIVE, 9, 10), 0, False, Rule.POD_RETENTION, id="last pod kept"),
        pytest.param(life(A.INACTIVE, 10, 10), 0, True, Rule.NO_TRAFFIC, id="kept long enough"),
        pytest.param(life(A.TIMED_OUT, 0), 0, True, Rule.NO_TRAFFIC, id="timed out: zero"),
    ],
)
def test_the_last_step(state: Life, want: int, apply: bool, rule: Rule) -> None:
    step = to_zero(np.array([0]), np.array([Rule.IDLE]), state, True, NOW)
    assert (step.want.tolist(), step.apply.tolist()) == ([want], [apply])
    assert step.rule.tolist() == [rule]


@pytest.mark.parametrize("activity", list(Activity), ids=lambda a: a.name)
def test_scale_to_zero_can_be_off(activity: Activity) -> None:
    step = to_zero(np.array([0]), np.array([Rule.IDLE]), life(activity, 1e9), False, NOW)
    assert (step.want.tolist(), step.apply.tolist()) == ([1], [True])
    assert step.rule.tolist() == [Rule.ZERO_DISABLED]


@given(st.integers(1, 100), st.sampled_from(Activity), st.floats(0, 1e6), st.booleans())
def test_more_than_zero_passes(
    wanted: int, activity: Activity, lasted: float, enabled: bool
) -> None:
    step = to_zero(
        np.array([wanted]), np.array([Rule.TARGET]), life(activity, lasted), enabled, NOW
    )
    assert (step.want[0], step.apply[0], step.rule[0]) == (wanted, True, Rule.TARGET)


def test_undecided_is_never_written() -> None:
    step = to_zero(np.array([-1]), np.array([Rule.IDLE]), life(A.ACTIVE, 1e9), True, NOW)
    assert (step.want.tolist(), step.apply.tolist()) == ([UNDECIDED], [False])


@pytest.mark.parametrize(
    ("want", "ready", "least", "before", "after"),
    [
        pytest.param(0, 0, 1, A.ACTIVATING, A.TIMED_OUT, id="wanted 0 while activating"),
        pytest.param(0, 0, 0, A.ACTIVATING, A.INACTIVE, id="initial scale 0"),
        pytest.param(-1, 0, 0, A.ACTIVATING, A.INACTIVE, id="initial scale 0, undecided"),
        pytest.param(0, 1, 1, A.ACTIVE, A.INACTIVE, id="no traffic"),
        pytest.param(0, 0, 1, A.TIMED_OUT, A.TIMED_OUT, id="timed out, still at zero"),
        pytest.param(3, 0, 1, A.TIMED_OUT, A.ACTIVATING, id="tried again"),
        pytest.param(1, 0, 1, A.INACTIVE, A.ACTIVATING, id="waking"),
        pytest.param(1, 0, 1, A.ACTIVE, A.ACTIVATING, id="lost its pods"),
        pytest.param(-1, 0, 1, A.INACTIVE, A.INACTIVE, id="asleep, undecided"),
        pytest.param(-1, 0, 1, A.ACTIVE, A.ACTIVATING, id="undecided, pods lost"),
        pytest.param(1, 1, 1, A.ACTIVATING, A.ACTIVE, id="lit"),
        pytest.param(5, 3, 3, A.ACTIVATING, A.ACTIVE, id="least is enough"),
        pytest.param(5, 2, 3, A.ACTIVATING, A.ACTIVATING, id="least is not reached"),
        pytest.param(-1, 1, 1, A.INACTIVE, A.INACTIVE, id="ready, undecided, inactive"),
        pytest.param(-1, 1, 1, A.ACTIVATING, A.ACTIVE, id="ready, undecided"),
    ],
)
def test_next_activity(
    want: int, ready: int, least: int, before: Activity, after: Activity
) -> None:
    found = next_activity(
        np.array([want]), np.array([ready]), np.array([least]), np.array([before])
    )
    assert found.tolist() == [after]
