"""Windows: hand-worked cases, and the scalar oracle over generated histories."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight_autoscaler.ring import weights
from pilotlight_autoscaler.windows import Shape, Share, Windows, spread
from tests.autoscaler.oracle import Window

START = 1_000_000
NOBODY = np.zeros(0, np.int64)


def windows_with(*shapes: Shape) -> Windows:
    windows = Windows(START)
    for row, shape in enumerate(shapes):
        windows.put(row, shape)
    return windows


def averages_at(windows: Windows, second: int, row: int = 0) -> tuple[float, float]:
    """The averages of windows that end with `second`."""
    windows.advance(second + 1, NOBODY)
    sums = windows.averages(8)
    return float(sums.stable[row]), float(sums.panic[row])


@pytest.mark.parametrize(
    ("writes", "end", "stable", "panic"),
    [
        pytest.param({0: 6.0}, 0, 6.0, 6.0, id="one second is divided by one"),
        pytest.param({0: 6.0}, 1, 6.0, 6.0, id="silence takes no part: 6 / 1"),
        pytest.param({0: 6.0}, 5, 6.0, 0.0, id="it left the panic window of 2"),
        pytest.param({0: 6.0}, 9, 6.0, 0.0, id="the last second in the window of 10"),
        pytest.param({0: 6.0}, 10, 0.0, 0.0, id="a whole window of silence"),
        pytest.param({0: 6.0, 2: 3.0}, 2, 3.0, 3.0, id="a skipped second is 0: 9 / 3"),
        pytest.param({0: 6.0, 3: 3.0}, 3, 2.25, 3.0, id="panic began anew after 2 s: 9 / 4, 3 / 1"),
        pytest.param(dict.fromkeys(range(20), 1.0), 19, 1.0, 1.0, id="full"),
        pytest.param({0: 1.0, 10: 5.0}, 10, 5.0, 5.0, id="begun anew after a whole window"),
        pytest.param({0: 1.0, 9: 5.0}, 9, 0.6, 5.0, id="not yet anew: 6 / 10"),
        pytest.param({0: 1.0, 1: 1.0, 2: 2.0}, 2, 1.333333, 1.5, id="rounded down to six digits"),
    ],
)
def test_plain_average(writes: dict[int, float], end: int, stable: float, panic: float) -> None:
    windows = windows_with(Shape(10, 2))
    for second, value in writes.items():
        windows.advance(START + second, NOBODY)
        windows.record(0, Share(START + second, value, 0.0))
    assert averages_at(windows, START + end) == (stable, panic)


def test_weighted_average_by_hand() -> None:
    windows = windows_with(Shape(6, 1, weighted=True))
    windows.record(0, Share(START, 10.0, 0.0))
    windows.record(0, Share(START + 1, 20.0, 0.0))
    decay = 1 - 0.0001 ** (1 / 6)
    stable, panic = averages_at(windows, START + 1)
    assert stable == pytest.approx(decay * 20 + decay * (1 - decay) * 10)
    assert panic == pytest.approx((1 - 0.0001) * 20)


@pytest.mark.parametrize("window", [1, 2, 6, 60, 3600])
def test_weights_follow_the_formula(window: int) -> None:
    found = weights(window)
    assert len(found) == window
    assert found[0] == pytest.approx(max(1 - 0.0001 ** (1 / window), 0.2))
    assert (np.diff(found) <= 0).all()


def test_a_watched_row_counts_its_silence_as_zero() -> None:
    windows = windows_with(Shape(10, 2), Shape(10, 2))
    for row in (0, 1):
        windows.record(row, Share(START, 8.0, 0.0))
    for second in range(1, 8, 2):
        windows.advance(START + second + 1, np.array([0]))
    sums = windows.averages(2)
    assert sums.stable.tolist() == [1.0, 8.0]


def test_a_watched_row_never_starts_its_panic_window_anew() -> None:
    windows = windows_with(Shape(10, 2))
    for second in range(0, 8, 2):
        windows.advance(START + second, np.array([0]))
    windows.record(0, Share(START + 7, 4.0, 0.0))
    windows.advance(START + 8, np.array([0]))
    assert float(windows.averages(1).panic[0]) == 2.0


@pytest.mark.parametrize("panic_s", [1, 2, 3])
@pytest.mark.parametrize("phase", [0.0, 0.05, 0.3])
def test_what_is_known_of_the_present_second_hides_nothing(panic_s: int, phase: float) -> None:
    """Reports come a little after a second's end, with the beginning of the next one in them."""
    windows = windows_with(Shape(6, panic_s))
    for second in range(1, 12):
        for share in spread(START + second + phase, 1.0, 40.0):
            windows.record(0, share)
        stable, panic = averages_at(windows, START + second - 1)
        if second > 1:
            assert stable == pytest.approx(40.0, rel=0.06)
            assert panic == pytest.approx(40.0, rel=0.06)


