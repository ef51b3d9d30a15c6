from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.load.meter import Meter, Sample, until_report


def test_concurrency_is_weighted_by_time() -> None:
    meter = Meter(10.0)
    meter.begin(10.0)
    meter.begin(10.5)
    meter.end(10.75)
    assert meter.take(11.0) == Sample(average=1.25, seconds=1.0, requests=2, inflight=1)


def test_what_goes_on_counts_in_the_next_sample_without_being_a_new_request() -> None:
    meter = Meter(0.0)
    meter.begin(0.0)
    meter.take(1.0)
    assert meter.take(2.0) == Sample(average=1.0, seconds=1.0, requests=0, inflight=1)


def test_nothing_is_idle() -> None:
    meter = Meter(0.0)
    assert meter.take(1.0).idle
    meter.begin(1.5)
    meter.end(1.5)
    assert not meter.take(2.0).idle


def test_an_end_without_a_beginning_is_an_error() -> None:
    with pytest.raises(ValueError, match="did not begin"):
        Meter(0.0).end(1.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0.001, 5)),
        max_size=30,
    ),
    st.lists(st.floats(0, 20), max_size=5),
)
def test_the_sum_over_samples_is_the_time_spent_in_requests(
    spans: list[tuple[float, float]], taken_at: list[float]
) -> None:
    events = [(start, 1, "begin") for start, _ in spans]
    events += [(start + length, 2, "end") for start, length in spans]
    events += [(at, 0, "take") for at in [*taken_at, 20.0]]
    meter = Meter(0.0)
    area = 0.0
    requests = 0
    for at, _, what in sorted(events):
        if what == "begin":
            meter.begin(at)
        elif what == "end":
            meter.end(at)
        else:
            sample = meter.take(at)
            area += sample.average * sample.seconds
            requests += sample.requests
    assert area == pytest.approx(sum(length for _, length in spans), abs=1e-6)
    assert requests == len(spans)
    assert meter.inflight == 0


@given(st.floats(0, 2e9))
def test_loads_are_measured_once_a_second_at_its_end(now: float) -> None:
    pause = until_report(now)
    assert 0.05 <= pause <= 1.05
    after = (now + pause) % 1.0
    assert min(after, 1.0 - after) < 1e-5
