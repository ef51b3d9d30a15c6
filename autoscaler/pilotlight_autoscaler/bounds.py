"""Bounds of the number of pods: least, most, initial, and "not less while we know too little".

Pure, over arrays with one entry a revision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pilotlight_autoscaler.decide import Bools, Ints, Rule


class Bounds(NamedTuple):
    """`most` 0 is unlimited. `held` is the number below which nothing goes for want of data, and
    `first` the most that may start together while none is ready, 0 for any number."""

    least: Ints
    most: Ints
    initial: Ints
    initialized: Bools
    reachable: Bools
    held: Ints
    first: Ints


class Bounded(NamedTuple):
    wanted: Ints
    rule: Ints


def least_ready(bounds: Bounds) -> Ints:
    """With how many ready pods a revision counts as active: its least, at least one; before it
    was ready for the first time, its initial scale too, which may be 0."""
    least = np.where(bounds.reachable, bounds.least, 0)
    return np.maximum(least, np.where(bounds.initialized, 1, bounds.initial))


def bound(desired: Ints, rule: Ints, bounds: Bounds) -> Bounded:
    """Keep `desired` within its bounds. A negative number means that nothing was decided yet; it
    is raised like any other."""
    least = np.where(bounds.reachable, bounds.least, 0)
    starting = ~bounds.initialized & bounds.reachable & (bounds.initial > 1)
    floor = np.where(starting, np.maximum(bounds.initial, least), least)
    rule = rule.copy()
    wanted = np.where(desired < floor, floor, desired)
    rule[desired < floor] = Rule.MIN_SCALE
    rule[(desired < floor) & (floor > least)] = Rule.INITIAL_SCALE
    over = (bounds.most > 0) & (wanted > bounds.most)
    wanted = np.where(over, bounds.most, wanted)
    rule[over] = Rule.MAX_SCALE
    early = (bounds.first > 0) & (wanted > np.maximum(bounds.first, floor))
    wanted = np.where(early, np.maximum(bounds.first, floor), wanted)
    rule[early] = Rule.FIRST_PODS
    short = wanted < bounds.held
    wanted = np.where(short, bounds.held, wanted)
    rule[short] = Rule.NO_DATA
    return Bounded(wanted, rule)
