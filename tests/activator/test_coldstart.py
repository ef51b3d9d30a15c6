"""The phases of a cold start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_activator.coldstart import Marks, Phase, phases, queue_timing, server_timing

MOMENTS = ("decided", "patched", "started", "answered", "announced")


def test_all_moments_known() -> None:
    marks = Marks(100.0, 106.0, 100.5, 101.0, 103.0, 104.5, 105.0)
    assert phases(marks) == (
        Phase("decide", 0.5),
        Phase("patch", 0.5),
        Phase("schedule", 2.0),
        Phase("start", 1.5),
        Phase("announce", 0.5),
        Phase("first-byte", 1.0),
    )


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param(
            Marks(10.0, 12.0), {"first-byte": 2.0}, id="only what this activator saw itself"
        ),
        pytest.param(
            Marks(10.0, 14.0, announced=13.0),
            {"announce": 3.0, "first-byte": 1.0},
            id="a pod that our probe found",
        ),
        pytest.param(
            Marks(10.0, 14.0, 8.0, 9.0, 11.0, 12.0, 13.0),
            {"decide": 0.0, "patch": 0.0, "schedule": 1.0, "start": 1.0, "announce": 1.0}
            | {"first-byte": 1.0},
            id="decided before the request came",
        ),
        pytest.param(
            Marks(10.0, 14.0, 11.0, 10.5, 20.0, 12.0, 13.0),
            {"decide": 1.0, "patch": 0.0, "schedule": 3.0, "start": 0.0, "announce": 0.0}
            | {"first-byte": 0.0},
            id="a clock that is ahead",
        ),
    ],
)
def test_moments_that_are_missing_or_out_of_order(marks: Marks, expected: dict[str, float]) -> None:
    assert {phase.name: phase.seconds for phase in phases(marks)} == expected


@given(
    requested=st.floats(0, 1000),
    first_byte=st.floats(0, 1000),
    moments=st.fixed_dictionaries({name: st.none() | st.floats(-1000, 2000) for name in MOMENTS}),
)
def test_phases_add_up_and_are_never_negative(
    requested: float, first_byte: float, moments: dict[str, float | None]
) -> None:
    found = phases(Marks(requested, first_byte, **moments))
    assert all(phase.seconds >= 0 for phase in found)
    total = max(first_byte - requested, 0.0)
    assert sum(phase.seconds for phase in found) == pytest.approx(total, abs=1e-6)


def test_the_header() -> None:
    found = (Phase("decide", 0.0021), Phase("first-byte", 0.25))
    assert server_timing(found, 0.2521) == b"decide;dur=2.1, first-byte;dur=250.0, total;dur=252.1"
    assert queue_timing(0.0123) == b"queue;dur=12.3"
