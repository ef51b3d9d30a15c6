"""Time-weighted concurrency of requests, as it is reported. Pure: `now` is an argument."""

from __future__ import annotations

from typing import Final, NamedTuple

REPORT_S: Final = 1.0
LATEST_PHASE_S: Final = 0.15
_LEAST_PAUSE_S: Final = 0.05


class Sample(NamedTuple):
    """What happened since the sample before: the time-weighted mean concurrency over `seconds`,
    the requests that began, and those under way now.
    """

    average: float
    seconds: float
    requests: int
    inflight: int

    @property
    def idle(self) -> bool:
        return self.requests == 0 and self.inflight == 0 and self.average == 0.0


def until_report(now: float) -> float:
    """Seconds from `now` (Unix seconds) until loads are to be measured: once a second, at its end,
    as a collector's windows are. Many reporters send a while after it, each at a time of its own
    of at most `LATEST_PHASE_S`.
    """
    pause = REPORT_S - now % REPORT_S
    # A timer may fire a little early.
    return pause if pause >= _LEAST_PAUSE_S else pause + REPORT_S


class Meter:
    """Counts requests under way. `now` is monotonic seconds and never goes back."""

    __slots__ = ("_area", "_changed", "_requests", "_taken", "inflight")

    def __init__(self, now: float) -> None:
        self.inflight = 0
        self._area = 0.0
        self._changed = now
        self._taken = now
        self._requests = 0

    def begin(self, now: float) -> None:
        self._area += self.inflight * (now - self._changed)
        self._changed = now
        self.inflight += 1
        self._requests += 1

    def end(self, now: float) -> None:
        if self.inflight == 0:
            raise ValueError("a request ended that did not begin")
        self._area += self.inflight * (now - self._changed)
        self._changed = now
        self.inflight -= 1

    def take(self, now: float) -> Sample:
        """The sample since the last call. Zero seconds give the present concurrency."""
        seconds = now - self._taken
        area = self._area + self.inflight * (now - self._changed)
        average = area / seconds if seconds > 0 else float(self.inflight)
        sample = Sample(average, max(seconds, 0.0), self._requests, self.inflight)
        self._area, self._requests = 0.0, 0
        self._changed = self._taken = now
        return sample
