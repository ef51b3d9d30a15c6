from __future__ import annotations

import pytest

from benchmarks.cluster.goals import GOALS
from benchmarks.goals import Goal, Verdict, judged
from benchmarks.results import Row


def figure(goal: Goal, median: float, worst: float) -> Row:
    return Row(goal.case, goal.subject, goal.figure, "ms", median, 0.0, worst, 3)


@pytest.mark.parametrize(
    ("median", "expected"),
    [(250.0, "goal"), (250.1, "reached"), (400.0, "reached"), (401, "missed")],
)
def test_a_verdict(median: float, expected: Verdict) -> None:
    goal = Goal("cold start", "p50_ms", 250, 400)
    assert goal.verdict(figure(goal, median, 9999.0)) == expected


def test_the_worst_round_counts_where_none_may_be_above() -> None:
    goal = Goal("a", "lost", 0, 0, worst=True)
    assert goal.verdict(figure(goal, 0, 1)) == "missed"


def test_a_mere_goal_cannot_be_missed() -> None:
    goal = Goal("a", "max_ms", 20, None, worst=True)
    assert goal.verdict(figure(goal, 0, 52)) == "reached"


def test_the_table_tells_what_was_not_measured() -> None:
    lines = judged([figure(GOALS[0], 300.0, 300.0)], GOALS).splitlines()
    assert lines[1].split() == ["cold", "start", "p50_ms", "300", "250", "400", "reached"]
    assert lines[2].split() == ["cold", "start", "p95_ms", "-", "350", "600"]
    assert len(lines) == 1 + len(GOALS)