def test_a_second_reporter_tells_of_the_second_before_the_first_write() -> None:
    windows = windows_with(Shape(6, 1))
    windows.record(0, Share(START + 1, 1.0, 0.0))
    windows.record(0, Share(START, 5.0, 0.0))
    assert averages_at(windows, START) == (5.0, 5.0)


@pytest.mark.parametrize(
    ("now", "seconds", "expected"),
    [
        pytest.param(10.25, 1.0, [(10, 1.5, 0.0), (9, 4.5, 0.25)], id="over a boundary"),
        pytest.param(11.0, 1.0, [(10, 6.0, 0.0)], id="a whole second"),
        pytest.param(10.75, 0.25, [(10, 6.0, 0.5)], id="within a second"),
        pytest.param(12.5, 2.0, [(12, 1.5, 0.0), (11, 3.0, 0.0), (10, 1.5, 0.5)], id="over two"),
        pytest.param(10.5, 0.0, [(10, 6.0, 0.5)], id="a moment"),
        pytest.param(11.0, 0.0, [(10, 6.0, 1.0)], id="a moment on a boundary"),
    ],
)
def test_spread(now: float, seconds: float, expected: list[tuple[int, float, float]]) -> None:
    assert [tuple(share) for share in spread(now, seconds, 6.0)] == expected


@given(st.floats(1e6, 1e7), st.floats(0, 3000), st.floats(0, 1e6))
def test_spread_keeps_the_mass(now: float, seconds: float, mass: float) -> None:
    shares = spread(now, seconds, mass)
    assert sum(share.mass for share in shares) == pytest.approx(mass, rel=1e-6, abs=1e-6)
    assert all(0 <= share.gap <= 1 and share.mass >= 0 for share in shares)
    assert len({share.second for share in shares}) == len(shares)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.floats(0.05, 1.2), st.integers(0, 50)), min_size=2, max_size=60))
def test_steady_load_within_each_record_is_exact(records: list[tuple[float, int]]) -> None:
    windows = windows_with(Shape(3600, 360))
    now = float(START)
    mass: dict[int, float] = {}
    for length, level in records:
        for share in spread(now + length, length, level * length):
            windows.record(0, share)
            mass[share.second] = mass.get(share.second, 0.0) + share.mass
        now += length
    end = math.floor(now) - 1
    assert all(part <= 50 + 1e-3 for part in mass.values()), "no second has more than there was"
    if end >= START:
        true = sum(part for second, part in mass.items() if second <= end) / (end + 1 - START)
        assert averages_at(windows, end)[0] == pytest.approx(true, abs=1e-5)


def test_an_endless_record_is_bounded() -> None:
    assert len(spread(1e6, 86_000.0, 1.0)) == 3600


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.floats(0.05, 3.0), st.integers(0, 50)), min_size=1, max_size=30),
    st.lists(st.floats(0.1, 1.2), min_size=1, max_size=10),
)
def test_the_average_is_the_true_integral_whatever_the_report_times(
    course: list[tuple[float, int]], pauses: list[float]
) -> None:
    """Load is a staircase, reports come at any times. What is off is at most what one record
    shifts over each end of the window."""
    times, levels = [float(START)], []
    for length, level in course:
        times.append(times[-1] + length)
        levels.append(level)

    def integral(begin: float, end: float) -> float:
        return sum(
            level * max(0.0, min(end, after) - max(begin, before))
            for level, before, after in zip(levels, times, times[1:], strict=False)
        )

    windows = windows_with(Shape(60, 6))
    now, step = float(START), 0
    while now < times[-1]:
        pause = pauses[step % len(pauses)]
        step += 1
        for share in spread(now + pause, pause, integral(now, now + pause)):
            windows.record(0, share)
        now += pause
    end = math.floor(now) - 1
    if end < START:
        return
    stable, panic = averages_at(windows, end)
    for found, size in ((stable, 60), (panic, 6)):
        begin = max(START, end + 1 - size)
        true = integral(begin, end + 1) / (end + 1 - begin)
        off = 2 * max(levels) * max(pauses) / (end + 1 - begin)
        assert found == pytest.approx(true, abs=off + 1e-4)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        pytest.param(0.9, 2, 100.0, id="ten and a hundred in 1.1 s"),
        pytest.param(0.5, 3, 100.0, id="fifty and two hundred in 2.5 s"),
        pytest.param(0.9, 1, 10.0, id="a tenth of a second is not taken for more"),
        pytest.param(0.0, 2, 100.0, id="whole seconds"),
    ],
)
def test_a_burst_is_seen_at_its_height(begin: float, end: int, expected: float) -> None:
    windows = windows_with(Shape(60, 6))
    now = START + begin
    while now < START + end:
        length = min(START + end - now, 1.0)
        for share in spread(now + length, length, 100.0 * length):
            windows.record(0, share)
        now += length
    assert averages_at(windows, START + end - 1) == pytest.approx((expected, expected), abs=1e-4)


