"""Why a revision has the pods that it has: its last decisions, with what went into them.

An entry is kept when the outcome changes, not each tick; what holds at present is told beside it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from pilotlight_autoscaler.decide import Rule

MOST_ENTRIES: Final = 64


class Entry(NamedTuple):
    """One decision: inputs, limits, and the number after each step. Times are Unix seconds."""

    at: float
    rule: Rule
    stable: float
    panic: float
    target: float
    ready: int
    replicas: int
    by_stable: int
    by_panic: int
    up: int
    down: int
    panicking: bool
    desired: int
    want: int

    def to_dict(self) -> dict[str, Any]:
        values = self._asdict()
        values["rule"] = rule_name(self.rule)
        values["reason"] = sentence(self)
        return values


class History:
    """Decisions by revision ("namespace/name"), so many of each and no more."""

    def __init__(self) -> None:
        self._entries: dict[str, deque[Entry]] = {}

    def add(self, key: str, entry: Entry) -> None:
        self._entries.setdefault(key, deque(maxlen=MOST_ENTRIES)).append(entry)

    def drop(self, key: str) -> None:
        self._entries.pop(key, None)

    def of(self, key: str) -> list[Entry]:
        """The decisions of a revision, the oldest first."""
        return list(self._entries.get(key, ()))


_SENTENCES: Final = {
    Rule.NONE: "nothing was decided yet",
    Rule.TARGET: "{stable:.3g} on average over the stable window, {target:.3g} a pod",
    Rule.IDLE: "there is no load",
    Rule.MAX_SCALE_UP_RATE: (
        "the load asks for {by_stable}; from {ready} ready pods at most {up} at once"
    ),
    Rule.MAX_SCALE_DOWN_RATE: (
        "the load asks for {by_stable}; from {ready} ready pods not below {down} at once"
    ),
    Rule.ACTIVATION_SCALE: "there is load: raised to the activation scale",
    Rule.PANIC: (
        "panic: {panic:.3g} on average over the panic window, {target:.3g} a pod; "
        "nothing goes down until a stable window after it"
    ),
    Rule.SCALE_DOWN_DELAY: "more was wanted within the scale-down delay",
    Rule.MIN_SCALE: "raised to min-scale",
    Rule.MAX_SCALE: "held at max-scale",
    Rule.INITIAL_SCALE: "raised to the initial scale until it was ready once",
    Rule.NO_DATA: "kept: too little is known since the autoscaler started",
    Rule.FIRST_PODS: "held until the first pod is ready, or a second has passed",
    Rule.ZERO_DISABLED: "there is no load, but scale to zero is disabled",
    Rule.ACTIVATING: "there is no load, but the first pod is still starting",
    Rule.ACTIVATION_TIMEOUT: "no pod became ready in time",
    Rule.STABLE_WINDOW: "there is no load, but it was not active for a whole stable window yet",
    Rule.POD_RETENTION: "there is no load; the last pod is kept for its retention period",
    Rule.NO_TRAFFIC: "there was no load for the stable window",
}


def rule_name(rule: Rule) -> str:
    """A rule as it is spelled for users: `max-scale-up-rate`."""
    return rule.name.lower().replace("_", "-")


def sentence(entry: Entry) -> str:
    """The decision in plain words."""
    reason = _SENTENCES[entry.rule].format(**entry._asdict())
    return reason if entry.want < 0 else f"{entry.want} pods: {reason}"
