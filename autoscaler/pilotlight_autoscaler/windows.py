"""The load of all revisions over their windows: rows come and go, and each has its own lengths.

Rows are kept in rings by size class (16, 64, 128, ... seconds), so that one revision with a window
of an hour costs its own memory only. Records are collected and go into the buckets together, once a
tick. No clock: `now` is an argument, in seconds.
"""

from __future__ import annotations

import math
from array import array
from typing import Final, NamedTuple

import numpy as np

from pilotlight_autoscaler.ring import AHEAD, Floats, Ints, Ring, Sums, Writes

LONGEST_WINDOW_S: Final = 3600
# Above this much collected, records go into the buckets before the tick.
MOST_PENDING: Final = 100_000
_LEAST_CAPACITY: Final = 16
_MOST_MARKED_S: Final = 4


class Shape(NamedTuple):
    """The windows of a row: lengths in seconds, and whether younger buckets weigh more."""

    stable_s: int
    panic_s: int
    weighted: bool = False


class Share(NamedTuple):
    """The part of a record that belongs to one second. `gap` is the part of that second (0 to 1)
    before the record."""

    second: int
    mass: float
    gap: float


def spread(now: float, seconds: float, mass: float) -> list[Share]:
    """Lay a record of `mass` (requests times seconds) over the last `seconds` before `now` on the
    seconds that it covers, the latest first.

    Each second gets what belongs to it, so that a request that passes from one reporter to the next
    is never seen with both at once, however their reports are timed.
    """
    begin = now - seconds
    last = math.ceil(now) - 1
    first = max(math.floor(begin), last - LONGEST_WINDOW_S + 1)
    if first >= last:
        return [Share(last, mass, min(max(begin - last, 0.0), 1.0))]
    return [
        Share(
            second,
            mass * (min(now, second + 1) - max(begin, second)) / seconds,
            max(begin - second, 0.0),
        )
        for second in range(last, first - 1, -1)
    ]


