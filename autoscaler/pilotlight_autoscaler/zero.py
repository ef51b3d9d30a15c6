"""From one pod to none, and whether a revision is active. Pure, over arrays.

The activator is always in the path of requests, so nothing has to be switched over or probed before
the last pod goes: a revision without load for its stable window turns inactive, and when the
retention of its last pod has passed too, it goes to zero.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np

from pilotlight_autoscaler.decide import Bools, Floats, Ints, Rule

UNDECIDED: Final = -1


class Activity(enum.IntEnum):
    """The condition Active of a PodAutoscaler, with its reason."""

    ACTIVATING = 0
    ACTIVE = 1
    INACTIVE = 2
    TIMED_OUT = 3


class Life(NamedTuple):
    """What is known of each revision's activity: `Activity`, since when (seconds), and the spec's
    periods (seconds)."""

    activity: Ints
    since: Floats
    stable_s: Ints
    retention_s: Floats
    activation_timeout_s: Floats


class Step(NamedTuple):
    """`want` is the number of pods to have, UNDECIDED for "no opinion"; it is written only where
    `apply` is set."""

    want: Ints
    apply: Bools
    rule: Ints


def to_zero(wanted: Ints, rule: Ints, life: Life, enabled: bool, now: float) -> Step:
    """Take the last step down with care. Revisions that want a pod or more pass unchanged."""
    zero = wanted == 0
    want, apply, rule = wanted.copy(), wanted >= 0, rule.copy()
    if not enabled:
        want[zero], rule[zero] = 1, Rule.ZERO_DISABLED
        return Step(want, apply, rule)
    lasted = now - life.since
    activating = zero & (life.activity == Activity.ACTIVATING)
    failed = activating & (lasted >= life.activation_timeout_s)
    rule[failed] = Rule.ACTIVATION_TIMEOUT
    waiting = activating & ~failed
    want[waiting], apply[waiting], rule[waiting] = UNDECIDED, False, Rule.ACTIVATING

    active = zero & (life.activity == Activity.ACTIVE)
    silent = active & (lasted >= life.stable_s)
    # Wanted is 0, but nothing is written yet: the revision turns inactive first.
    apply[silent], rule[silent] = False, Rule.NO_TRAFFIC
    fresh = active & ~silent
    want[fresh], rule[fresh] = 1, Rule.STABLE_WINDOW

    inactive = zero & (life.activity >= Activity.INACTIVE)
    kept = inactive & (lasted < life.retention_s)
    apply[kept], rule[kept] = False, Rule.POD_RETENTION
    rule[inactive & ~kept] = Rule.NO_TRAFFIC
    return Step(want, apply, rule)


def next_activity(want: Ints, ready: Ints, least_ready: Ints, activity: Ints) -> Ints:
    """The condition Active that follows from what is wanted and what is ready."""
    gone = (want == 0) | (least_ready == 0)
    inactive = activity >= Activity.INACTIVE
    asleep = inactive & (want <= 0)
    lit = np.where(ready < least_ready, Activity.ACTIVATING, Activity.ACTIVE)
    after = np.where(asleep, activity, lit)
    timed_out = (activity == Activity.TIMED_OUT) | (
        (activity == Activity.ACTIVATING) & (least_ready > 0)
    )
    return np.where(gone, np.where(timed_out, Activity.TIMED_OUT, Activity.INACTIVE), after).astype(
        np.int64
    )
