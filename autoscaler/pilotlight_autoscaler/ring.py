"""Rings of one-second buckets, many at once, as arrays.

A ring holds the buckets of many slots with the same capacity, time-major: the bucket of second `s`
lies at `buckets[s % capacity, slot]`, so that a second that begins or ends is one row of memory.
Values are kept as whole numbers of 2^-30: sums are exact, in whatever order reports come, and the
running totals of the two windows never drift.

Every slot has two windows over the same buckets, a long one (stable) and a short one (panic). Both
follow the rules of Knative's bucket aggregation: the first write after a whole window of silence
starts the window anew, seconds skipped between two writes count as zero, and a window that is not
yet full is divided by the seconds that it has. To those rules one is added: a first second of which
only a part was seen counts as that part.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNIT: Final = 2.0**30
# Buckets that may be written before their second is part of the windows.
AHEAD: Final = 2
# A bucket saturates here, so that the sum of an hour of them stays within 63 bits.
LARGEST_BUCKET: Final = 2_000_000.0
NEVER: Final = -(2**40)
_LARGEST_UNITS: Final = int(LARGEST_BUCKET * UNIT)
_PRECISION: Final = 1e6
_LEAST_SLOTS: Final = 16
_LEAST_SILENCE: Final = 2


class Sums(NamedTuple):
    """Averages of the two windows, one entry a slot, in requests."""

    stable: Floats
    panic: Floats


class Writes(NamedTuple):
    """What to add, one entry a write: requests times seconds in a second's bucket. `gaps` are the
    parts of that second (0 to 1) before anything was known of it."""

    slots: Ints
    seconds: Ints
    masses: Floats
    gaps: Floats


class Ring:
    """The buckets of all slots of one capacity (seconds). `head` is the last second that is part
    of the windows; it only moves on.
    """

    def __init__(self, capacity: int, head: int) -> None:
        self.capacity = capacity
        self.head = head
        self.slots = _LEAST_SLOTS
        self.rows = np.full(self.slots, -1, np.int64)
        self.stable_s = np.ones(self.slots, np.int64)
        self.panic_s = np.ones(self.slots, np.int64)
        self._buckets = np.zeros((capacity, self.slots), np.int64)
        self._stable = np.zeros(self.slots, np.int64)
        self._panic = np.zeros(self.slots, np.int64)
        self._last = np.full(self.slots, NEVER, np.int64)
        self._stable_first = np.full(self.slots, NEVER, np.int64)
        self._panic_first = np.full(self.slots, NEVER, np.int64)
        # Which part of its first second a window does not cover.
        self._stable_gap = np.zeros(self.slots)
        self._panic_gap = np.zeros(self.slots)
        self._free = list(range(self.slots - 1, -1, -1))
        self._uniform: tuple[int, int] | None = None

    @property
    def used(self) -> int:
        return self.slots - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        small = (self.rows, self.stable_s, self.panic_s, self._stable, self._panic)
        marks = (self._last, self._stable_first, self._panic_first)
        gaps = self._stable_gap.nbytes + self._panic_gap.nbytes
        return self._buckets.nbytes + gaps + sum(a.nbytes for a in small + marks)

    def allocate(self, row: int, stable_s: int, panic_s: int) -> int:
        """A slot with empty windows for the caller's `row`."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.rows[slot] = row
        self.stable_s[slot], self.panic_s[slot] = stable_s, panic_s
        self._last[slot] = self._stable_first[slot] = self._panic_first[slot] = NEVER
        self._uniform = None
        return slot

    def release(self, slot: int) -> None:
        self._buckets[:, slot] = 0
        self._stable[slot] = self._panic[slot] = 0
        self._last[slot] = NEVER
        self.rows[slot] = -1
        self._free.append(slot)

    def resize(self, slot: int, stable_s: int, panic_s: int) -> None:
        """Give a slot other windows over the buckets that it has."""
        # Buckets from before the stable window began anew must not come back in a longer one.
        first = max(int(self._stable_first[slot]), self.head + AHEAD - self.capacity + 1)
        stale = np.arange(self.head + AHEAD - self.capacity + 1, min(first, self.head + 1))
        self._buckets[stale % self.capacity, slot] = 0
        self._panic_first[slot] = self._stable_first[slot]
        self._panic_gap[slot] = self._stable_gap[slot]
        self.stable_s[slot], self.panic_s[slot] = stable_s, panic_s
        one = np.array([slot])
        self._stable[slot] = self._recent(one, self.head, stable_s).sum()
        self._panic[slot] = self._recent(one, self.head, panic_s).sum()
        self._uniform = None

    def move(self, slot: int, other: Ring, target: int) -> None:
        """Copy what a slot knows to a slot of another ring (which has the same head or an older
        one)."""
        seconds = np.arange(self.head + AHEAD, self.head - min(self.capacity, other.capacity), -1)
        seconds = seconds[: min(self.capacity, other.capacity)]
        other._buckets[seconds % other.capacity, target] = self._buckets[
            seconds % self.capacity, slot
        ]
        other._last[target] = self._last[slot]
        other._stable_first[target] = self._stable_first[slot]
        other._panic_first[target] = self._panic_first[slot]
        other._stable_gap[target] = self._stable_gap[slot]
        other.resize(target, int(other.stable_s[target]), int(other.panic_s[target]))

    def advance(self, second: int) -> None:
        """Let the windows of all slots end with `second`."""
        steps = second - self.head
        if steps <= 0:
            return
        if steps > self.capacity:
            self._buckets[:] = 0
            self._stable[:] = self._panic[:] = 0
            self.head = second
            return
        for at in range(self.head + 1, second + 1):
            self._step(at)
        self.head = second

    def add(self, writes: Writes) -> None:
        """Add to buckets, and count each as a write.

        Seconds later than `head + AHEAD` are taken as that one; those that left the ring are
        dropped.
        """
        seconds = np.minimum(writes.seconds, self.head + AHEAD)
        kept = seconds > self.head + AHEAD - self.capacity
        slots, seconds, masses, gaps = (
            array[kept] for array in (writes.slots, seconds, writes.masses, writes.gaps)
        )
        cells, inverse = np.unique(seconds * self.slots + slots, return_inverse=True)
        inverse = inverse.reshape(-1)
        at, slot = np.divmod(cells, self.slots)
        units = np.rint(np.clip(masses, 0.0, LARGEST_BUCKET) * UNIT)
        sums = np.bincount(inverse, weights=units, minlength=len(cells))
        least = np.ones(len(cells))
        np.minimum.at(least, inverse, gaps)
        before = self._buckets[at % self.capacity, slot]
        sums = np.minimum(sums, float(_LARGEST_UNITS)).astype(np.int64)
        after = np.minimum(before + sums, _LARGEST_UNITS)
        self._buckets[at % self.capacity, slot] = after
        self._settle(slot, at, after - before)
        for second in np.unique(at):
            here = at == second
            self.mark(slot[here], int(second), least[here])

    def mark(self, slots: Ints, second: int, gaps: Floats | float = 0.0) -> None:
        """Count a write of each of `slots` (no one twice) at `second`, which may add nothing.
        `gaps` are the parts of that second (0 to 1) that the writer does not know of."""
        last = self._last[slots]
        silence = second - last
        later = silence > 0
        for first, gap, window in (
            (self._stable_first, self._stable_gap, self.stable_s[slots]),
            (self._panic_first, self._panic_gap, self.panic_s[slots]),
        ):
            # The next second is no silence, not even for a window of one: what is written ahead
            # of the windows' end would otherwise hide the second that they end with.
            silent = np.maximum(window, _LEAST_SILENCE)
            begun, known = first[slots], gap[slots]
            early = ~later & (silence > -silent) & (second < begun)
            anew = (later & (silence >= silent)) | early
            first[slots] = np.where(anew, second, begun)
            same = np.where(second == begun, np.minimum(known, gaps), known)
            gap[slots] = np.where(anew, gaps, same)
        self._last[slots] = np.where(later, second, last)

    def averages(self) -> Sums:
        """The plain averages of both windows as they end with `head`; 0 after a window of silence.

        Rounded down to six digits, as Knative does, so that an error in the last place never asks
        for one more pod.
        """
        everything = np.arange(self.slots)
        return Sums(
            _average(self._stable, self._divisor(everything, self.head, 0)),
            _average(self._panic, self._divisor(everything, self.head, 1)),
        )

    def averages_of(self, slots: Ints, end: int) -> Sums:
        """The plain averages of `slots` for windows that end with `end`, at most `head + AHEAD`."""
        averages = []
        for which, windows in enumerate((self.stable_s[slots], self.panic_s[slots])):
            totals = np.zeros(len(slots), np.int64)
            for window in np.unique(windows):
                chosen = windows == window
                totals[chosen] = self._recent(slots[chosen], end, int(window)).sum(axis=0)
            averages.append(_average(totals, self._divisor(slots, end, which)))
        return Sums(*averages)

    def weighted(self, slots: Ints, end: int) -> Sums:
        """The weighted-exponential averages of `slots` for windows that end with `end`.

        A bucket that is `age` seconds old weighs m * (1 - m)^age; nothing is normalised.
        """
        return Sums(
            self._weighted(slots, end, self.stable_s[slots]),
            self._weighted(slots, end, self.panic_s[slots]),
        )

    def _weighted(self, slots: Ints, end: int, windows: Ints) -> Floats:
        result = np.zeros(len(slots))
        for window in np.unique(windows):
            chosen = windows == window
            values = self._recent(slots[chosen], end, int(window))
            result[chosen] = weights(int(window)) @ (values / UNIT)
        return result

    def _recent(self, slots: Ints, end: int, seconds: int) -> Ints:
        """The buckets of `slots` for `seconds` up to and with `end`, a line each, the latest
        first."""
        at = np.arange(end, end - seconds, -1) % self.capacity
        found: Ints = self._buckets[at[:, None], slots[None, :]]
        return found

    def _divisor(self, slots: Ints, end: int, which: int) -> Floats:
        """How many seconds of a window (0 stable, 1 panic) count: those since the first write that
        are still in it. A first second that is known in part counts in part, but nothing is
        concluded from less than a second as if it were more. 0 when there is nothing.
        """
        first, gap, window = (
            (self._panic_first, self._panic_gap, self.panic_s)
            if which
            else (self._stable_first, self._stable_gap, self.stable_s)
        )
        written = self._last[slots]
        last = np.minimum(written, end)
        age = last - first[slots] + 1
        room = window[slots] - (end - last)
        valid = np.where(written == NEVER, 0, np.minimum(age, room))
        young = (age <= room) & (valid > 0)
        return np.where(young, np.maximum(valid - gap[slots], 1.0), valid)

    def _step(self, second: int) -> None:
        """Let `second` enter both windows, and what is too old leave them."""
        entering = self._buckets[second % self.capacity]
        self._stable += entering - self._leaving(second, 0)
        self._panic += entering - self._leaving(second, 1)
        self._buckets[(second + AHEAD) % self.capacity] = 0

    def _leaving(self, second: int, which: int) -> Ints:
        windows = self._equal_windows()
        if windows is not None:
            row: Ints = self._buckets[(second - windows[which]) % self.capacity]
            return row
        sizes = self.panic_s if which else self.stable_s
        at = (second - sizes) % self.capacity
        found: Ints = self._buckets[at, np.arange(self.slots)]
        return found

    def _equal_windows(self) -> tuple[int, int] | None:
        """The windows that all used slots share, if they do: (-1, -1) is remembered for "no"."""
        if self._uniform is None:
            used = self.rows >= 0
            stable, panic = self.stable_s[used], self.panic_s[used]
            if len(stable) and (stable == stable[0]).all() and (panic == panic[0]).all():
                self._uniform = int(stable[0]), int(panic[0])
            else:
                self._uniform = -1, -1
        return None if self._uniform[0] < 0 else self._uniform

    def _settle(self, slots: Ints, seconds: Ints, units: Ints) -> None:
        """Add late writes to the totals of the windows that they still are in."""
        age = self.head - seconds
        for total, window in ((self._stable, self.stable_s), (self._panic, self.panic_s)):
            inside = (age >= 0) & (age < window[slots])
            if inside.any():
                np.add.at(total, slots[inside], units[inside])

    def _grow(self) -> None:
        more = max(_LEAST_SLOTS, self.slots // 2)
        self._free.extend(range(self.slots + more - 1, self.slots - 1, -1))
        self._buckets = np.hstack([self._buckets, np.zeros((self.capacity, more), np.int64)])
        self.rows = _extended(self.rows, more, -1)
        self.stable_s = _extended(self.stable_s, more, 1)
        self.panic_s = _extended(self.panic_s, more, 1)
        self._stable = _extended(self._stable, more, 0)
        self._panic = _extended(self._panic, more, 0)
        self._last = _extended(self._last, more, NEVER)
        self._stable_first = _extended(self._stable_first, more, NEVER)
        self._panic_first = _extended(self._panic_first, more, NEVER)
        self._stable_gap = np.concatenate([self._stable_gap, np.zeros(more)])
        self._panic_gap = np.concatenate([self._panic_gap, np.zeros(more)])
        self.slots += more


def weights(window: int) -> Floats:
    """The weights of a window's buckets by age, the latest first.

    The coefficient is the one with which the whole window weighs 0.9999, but at least 0.2.
    """
    decay = max(1.0 - 0.0001 ** (1.0 / window), 0.2)
    found: Floats = decay * (1.0 - decay) ** np.arange(window)
    return found


def _average(total: Ints, seconds: Floats) -> Floats:
    mean = total / UNIT / np.maximum(seconds, 1.0)
    rounded = np.floor(mean * _PRECISION) / _PRECISION
    return np.where(seconds > 0, rounded, 0.0)


def _extended(array: Ints, more: int, fill: int) -> Ints:
    return np.concatenate([array, np.full(more, fill, np.int64)])
