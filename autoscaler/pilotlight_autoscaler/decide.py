"""How many pods the load asks for: Knative's algorithm over arrays, one entry a revision.

Pure: arrays in, new arrays out. The steps follow the algorithm's own order: rates, target,
activation scale, panic. What comes after (delay, bounds, zero) is in `delays`, `bounds` and `zero`.
Method: Knative Serving's KPA autoscaler (Apache-2.0), as its behaviour is documented.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGEST_COUNT: Final = 2**31 - 1


class Rule(enum.IntEnum):
    """What made a number of pods what it is: the last rule that changed it."""

    NONE = 0
    TARGET = 1
    IDLE = 2
    MAX_SCALE_UP_RATE = 3
    MAX_SCALE_DOWN_RATE = 4
    ACTIVATION_SCALE = 5
    PANIC = 6
    SCALE_DOWN_DELAY = 7
    MIN_SCALE = 8
    MAX_SCALE = 9
    INITIAL_SCALE = 10
    NO_DATA = 11
    ZERO_DISABLED = 12
    ACTIVATING = 13
    ACTIVATION_TIMEOUT = 14
    STABLE_WINDOW = 15
    POD_RETENTION = 16
    NO_TRAFFIC = 17
    FIRST_PODS = 18


class Load(NamedTuple):
    """What is seen: averages over both windows, and pods that can take requests."""

    stable: Floats
    panic: Floats
    ready: Ints


class Wishes(NamedTuple):
    """What each revision asks for; see `settings.Spec`."""

    target: Floats
    panic_threshold: Floats
    activation: Ints
    reachable: Bools
    stable_s: Ints


class Rates(NamedTuple):
    """By which factors the ready pods may change at once."""

    up: float
    down: float


class Panic(NamedTuple):
    """Since when each revision is in panic (seconds; NaN when it is not), and the most pods that
    it was given in it."""

    since: Floats
    most: Ints


class Verdict(NamedTuple):
    """The pods that the load asks for, before delay and bounds, and how that came about.

    `by_stable` and `by_panic` are what each window asks for by itself, `up` and `down` the limits.
    """

    desired: Ints
    rule: Ints
    panic: Panic
    by_stable: Ints
    by_panic: Ints
    up: Ints
    down: Ints


def decide(load: Load, wishes: Wishes, rates: Rates, panic: Panic, now: float) -> Verdict:
    """Decide for all revisions. All arrays have the same length; `now` is in seconds, on the clock
    of `panic.since`."""
    ready = np.maximum(load.ready, 1).astype(np.float64)
    up = np.ceil(rates.up * ready)
    down = np.where(wishes.reachable, np.floor(ready / rates.down), 0.0)
    by_stable = np.ceil(load.stable / wishes.target)
    by_panic = np.ceil(load.panic / wishes.target)
    desired = np.minimum(np.maximum(by_stable, down), up)
    urgent = np.minimum(np.maximum(by_panic, down), up)
    rule = np.where(by_stable > 0, Rule.TARGET, Rule.IDLE).astype(np.int64)
    rule[desired < by_stable] = Rule.MAX_SCALE_UP_RATE
    rule[desired > by_stable] = Rule.MAX_SCALE_DOWN_RATE
    floor = np.where(wishes.activation > 1, wishes.activation, 0)
    raised = (by_stable > 0) & (floor > desired)
    desired = np.where(raised, floor, desired)
    rule[raised] = Rule.ACTIVATION_SCALE
    urgent = np.where(by_panic > 0, np.maximum(urgent, floor), urgent)

    since = _panic_since(by_panic / ready >= wishes.panic_threshold, wishes, panic, now)
    panicking = ~np.isnan(since)
    most = np.where(panicking, np.maximum(panic.most, np.maximum(desired, urgent)), 0.0)
    rule[panicking & (most > desired)] = Rule.PANIC
    desired = np.where(panicking, most, desired)
    return Verdict(
        _whole(desired),
        rule,
        Panic(since, _whole(most)),
        _whole(by_stable),
        _whole(by_panic),
        _whole(up),
        _whole(down),
    )


def _panic_since(over: Bools, wishes: Wishes, panic: Panic, now: float) -> Floats:
    """Panic begins, or begins anew, while the short window asks for too much; it ends a stable
    window after that."""
    # A NaN (no panic) compares as False, and stays.
    ended = panic.since + wishes.stable_s < now
    return np.where(over, now, np.where(ended, np.nan, panic.since))


def _whole(counts: Floats) -> Ints:
    return np.minimum(counts, LARGEST_COUNT).astype(np.int64)
