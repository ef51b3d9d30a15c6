from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.cli.timing import parse_server_timing


@pytest.mark.parametrize(
    ("header", "durations"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param(
            "decide;dur=1.5, patch;dur=2, total;dur=3.5",
            {"decide": 1.5, "patch": 2.0, "total": 3.5},
            id="several",
        ),
        pytest.param('a;desc="x";dur="4.25"', {"a": 4.25}, id="quoted, after a description"),
        pytest.param("a ; DUR = 1 ,b;dur=2", {"a": 1.0, "b": 2.0}, id="spaces and case"),
        pytest.param("hit, miss;desc=none, c;dur=x, d;dur=1", {"d": 1.0}, id="without duration"),
    ],
)
def test_durations_are_read(header: str, durations: dict[str, float]) -> None:
    assert parse_server_timing(header) == durations


@given(st.text(max_size=200))
def test_no_header_is_too_strange(header: str) -> None:
    parse_server_timing(header)
