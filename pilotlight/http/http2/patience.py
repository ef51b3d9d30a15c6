"""What a peer may cost without bringing anything: resets, pings, settings, empty frames. Pure.

A peer that spends more than it is given is not cut off, since others may share its connection with
the culprit; it is read more slowly, at the pace at which what it does is harmless.
"""

from __future__ import annotations

RESET = 5
"""Price of a stream that is taken back (CVE-2023-44487)."""
CONTROL = 1
"""Price of a frame that is answered, or good for nothing."""


class Patience:
    """A purse that is filled steadily: 200 resets or 1,000 other frames a second, and a burst of
    five times as many. `now`: monotonic seconds.
    """

    __slots__ = ("_at", "_left")

    RATE = 1000.0
    MOST = 5000.0

    def __init__(self, now: float) -> None:
        self._left = self.MOST
        self._at = now

    def spend(self, price: int) -> None:
        self._left -= price

    def delay(self, now: float) -> float:
        """Seconds until nothing is owed any more; 0 while something is left."""
        self._left = min(self.MOST, self._left + (now - self._at) * self.RATE)
        self._at = now
        return max(-self._left / self.RATE, 0.0)
