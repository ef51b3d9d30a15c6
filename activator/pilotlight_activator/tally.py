"""Counts of answers, cheap enough for every request; the metrics read them when asked."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BUCKETS_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
)
"""Upper bounds of a duration's buckets; Knative's."""


class Histogram:
    """Durations in seconds, by bucket."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        """Observations in each bucket (not cumulative); the last one has no upper bound."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound as text, observations up to it), as Prometheus wants it."""
        found: list[tuple[str, float]] = []
        reached = 0
        for bound, count in zip((*BUCKETS_S, float("inf")), self.counts, strict=True):
            reached += count
            found.append(("+Inf" if bound == float("inf") else str(bound), float(reached)))
        return found


class Tally:
    """What became of a Revision's requests."""

    __slots__ = ("answers", "busy", "cold", "refused", "retries")

    MOST_STATUSES: Final = 32
    """Applications may answer with anything; what is beyond is counted under its class."""

    def __init__(self) -> None:
        self.answers: dict[int, Histogram] = {}
        """By status; 0 for clients that left before an answer."""
        self.cold: dict[str, Histogram] = {}
        """By phase of a cold start."""
        self.refused = 0
        """Because the queue was full."""
        self.busy = 0
        """Taken back from a pod that had no free slot or was draining."""
        self.retries = 0
        """Given to another pod because one failed."""

    def answered(self, status: int, seconds: float) -> None:
        histogram = self.answers.get(status)
        if histogram is None:
            if len(self.answers) >= self.MOST_STATUSES:
                status = status // 100 * 100
            histogram = self.answers.setdefault(status, Histogram())
        histogram.observe(seconds)

    def started(self, phase: str, seconds: float) -> None:
        self.cold.setdefault(phase, Histogram()).observe(seconds)
