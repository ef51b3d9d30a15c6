"""The revisions as rows of a table: one array a column.

A row number stays a revision's own while the revision lives; numbers of dropped rows are used
again. Rows that are free hold harmless values, so that arithmetic may run over whole columns.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pilotlight_autoscaler.bounds import Bounds
from pilotlight_autoscaler.decide import Bools, Floats, Ints, Panic, Wishes
from pilotlight_autoscaler.settings import Spec
from pilotlight_autoscaler.zero import Activity, Life

_FIRST_ROWS: Final = 64
# However short its windows: the pods of a crowd do not all start in the same second.
_LEAST_FULL_S: Final = 6
# What several reporters measure by their own clocks is some percent too much at times: that alone
# must not start a pod.
_SECOND_TURN: Final = 1.1

Part = slice | Ints
"""The rows that an operation is about: a run of them (arrays are views then), or chosen ones."""


class Table:
    """Columns of all revisions. `rows` is the number of rows that were ever used."""

    # What the revision asks for
    target: Floats
    total: Floats
    panic_threshold: Floats
    activation: Ints
    stable_s: Ints
    full_s: Ints
    least: Ints
    most: Ints
    initial: Ints
    reachable: Bools
    retention_s: Floats
    activation_timeout_s: Floats
    # What is seen
    live: Bools
    ready: Ints
    connected: Ints
    replicas: Ints
    woken_until: Floats
    crowd: Floats
    full_until: Floats
    settled_at: Floats
    # What was decided
    stable: Floats
    panic: Floats
    desired: Ints
    want: Ints
    rule: Ints
    panic_since: Floats
    panic_most: Ints
    activity: Ints
    activity_since: Floats
    initialized: Bools
    # What the status shows
    shown_actual: Ints
    shown_desired: Ints
    stale: Bools

    _DEFAULTS: Final[dict[str, tuple[type, Any]]] = {
        "target": (np.float64, 1.0),
        "total": (np.float64, 1.0),
        "panic_threshold": (np.float64, 2.0),
        "activation": (np.int64, 0),
        "stable_s": (np.int64, 60),
        "full_s": (np.int64, 6),
        "least": (np.int64, 0),
        "most": (np.int64, 0),
        "initial": (np.int64, 1),
        "reachable": (np.bool_, True),
        "retention_s": (np.float64, 0.0),
        "activation_timeout_s": (np.float64, 630.0),
        "live": (np.bool_, False),
        "ready": (np.int64, 0),
        "connected": (np.int64, 0),
        "replicas": (np.int64, -1),
        "woken_until": (np.float64, 0.0),
        "crowd": (np.float64, 0.0),
        "full_until": (np.float64, 0.0),
        "settled_at": (np.float64, 0.0),
        "stable": (np.float64, 0.0),
        "panic": (np.float64, 0.0),
        "desired": (np.int64, -1),
        "want": (np.int64, -1),
        "rule": (np.int64, 0),
        "panic_since": (np.float64, np.nan),
        "panic_most": (np.int64, 0),
        "activity": (np.int64, Activity.ACTIVATING),
        "activity_since": (np.float64, 0.0),
        "initialized": (np.bool_, False),
        "shown_actual": (np.int64, -1),
        "shown_desired": (np.int64, -1),
        "stale": (np.bool_, False),
    }

    def __init__(self) -> None:
        self.rows = 0
        self._capacity = 0
        self._free: list[int] = []
        for name, (kind, default) in self._DEFAULTS.items():
            setattr(self, name, np.full(_FIRST_ROWS, default, kind))
        self._capacity = _FIRST_ROWS

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in self._DEFAULTS)

    @property
    def all(self) -> slice:
        return slice(0, self.rows)

    def allocate(self) -> int:
        """A row with every column at its default, marked live."""
        if self._free:
            row = self._free.pop()
        else:
            row = self.rows
            self.rows += 1
            if row >= self._capacity:
                self._grow()
        self.live[row] = True
        return row

    def release(self, row: int) -> None:
        for name, (_, default) in self._DEFAULTS.items():
            getattr(self, name)[row] = default
        self._free.append(row)

    def take_spec(self, row: int, spec: Spec) -> None:
        """Put a revision's wishes into its columns."""
        self.target[row], self.total[row] = spec.target, spec.total
        self.panic_threshold[row] = spec.panic_threshold
        self.activation[row] = spec.activation
        self.stable_s[row] = spec.stable_s
        # A rate is not what has gathered.
        self.full_s[row] = 0 if spec.rps else max(spec.panic_s, _LEAST_FULL_S)
        self.least[row], self.most[row], self.initial[row] = spec.min, spec.max, spec.initial
        self.reachable[row] = spec.reachable
        self.retention_s[row] = spec.retention_s
        self.activation_timeout_s[row] = spec.activation_timeout_s

    def targets(self, part: Part, now: float) -> Floats:
        """What one pod should take: all that it can, and a tenth more in its second turn, while a
        revision wakes; see `full_until`."""
        full = self.total[part] * _SECOND_TURN
        return np.where(self.full_until[part] > now, full, self.target[part])

    def wishes(self, part: Part, now: float) -> Wishes:
        return Wishes(
            self.targets(part, now),
            self.panic_threshold[part],
            self.activation[part],
            self.reachable[part],
            self.stable_s[part],
        )

    def panics(self, part: Part) -> Panic:
        return Panic(self.panic_since[part], self.panic_most[part])

    def bounds(self, part: Part, held: Ints, first: Ints) -> Bounds:
        return Bounds(
            self.least[part],
            self.most[part],
            self.initial[part],
            self.initialized[part],
            self.reachable[part],
            held,
            first,
        )

    def life(self, part: Part) -> Life:
        return Life(
            self.activity[part],
            self.activity_since[part],
            self.stable_s[part],
            self.retention_s[part],
            self.activation_timeout_s[part],
        )

    def _grow(self) -> None:
        more = self._capacity // 2
        for name, (kind, default) in self._DEFAULTS.items():
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.full(more, default, kind)]))
        self._capacity += more


def row_numbers(part: Part) -> Ints:
    """The numbers of the rows in `part`, in its order."""
    return np.arange(part.start, part.stop) if isinstance(part, slice) else part
