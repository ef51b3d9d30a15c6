"""The state of this pod, as it is announced: what is known of the user's container, and draining.

Pure: times are arguments.
"""

from __future__ import annotations

from pilotlight.load.wire import PodState, State


class Pod:
    """Combines readiness and draining into one announced state."""

    __slots__ = ("_failures", "_passes", "_ready", "answered_at", "draining", "started_at")

    def __init__(self, started_at: float) -> None:
        """`started_at`: Unix seconds at which this process began."""
        self.started_at = started_at
        self.answered_at = 0.0
        self.draining = False
        self._ready = False
        self._passes = 0
        self._failures = 0

    @property
    def ready(self) -> bool:
        """Whether the user's container answers, draining or not."""
        return self._ready

    def state(self) -> State:
        if self.draining:
            state = PodState.DRAINING
        else:
            state = PodState.READY if self._ready else PodState.NOT_READY
        return State(state, self.started_at, self.answered_at)

    def probed(self, passed: bool, now: float, *, successes: int, failures: int) -> bool:
        """Take in a probe's result; True when the readiness has changed.

        It takes `successes` passes in a row to become ready, and `failures` failures in a row to
        stop being so. `now`: Unix seconds.
        """
        if passed:
            self._failures = 0
            self._passes += 1
            if self._ready or self._passes < successes:
                return False
            self._ready = True
            self.answered_at = now
            return True
        self._passes = 0
        self._failures += 1
        if not self._ready or self._failures < failures:
            return False
        self._ready = False
        return True
