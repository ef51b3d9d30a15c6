from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results import percentile, percentile_rows, row, table, write


def test_a_row_is_the_median_and_the_bounds() -> None:
    made = row("http1 13B c16", "nginx", "cpu_us_per_request", "us", [3.0, 1.0, 2.0])
    assert (made.median, made.min, made.max, made.rounds) == (2.0, 1.0, 3.0, 3)


def test_no_measurement_is_no_row() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        row("a", "b", "c", "d", [])


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (25, 1.0), (26, 2.0), (50, 2.0), (95, 4.0), (100, 4.0)]
)
def test_percentiles_are_nearest_ranks(percent: float, value: float) -> None:
    assert percentile([4.0, 2.0, 1.0, 3.0], percent) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_covers_its_share(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6


def test_results_are_written_as_they_are_read(tmp_path: Path) -> None:
    rows = percentile_rows("cold start", "pilotlight", "ms", [1.0, 2.0, 3.0])
    document = json.loads(write("some", rows, tmp_path).read_text())
    assert set(document) == {"machine", "commit", "rows"}
    assert document["machine"]["cores"] >= 1
    assert document["rows"][0] == {
        "case": "cold start",
        "subject": "pilotlight",
        "figure": "p50_ms",
        "unit": "ms",
        "median": 2.0,
        "min": 1.0,
        "max": 3.0,
        "rounds": 3,
    }


def test_the_table_is_aligned() -> None:
    rows = percentile_rows("a long case", "b", "ms", [1.0])
    lines = table(rows).splitlines()
    assert lines[0].startswith("case         subject")
    assert lines[1].split() == ["a", "long", "case", "b", "p50_ms", "1", "1", "1", "1"]