@pytest.mark.parametrize(
    "shape", [Shape(60, 61), Shape(60, 0), Shape(3601, 6)], ids=lambda shape: str(shape)
)
def test_impossible_windows_are_refused(shape: Shape) -> None:
    with pytest.raises(ValueError, match="1 <= panic <= stable <= 3600"):
        Windows(START).put(0, shape)


def test_a_peek_sees_the_present_second_and_changes_nothing() -> None:
    windows = windows_with(Shape(10, 2), Shape(10, 2, weighted=True))
    windows.record(0, Share(START + 1, 4.0, 0.0))
    windows.record(1, Share(START + 1, 4.0, 0.0))
    sums = windows.peek(np.array([1, 0]), START + 1.5)
    assert (sums.stable[1], sums.panic[1]) == (4.0, 4.0)
    assert sums.panic[0] == pytest.approx((1 - 0.01) * 4.0)
    assert averages_at(windows, START) == (0.0, 0.0)
    assert averages_at(windows, START + 1) == (4.0, 4.0)


def test_a_peek_long_after_the_last_tick_is_right() -> None:
    windows = windows_with(Shape(10, 2))
    windows.record(0, Share(START + 30, 4.0, 0.0))
    assert windows.peek(np.array([0]), START + 30.5).panic.tolist() == [4.0]


def test_a_row_that_moves_to_another_size_keeps_its_load() -> None:
    windows = windows_with(Shape(6, 1), Shape(6, 1))
    for second in range(6):
        windows.advance(START + second, NOBODY)
        windows.record(0, Share(START + second, 3.0, 0.0))
        windows.record(1, Share(START + second, 5.0, 0.0))
    windows.put(0, Shape(120, 12))
    assert averages_at(windows, START + 5) == (3.0, 3.0)
    windows.put(0, Shape(6, 1))
    assert averages_at(windows, START + 5) == (3.0, 3.0)
    assert averages_at(windows, START + 5, row=1) == (5.0, 5.0)


def test_a_dropped_row_leaves_nothing_behind() -> None:
    windows = windows_with(Shape(60, 6))
    windows.record(0, Share(START, 50.0, 0.0))
    windows.advance(START + 1, NOBODY)
    windows.record(0, Share(START + 1, 50.0, 0.0))
    windows.drop(0)
    windows.put(0, Shape(60, 6))
    assert averages_at(windows, START + 2) == (0.0, 0.0)


def test_a_bucket_saturates_and_the_sum_stays_positive() -> None:
    windows = windows_with(Shape(3600, 360))
    for second in range(3600):
        windows.record(0, Share(START + second, 1e9, 0.0))
        windows.record(0, Share(START + second, 1e9, 0.0))
        windows.advance(START + second + 1, NOBODY)
    assert averages_at(windows, START + 3599) == (2e6, 2e6)


def test_many_rows_grow_and_keep_apart() -> None:
    windows = windows_with(*[Shape(60, 6)] * 500)
    for row in range(500):
        windows.record(row, Share(START, float(row), 0.0))
    windows.advance(START + 1, NOBODY)
    assert windows.averages(500).stable.tolist() == [float(row) for row in range(500)]


shapes = st.tuples(st.integers(6, 130), st.integers(1, 100), st.booleans()).map(
    lambda s: Shape(s[0], max(1, math.floor(s[0] * s[1] / 100 + 0.5)), s[2])
)
# Multiples of 1/1024 are exact in both, so that plain averages must agree to the last bit.
loads = st.integers(0, 1_000_000).map(lambda n: n / 1024)
histories = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 5),
        loads,
        st.sampled_from([0, 0, 0, 1, 1, 1, 2, 7, 40, 140]),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(shapes, min_size=3, max_size=3), histories, st.lists(st.integers(0, 3), min_size=1))
def test_windows_agree_with_the_oracle(
    wanted: list[Shape], history: list[tuple[int, int, float, int]], gaps: list[int]
) -> None:
    """Rows of different windows, late reports, silences, and decisions at odd intervals."""
    windows = windows_with(*wanted)
    oracles = [(Window(shape.stable_s), Window(shape.panic_s)) for shape in wanted]
    now = START
    for step, (row, late, load, pause) in enumerate(history):
        second = now - min(late, 2 * (step % 2))
        windows.record(row, Share(second, load, 0.0))
        for oracle in oracles[row]:
            oracle.write(second, load)
        now += pause
        if step % (gaps[step % len(gaps)] + 1) == 0 or pause > 2:
            windows.advance(now + 1, NOBODY)
            sums = windows.averages(len(wanted))
            for at, shape in enumerate(wanted):
                check(shape, oracles[at][0], float(sums.stable[at]), now)
                check(shape, oracles[at][1], float(sums.panic[at]), now)


def check(shape: Shape, oracle: Window, found: float, now: int) -> None:
    if shape.weighted:
        assert found == pytest.approx(oracle.weighted(now), rel=1e-9, abs=1e-9)
    else:
        assert found == oracle.linear(now)
