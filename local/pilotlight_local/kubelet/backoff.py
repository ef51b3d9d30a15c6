"""How long to wait before a container is started again (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FORGET_AFTER_S: Final = 60.0


@dataclass(slots=True)
class Backoff:
    """No wait after the first end, then `first_s` doubling up to `most_s`. A run that lasted a
    minute starts it afresh.

    Shorter than a cluster's 10 s to 5 min, because here somebody sits in front of it.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    _ends: int = 0

    def next(self, ran_s: float) -> float:
        """The wait after a run of `ran_s` seconds."""
        if ran_s >= FORGET_AFTER_S:
            self._ends = 0
        self._ends += 1
        if self._ends == 1:
            return 0.0
        return float(min(self.most_s, self.first_s * 2.0 ** min(self._ends - 2, 30)))
