"""The scale-down delay: the largest number of pods wanted during the last so many seconds.

Wishes are kept in slots of two seconds, the decision's own interval. Only rows with a delay take
part. The maximum of a row is recomputed only when the slot that held it has left the row's window,
so that a steady wish costs nothing.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from pilotlight_autoscaler.decide import Bools, Ints

SLOT_S: Final = 2
_LEAST_ROWS: Final = 16


class Delays:
    """Recent wishes of the rows that have a delay."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._free: list[int] = list(range(_LEAST_ROWS - 1, -1, -1))
        self._head = 0
        self._slots = np.zeros((1, _LEAST_ROWS), np.int64)
        self._length = np.ones(_LEAST_ROWS, np.int64)
        self._peak = np.zeros(_LEAST_ROWS, np.int64)
        self._peak_at = np.full(_LEAST_ROWS, -1, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def has(self, rows: Ints) -> Bools:
        """Which of `rows` have a delay."""
        return np.isin(rows, np.fromiter(self._places, np.int64))

    def put(self, row: int, delay_s: float) -> None:
        """Give a row a delay; 0 takes it away. What was wished before stays, if still kept."""
        if delay_s <= 0:
            self.drop(row)
            return
        length = math.ceil(delay_s / SLOT_S)
        self._lengthen(length)
        place = self._places.get(row)
        if place is None:
            if not self._free:
                self._widen()
            place = self._places[row] = self._free.pop()
            self._slots[:, place] = 0
            self._peak[place], self._peak_at[place] = 0, -1
        self._length[place] = length
        self._recompute(np.array([place], np.int64))

    def drop(self, row: int) -> None:
        place = self._places.pop(row, None)
        if place is not None:
            self._free.append(place)

    def record(self, rows: Ints, wanted: Ints, now: float) -> Ints:
        """Record what `rows` (each known, none twice) want, and return the largest of each row's
        window."""
        self._advance(int(now // SLOT_S))
        at = np.array([self._places[row] for row in rows.tolist()], np.int64)
        line = self._slots[self._head % len(self._slots)]
        line[at] = np.maximum(line[at], wanted)
        higher = wanted >= self._peak[at]
        self._peak[at] = np.where(higher, wanted, self._peak[at])
        self._peak_at[at] = np.where(higher, self._head, self._peak_at[at])
        self._recompute(at[self._peak_at[at] <= self._head - self._length[at]])
        found: Ints = self._peak[at]
        return found

    def _advance(self, slot: int) -> None:
        steps = min(max(slot - self._head, 0), len(self._slots))
        for at in range(slot - steps + 1, slot + 1):
            self._slots[at % len(self._slots)] = 0
        self._head = max(slot, self._head)

    def _recompute(self, places: Ints) -> None:
        """Find the largest wish in the windows of `places`, and when it was last wished."""
        if not len(places):
            return
        length = self._length[places]
        ages = np.arange(int(length.max()))[:, None]
        values = self._slots[(self._head - ages) % len(self._slots), places[None, :]]
        values = np.where(ages < length, values, -1)
        # argmax takes the first of equals: the latest.
        self._peak_at[places] = self._head - values.argmax(axis=0)
        self._peak[places] = values.max(axis=0)

    def _lengthen(self, length: int) -> None:
        old = len(self._slots)
        if length <= old:
            return
        grown = np.zeros((length, self._slots.shape[1]), np.int64)
        for age in range(old):
            slot = self._head - age
            grown[slot % length] = self._slots[slot % old]
        self._slots = grown

    def _widen(self) -> None:
        width = self._slots.shape[1]
        self._free = list(range(2 * width - 1, width - 1, -1))
        self._slots = np.hstack([self._slots, np.zeros_like(self._slots)])
        self._length = np.concatenate([self._length, np.ones(width, np.int64)])
        self._peak = np.concatenate([self._peak, np.zeros(width, np.int64)])
        self._peak_at = np.concatenate([self._peak_at, np.full(width, -1, np.int64)])
