from __future__ import annotations

import pytest

from benchmarks.h2load import parse_log
from benchmarks.results import CaseError


def test_what_h2load_logs() -> None:
    assert parse_log("1700000000000000\t200\t1250\n1700000000000100\t200\t80\n") == [1.25, 0.08]


def test_bad_answers_are_no_measurement() -> None:
    with pytest.raises(CaseError, match="503"):
        parse_log("1700000000000000\t200\t1250\n1700000000000100\t503\t80\n")


def test_no_answer_is_no_measurement() -> None:
    with pytest.raises(CaseError, match="no answer"):
        parse_log("")
