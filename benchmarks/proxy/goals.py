"""What the figures have to reach, by themselves and beside those of others in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from benchmarks.goals import Goal, judged
from benchmarks.proxy.cases import BUSY, HALF, IDLE, LARGE, SINGLE, START
from benchmarks.proxy.subjects import (
    ACTIVATOR,
    CHAIN,
    KNATIVE_ACTIVATOR,
    KNATIVE_CHAIN,
    KNATIVE_QUEUE_PROXY,
    NGINX,
    QUEUE_PROXY,
)
from benchmarks.results import Row, columns

_CPU: Final = "cpu_us_per_request"
_BYTE: Final = "cpu_ns_per_byte"
_IDLE: Final = "rss_kib_per_connection"
_OURS: Final = (QUEUE_PROXY, ACTIVATOR)

GOALS: Final = (
    Goal(BUSY, _CPU, 20, 32, subject=QUEUE_PROXY),
    Goal(BUSY, _CPU, 25, 35, subject=ACTIVATOR),
    Goal(HALF, "p99_ms", 2, None, subject=CHAIN),
    *(Goal(case, _IDLE, 12, 20, subject=name) for name in _OURS for case in IDLE),
    Goal(START, "rss_mb", 22, 24, subject=QUEUE_PROXY),
    Goal(START, "private_mb", 10, 12, subject=QUEUE_PROXY),
    Goal(START, "start_ms", 60, 80, subject=QUEUE_PROXY),
)


class Beside(NamedTuple):
    """At most `times` what another subject has in the same case."""

    case: str
    subject: str
    figure: str
    other: str
    times: float


BESIDE: Final = (
    Beside(BUSY, QUEUE_PROXY, _CPU, KNATIVE_QUEUE_PROXY, 0.5),
    Beside(BUSY, ACTIVATOR, _CPU, KNATIVE_ACTIVATOR, 0.45),
    Beside(SINGLE, CHAIN, "p50_ms", KNATIVE_QUEUE_PROXY, 1.0),
    Beside(SINGLE, CHAIN, "p50_ms", KNATIVE_CHAIN, 1.0),
    Beside(HALF, CHAIN, "p99_ms", KNATIVE_CHAIN, 1.0),
    *(
        Beside(case, name, _BYTE, NGINX, times)
        for name in _OURS
        for case in LARGE
        for times in (1.5, 3.0)
    ),
)


def verdicts(rows: Sequence[Row]) -> str:
    """Two tables: the goals, and what is asked for beside others."""
    found = {(row.case, row.subject, row.figure): row.median for row in rows}
    lines = [("case", "subject", "figure", "measured", "at most", "")]
    for one in BESIDE:
        ours = found.get((one.case, one.subject, one.figure))
        other = found.get((one.case, one.other, one.figure))
        if ours is None or other is None:
            continue
        allowed = f"{one.times:g} x {one.other} ({other:g})"
        verdict = "reached" if ours <= one.times * other else "missed"
        lines.append((one.case, one.subject, one.figure, f"{ours:g}", allowed, verdict))
    return f"{judged(rows, GOALS)}\n\n{columns(lines)}"