class Windows:
    """Stable and panic windows by row (a number that the caller chooses)."""

    def __init__(self, now: float) -> None:
        self._end = math.floor(now) - 1
        self._rings: dict[int, Ring] = {}
        self._capacities = np.zeros(0, np.int64)
        self._slots = np.zeros(0, np.int64)
        self._weighted: set[int] = set()
        self._rows = array("q")
        self._seconds = array("q")
        self._masses = array("d")
        self._gaps = array("d")

    @property
    def nbytes(self) -> int:
        """Bytes that all rings take."""
        return sum(ring.nbytes for ring in self._rings.values())

    def put(self, row: int, shape: Shape) -> None:
        """Add a row, or give it other windows; what it has recorded stays."""
        if not 1 <= shape.panic_s <= shape.stable_s <= LONGEST_WINDOW_S:
            raise ValueError(
                f"windows must satisfy 1 <= panic <= stable <= {LONGEST_WINDOW_S}: {shape}"
            )
        (self._weighted.add if shape.weighted else self._weighted.discard)(row)
        self._reach(row)
        capacity, old = _capacity(shape.stable_s), int(self._capacities[row])
        if old == capacity:
            self._rings[old].resize(int(self._slots[row]), shape.stable_s, shape.panic_s)
            return
        ring = self._ring(capacity)
        slot = ring.allocate(row, shape.stable_s, shape.panic_s)
        if old:
            previous = self._rings[old]
            previous.move(int(self._slots[row]), ring, slot)
            previous.release(int(self._slots[row]))
        self._capacities[row], self._slots[row] = capacity, slot

    def drop(self, row: int) -> None:
        """Forget a row. What is recorded for it but not yet in a bucket is dropped too."""
        self._flush()
        self._weighted.discard(row)
        self._rings[int(self._capacities[row])].release(int(self._slots[row]))
        self._capacities[row] = 0

    def record(self, row: int, share: Share) -> None:
        """Count a share of a record: requests times seconds, or requests."""
        self._rows.append(row)
        self._seconds.append(share.second)
        self._masses.append(share.mass)
        self._gaps.append(share.gap)
        if len(self._rows) >= MOST_PENDING:
            self._flush()

    def advance(self, now: float, watched: Ints) -> None:
        """Let the windows end with the last whole second before `now`. Rows in `watched` have
        somebody who would have told of a load: what they did not tell was zero."""
        end = math.floor(now) - 1
        slots = self._by_capacity(watched)
        for second in range(max(self._end + 1, end - _MOST_MARKED_S + 1), end + 1):
            for capacity, chosen in slots.items():
                self._rings[capacity].mark(chosen, second)
        for ring in self._rings.values():
            ring.advance(end)
        self._end = max(end, self._end)
        self._flush()

    def averages(self, rows: int) -> Sums:
        """The averages of all rows (their numbers are below `rows`), as the windows ended with
        the last `advance`; 0 where there is no row."""
        stable, panic = np.zeros(rows), np.zeros(rows)
        for ring in self._rings.values():
            used = ring.rows >= 0
            if not used.any():
                continue
            found, at = ring.averages(), ring.rows[used]
            stable[at], panic[at] = found.stable[used], found.panic[used]
        self._weigh(stable, panic)
        return Sums(stable, panic)

    def peek(self, rows: Ints, now: float) -> Sums:
        """The averages of some rows (none twice) as they are with what the present second has
        brought so far; one entry for each of `rows`."""
        end = math.floor(now)
        for ring in self._rings.values():
            if end > ring.head + AHEAD:
                ring.advance(end - AHEAD)
        self._flush()
        stable, panic = np.zeros(len(rows)), np.zeros(len(rows))
        weighted = np.array([row in self._weighted for row in rows.tolist()], np.bool_)
        for capacity, ring in self._rings.items():
            here = self._capacities[rows] == capacity
            for chosen, read in (
                (here & ~weighted, ring.averages_of),
                (here & weighted, ring.weighted),
            ):
                if chosen.any():
                    found = read(self._slots[rows[chosen]], end)
                    stable[chosen], panic[chosen] = found.stable, found.panic
        return Sums(stable, panic)

    def _weigh(self, stable: Floats, panic: Floats) -> None:
        for capacity, slots in self._by_capacity(np.fromiter(self._weighted, np.int64)).items():
            ring = self._rings[capacity]
            found, at = ring.weighted(slots, ring.head), ring.rows[slots]
            stable[at], panic[at] = found.stable, found.panic

    def _by_capacity(self, rows: Ints) -> dict[int, Ints]:
        """The slots of the rows that exist, by size class."""
        capacities, slots = self._capacities[rows], self._slots[rows]
        return {c: slots[capacities == c] for c in self._rings if (capacities == c).any()}

    def _flush(self) -> None:
        if not self._rows:
            return
        rows, seconds = np.array(self._rows, np.int64), np.array(self._seconds, np.int64)
        masses, gaps = np.array(self._masses), np.array(self._gaps)
        self._rows, self._seconds = array("q"), array("q")
        self._masses, self._gaps = array("d"), array("d")
        capacities, slots = self._capacities[rows], self._slots[rows]
        for capacity, ring in self._rings.items():
            here = capacities == capacity
            if here.any():
                ring.add(Writes(slots[here], seconds[here], masses[here], gaps[here]))

    def _reach(self, row: int) -> None:
        """Make room for the places of rows up to `row`."""
        if row >= len(self._capacities):
            more = np.zeros(max(row + 1 - len(self._capacities), len(self._capacities)), np.int64)
            self._capacities = np.concatenate([self._capacities, more])
            self._slots = np.concatenate([self._slots, more])

    def _ring(self, capacity: int) -> Ring:
        ring = self._rings.get(capacity)
        if ring is None:
            ring = self._rings[capacity] = Ring(capacity, self._end)
        return ring


def _capacity(window_s: int) -> int:
    """The size class for a window, with room for the seconds that are written ahead."""
    return max(_LEAST_CAPACITY, 1 << (window_s + AHEAD - 1).bit_length())
