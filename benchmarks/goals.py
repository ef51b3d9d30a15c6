"""What the figures have to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Row, columns

Verdict = Literal["goal", "reached", "missed"]


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `goal`, and at the very most `must` (None: a goal only), in the row's unit. `worst`
    is for figures of which no round may be above it.
    """

    case: str
    figure: str
    goal: float
    must: float | None
    worst: bool = False
    subject: str = "pilotlight"

    def value(self, row: Row) -> float:
        return row.max if self.worst else row.median

    def verdict(self, row: Row) -> Verdict:
        value = self.value(row)
        if value <= self.goal:
            return "goal"
        return "reached" if self.must is None or value <= self.must else "missed"


def judged(rows: Sequence[Row], goals: Sequence[Goal]) -> str:
    """A table of the goals, with the figures of those that were measured."""
    found = {(row.case, row.subject, row.figure): row for row in rows}
    lines = [("case", "figure", "measured", "goal", "must reach", "")]
    for goal in goals:
        row = found.get((goal.case, goal.subject, goal.figure))
        lines.append(
            (
                goal.case,
                goal.figure,
                "-" if row is None else f"{goal.value(row):g}",
                f"{goal.goal:g}",
                "-" if goal.must is None else f"{goal.must:g}",
                "" if row is None else goal.verdict(row),
            )
        )
    return columns(lines)
