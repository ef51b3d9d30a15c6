"""The decision: hand-worked cases, properties, and the scalar oracle over generated histories."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight_autoscaler.decide import Load, Panic, Rates, Rule, Verdict, Wishes, decide
from pilotlight_autoscaler.delays import Delays
from tests.autoscaler.oracle import Decider, Wish

NOW = 1000.0


def decide_one(
    wish: Wish, stable: float, panic: float, ready: int, memory: tuple[float, int] = (math.nan, 0)
) -> Verdict:
    return decide(
        Load(np.array([stable]), np.array([panic]), np.array([ready])),
        wishes_of([wish]),
        Rates(wish.up, wish.down),
        Panic(np.array([memory[0]]), np.array([memory[1]])),
        NOW,
    )


def wishes_of(wishes: list[Wish]) -> Wishes:
    return Wishes(
        np.array([w.target for w in wishes]),
        np.array([w.panic_threshold for w in wishes]),
        np.array([w.activation for w in wishes]),
        np.array([w.reachable for w in wishes]),
        np.array([w.stable_s for w in wishes]),
    )


PLAIN = Wish(target=10.0)


@pytest.mark.parametrize(
    ("wish", "stable", "panic", "ready", "desired", "rule"),
    [
        pytest.param(PLAIN, 0.0, 0.0, 0, 0, Rule.IDLE, id="nothing"),
        pytest.param(PLAIN, 0.0, 0.0, 1, 0, Rule.IDLE, id="floor(1 / 2) = 0 allows zero"),
        pytest.param(PLAIN, 0.001, 0.0, 1, 1, Rule.TARGET, id="any load wants a pod"),
        pytest.param(PLAIN, 61.0, 61.0, 7, 7, Rule.TARGET, id="ceil(61 / 10)"),
        pytest.param(PLAIN, 60.0, 60.0, 6, 6, Rule.TARGET, id="60 / 10 exactly"),
        pytest.param(PLAIN, 0.0, 0.0, 9, 4, Rule.MAX_SCALE_DOWN_RATE, id="floor(9 / 2)"),
        pytest.param(
            Wish(target=10.0, reachable=False), 0.0, 0.0, 9, 0, Rule.IDLE, id="unreachable"
        ),
        pytest.param(
            Wish(target=10.0, up=2.0), 80.0, 20.0, 2, 4, Rule.MAX_SCALE_UP_RATE, id="2 * 2"
        ),
        pytest.param(
            Wish(target=10.0, activation=5), 11.0, 1.0, 3, 5, Rule.ACTIVATION_SCALE, id="activation"
        ),
        pytest.param(
            Wish(target=10.0, activation=5), 0.0, 0.0, 1, 0, Rule.IDLE, id="no load, no floor"
        ),
        pytest.param(
            Wish(target=10.0, activation=1), 1.0, 1.0, 1, 1, Rule.TARGET, id="1 means nothing"
        ),
        pytest.param(
            Wish(target=10.0, activation=9, up=2.0),
            *(11.0, 1.0, 1, 9, Rule.ACTIVATION_SCALE),
            id="activation exceeds the rate",
        ),
        pytest.param(PLAIN, 10.0, 40.0, 2, 4, Rule.PANIC, id="4 / 2 reaches the threshold of 2"),
        pytest.param(PLAIN, 10.0, 39.0, 2, 4, Rule.PANIC, id="ceil comes before the comparison"),
        pytest.param(PLAIN, 10.0, 30.0, 2, 1, Rule.TARGET, id="3 / 2 does not"),
        pytest.param(PLAIN, 50.0, 40.0, 2, 5, Rule.TARGET, id="panic, but stable wants more"),
    ],
)
def test_one_decision(
    wish: Wish, stable: float, panic: float, ready: int, desired: int, rule: Rule
) -> None:
    verdict = decide_one(wish, stable, panic, ready)
    assert (verdict.desired.tolist(), verdict.rule.tolist()) == ([desired], [rule])


@pytest.mark.parametrize(
    ("since", "desired", "ended"),
    [
        pytest.param(NOW - 1, 8, False, id="in panic nothing goes down"),
        pytest.param(NOW - 60, 8, False, id="for a whole stable window"),
        pytest.param(NOW - 60.1, 4, True, id="and then at the allowed rate"),
    ],
)
def test_panic_lasts(since: float, desired: int, ended: bool) -> None:
    verdict = decide_one(PLAIN, 10.0, 10.0, 8, (since, 8))
    assert verdict.desired.tolist() == [desired]
    assert np.isnan(verdict.panic.since).tolist() == [ended]
    assert verdict.panic.most.tolist() == [0 if ended else 8]


def test_panic_is_extended_while_it_is_needed() -> None:
    verdict = decide_one(PLAIN, 10.0, 100.0, 2, (NOW - 59, 5))
    assert verdict.panic.since.tolist() == [NOW]
    assert verdict.desired.tolist() == [10]


def test_counts_saturate() -> None:
    verdict = decide_one(Wish(target=0.01), 2e6, 2e6, 2**31 - 1)
    assert verdict.up.tolist() == [2**31 - 1]


wishes = st.builds(
    Wish,
    target=st.sampled_from([0.01, 0.7, 1.0, 7.0, 70.0, 200.0]),
    panic_threshold=st.sampled_from([1.1, 2.0, 10.0]),
    activation=st.sampled_from([0, 1, 2, 7]),
    reachable=st.booleans(),
    stable_s=st.sampled_from([6, 60, 600]),
    up=st.sampled_from([1.1, 2.0, 1000.0]),
    down=st.sampled_from([1.1, 2.0, 10.0]),
)
averages = st.one_of(st.just(0.0), st.floats(0, 5000).map(lambda x: math.floor(x * 1e6) / 1e6))
rates = st.tuples(st.sampled_from([1.1, 2.0, 1000.0]), st.sampled_from([1.1, 2.0, 10.0]))
steps = st.lists(
    st.tuples(
        st.lists(st.tuples(averages, averages, st.integers(0, 60)), min_size=3, max_size=3),
        st.sampled_from([2, 2, 2, 2, 30, 61]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(wishes, st.sampled_from([0, 0, 2, 5, 30])), min_size=3, max_size=3),
    rates,
    steps,
)
def test_decisions_agree_with_the_oracle(
    rows: list[tuple[Wish, int]],
    rate: tuple[float, float],
    history: list[tuple[list[tuple[float, float, int]], int]],
) -> None:
    deciders = [Decider(delay_s=delay) for _, delay in rows]
    delays = Delays()
    for row, (wish, delay) in enumerate(rows):
        wish.up, wish.down = rate
        delays.put(row, delay)
    columns = wishes_of([wish for wish, _ in rows])
    panic = Panic(np.full(3, np.nan), np.zeros(3, np.int64))
    now = NOW
    for seen, pause in history:
        expected = [deciders[row].decide(*seen[row], rows[row][0], now) for row in range(len(rows))]
        stable, short, ready = (np.array(column) for column in zip(*seen, strict=True))
        load = Load(stable.astype(float), short.astype(float), ready)
        verdict = decide(load, columns, Rates(*rate), panic, now)
        panic = verdict.panic
        found = verdict.desired.copy()
        held = np.flatnonzero(delays.has(np.arange(3)) & columns.reachable)
        found[held] = delays.record(held, found[held], now)
        assert found.tolist() == expected
        now += pause


@given(wishes, averages, averages, st.floats(0, 5000), st.integers(0, 60))
def test_more_load_never_wants_fewer_pods(
    wish: Wish, stable: float, panic: float, more: float, ready: int
) -> None:
    low = decide_one(wish, stable, panic, ready).desired[0]
    high = decide_one(wish, stable + more, panic + more, ready).desired[0]
    assert high >= low


@given(wishes, averages, averages, st.integers(0, 60))
def test_a_decision_stays_within_its_rates(
    wish: Wish, stable: float, panic: float, ready: int
) -> None:
    verdict = decide_one(wish, stable, panic, ready)
    assert verdict.down[0] <= verdict.desired[0] <= max(verdict.up[0], wish.activation)


def test_the_arguments_are_left_alone() -> None:
    panic = Panic(np.array([np.nan]), np.array([0]))
    load = Load(np.array([100.0]), np.array([100.0]), np.array([1]))
    decide(load, wishes_of([PLAIN]), Rates(1000.0, 2.0), panic, NOW)
    assert np.isnan(panic.since[0])
    assert panic.most[0] == 0


def test_a_longer_delay_keeps_what_was_wished() -> None:
    delays, row = Delays(), np.array([0])
    delays.put(0, 4)
    assert delays.record(row, np.array([9]), 100.0).tolist() == [9]
    delays.put(0, 60)
    assert delays.record(row, np.array([1]), 104.0).tolist() == [9]
    delays.put(0, 2)
    assert delays.record(row, np.array([1]), 106.0).tolist() == [1]


def test_delays_come_and_go() -> None:
    delays = Delays()
    for row in range(100):
        delays.put(row, 10)
    rows = np.arange(100)
    delays.record(rows, rows, 50.0)
    assert delays.record(rows, rows * 0, 52.0).tolist() == rows.tolist()
    for row in range(100):
        delays.put(row, 0)
    assert len(delays) == 0
    delays.put(7, 10)
    assert delays.record(np.array([7]), np.array([1]), 54.0).tolist() == [1]
