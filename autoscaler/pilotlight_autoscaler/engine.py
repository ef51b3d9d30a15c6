"""The autoscaler without its surroundings: reports and observations in, changes out.

It holds the table of revisions, their windows and their delays, and runs the steps of a decision in
order: averages, `decide`, delay, bounds, zero, status. The same steps serve a tick (all revisions)
and a single revision that cannot wait. No clock, no I/O: `now` is an argument, in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from pilotlight_autoscaler.bounds import bound, least_ready
from pilotlight_autoscaler.decide import Bools, Floats, Ints, Load, Rates, Rule, Verdict, decide
from pilotlight_autoscaler.delays import Delays
from pilotlight_autoscaler.explain import Entry, History
from pilotlight_autoscaler.fleet import Tally
from pilotlight_autoscaler.ring import Sums
from pilotlight_autoscaler.settings import Spec
from pilotlight_autoscaler.status import Facts, Past
from pilotlight_autoscaler.table import Part, Table, row_numbers
from pilotlight_autoscaler.windows import Shape, Share, Windows
from pilotlight_autoscaler.zero import UNDECIDED, Activity, next_activity, to_zero

# A waiting request counts as load for so long; until then its holder has sent a report.
WAKE_S: Final = 3.0
# Pods that start together share what their node has to start them with, and each is ready only when
# all are. So a few begin, and serve while the others start; whoever asked for more at once has it.
FIRST_PODS: Final = 2
FIRST_S: Final = 1.0
# How long the API may show an older number of replicas than the one that was asked for.
SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all revisions alike."""

    rates: Rates
    scale_to_zero: bool = True


class Sight(NamedTuple):
    """A revision's pods as they are when it is first met."""

    ready: int = 0
    connected: int = 0
    replicas: int = -1


class Scale(NamedTuple):
    """Write this number of replicas. `before` is what was there, -1 when that is not known."""

    key: str
    replicas: int
    before: int


@dataclass(slots=True)
class Outcome:
    """What has to be written."""

    scales: list[Scale] = field(default_factory=list)
    statuses: list[tuple[str, Facts]] = field(default_factory=list)


class _Before(NamedTuple):
    """The outcome of a row's last decision, to tell whether it changed."""

    desired: Ints
    want: Ints
    rule: Ints


class Engine:
    """Everything that is known and decided of all revisions, by key ("namespace/name")."""

    def __init__(self, now: float, policy: Policy) -> None:
        self.policy = policy
        self.leading = True
        """Whether what is wanted is to be written. If not, another does it, and only a revision
        that sleeps is woken when a request waits for it."""
        self.table = Table()
        self.history = History()
        self._windows = Windows(now)
        self._delays = Delays()
        self._rows: dict[str, int] = {}
        self._keys: list[str] = []
        self._specs: dict[str, Spec] = {}
        self._asked: dict[str, float] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold all revisions."""
        return self.table.nbytes + self._windows.nbytes

    def keys(self) -> Iterator[tuple[str, int]]:
        """Every revision with its row in the table."""
        return iter(self._rows.items())

    def row(self, key: str) -> int:
        return self._rows[key]

    def spec(self, key: str) -> Spec:
        return self._specs[key]

    def put(self, key: str, spec: Spec, past: Past, sight: Sight, now: float) -> None:
        """Take a revision in, or take in that its spec changed (then `past` and `sight` count for
        nothing).

        One that was at work before this process was is held at its replicas until its pods report
        or a stable window has passed, and starts in panic when it has more than one ready pod, so
        that empty windows never take pods away.
        """
        row = self._rows.get(key)
        if row is None:
            row = self._adopt(key, past, sight, now, spec.stable_s)
        elif spec == self._specs[key]:
            return
        elif spec.rps != self._specs[key].rps:
            self._windows.drop(row)
        self._specs[key] = spec
        self.table.take_spec(row, spec)
        self._windows.put(row, Shape(spec.stable_s, spec.panic_s, spec.weighted))
        self._delays.put(row, spec.delay_s)

    def remove(self, key: str) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        self._windows.drop(row)
        self._delays.drop(row)
        self.table.release(row)
        self.history.drop(key)
        del self._specs[key]
        self._asked.pop(key, None)

    def see_pods(self, key: str, tally: Tally) -> bool:
        """Take in a count of pods. True when something in it was new."""
        row, table = self._rows[key], self.table
        new = table.ready[row] != tally.ready or table.connected[row] != tally.connected
        table.ready[row], table.connected[row] = tally.ready, tally.connected
        return bool(new)

    def see_replicas(self, key: str, replicas: int, now: float) -> bool:
        """Take in what the API shows; an older number than was asked for is not believed at once.
        True when it was new."""
        row, table = self._rows[key], self.table
        if table.replicas[row] == replicas:
            self._asked.pop(key, None)
            return False
        if self._asked.get(key, 0.0) > now:
            return False
        self._asked.pop(key, None)
        table.replicas[row] = replicas
        return True

    def doubt_replicas(self, key: str) -> None:
        """A write failed for good: believe the API again."""
        self._asked.pop(key, None)

    def unsettled(self, now: float) -> list[str]:
        """Revisions whose replicas the API has not confirmed in time; ask it again for them."""
        return [key for key, deadline in self._asked.items() if deadline <= now]

    def doubt_status(self, key: str) -> None:
        """The status in the API is not known to be right: write it again."""
        self.table.stale[self._rows[key]] = True

    def record(self, key: str, share: Share) -> None:
        """Count load; see `windows.spread`."""
        self._windows.record(self._rows[key], share)

    def wake(self, key: str, now: float, requests: int = 1) -> None:
        """So many requests wait for this revision: for a while they are its load, whatever the
        windows say."""
        row, table = self._rows[key], self.table
        crowd = table.crowd[row] if self.woken(key, now) else 0.0
        # How many wait says nothing about a rate.
        table.crowd[row] = crowd if self._specs[key].rps else max(crowd, requests)
        table.woken_until[row] = now + WAKE_S

    def woken(self, key: str, now: float) -> bool:
        """Whether somebody said a short while ago that requests wait."""
        return bool(self.table.woken_until[self._rows[key]] > now)

    def sleeping(self, key: str) -> bool:
        """Whether the first load would have to be acted on at once."""
        return bool(self.table.desired[self._rows[key]] <= 0)

    def tick(self, now: float) -> Outcome:
        """Decide for all revisions."""
        sums = self._averages(now)
        return self._decide(self.table.all, sums.stable, sums.panic, now)

    def hasten(self, keys: Iterable[str], now: float) -> Outcome:
        """Decide for some revisions (none twice) between two ticks, as a tick would; but those that
        would not get more pods by it are left to the tick."""
        rows = np.array([self._rows[key] for key in keys], np.int64)
        sums = self._averages(now)
        wanted = self._verdict(rows, sums.stable[rows], sums.panic[rows], now).desired
        rows = rows[wanted > self.table.desired[rows]]
        return self._decide(rows, sums.stable[rows], sums.panic[rows], now)

    def poke(self, keys: Iterable[str], now: float) -> Outcome:
        """Decide for some revisions (none twice), with what the present second has brought so
        far."""
        rows = np.array([self._rows[key] for key in keys], np.int64)
        sums = self._windows.peek(rows, now)
        return self._decide(rows, sums.stable, sums.panic, now)

    def refresh(self, key: str, now: float) -> Outcome:
        """Bring bounds, zero logic and status of one revision up to date with what was seen,
        without deciding anew."""
        row = self._rows[key]
        part = slice(row, row + 1)
        desired = self.table.desired[part]
        rule = np.where(desired > 0, Rule.TARGET, Rule.IDLE).astype(np.int64)
        return self._settle(part, desired, rule, now)[0]

    def settle(self, now: float) -> Outcome:
        """As `refresh`, for all revisions; every status is written that is not as it should be."""
        table = self.table
        table.stale[:] = table.live
        desired = table.desired[table.all]
        rule = np.where(desired > 0, Rule.TARGET, Rule.IDLE).astype(np.int64)
        return self._settle(table.all, desired, rule, now)[0]

    def explain(self, key: str, now: float) -> Entry:
        """How the revision's number comes about at present."""
        row = self._rows[key]
        part = slice(row, row + 1)
        verdict = self._verdict(part, self.table.stable[part], self.table.panic[part], now)
        return self._entry(row, 0, verdict, now)

    def _adopt(self, key: str, past: Past, sight: Sight, now: float, stable_s: int) -> int:
        table = self.table
        row = self._rows[key] = table.allocate()
        if row == len(self._keys):
            self._keys.append(key)
        self._keys[row] = key
        table.ready[row], table.connected[row] = sight.ready, sight.connected
        table.replicas[row] = sight.replicas
        table.activity[row], table.activity_since[row] = past.activity, past.since
        table.initialized[row] = past.initialized
        table.shown_desired[row] = past.desired
        table.stale[row] = True
        if past.initialized:
            table.settled_at[row] = now + stable_s
        if sight.ready > 1:
            table.panic_since[row], table.panic_most[row] = now, sight.ready
        return row

    def _averages(self, now: float) -> Sums:
        """All revisions' averages at the end of the last whole second before `now`."""
        table = self.table
        self._windows.advance(now, np.flatnonzero(table.live & (table.connected > 0)))
        return self._windows.averages(table.rows)

    def _verdict(self, part: Part, stable: Floats, panic: Floats, now: float) -> Verdict:
        table = self.table
        load = Load(stable, panic, table.ready[part])
        return decide(load, table.wishes(part, now), self.policy.rates, table.panics(part), now)

    def _decide(self, part: Part, stable: Floats, panic: Floats, now: float) -> Outcome:
        table = self.table
        # Requests that have gathered before the first pod are work that is done once: they get as
        # many pods as can take them all. Only load that lasts gets the room that a target
        # below a pod's limit leaves.
        woken = table.woken_until[part] > now
        activity = table.activity[part]
        waking = (activity == Activity.ACTIVATING) | (woken & (activity >= Activity.INACTIVE))
        until = np.where(waking, now + table.full_s[part], table.full_until[part])
        table.full_until[part] = until
        if woken.any():
            # One target's worth asks for one pod.
            least = np.maximum(table.targets(part, now), table.crowd[part])
            crowd = np.where(woken, least, 0.0)
            stable, panic = np.maximum(stable, crowd), np.maximum(panic, crowd)
        verdict = self._verdict(part, stable, panic, now)
        desired, rule = self._delayed(part, verdict, now)
        before = _Before(table.desired[part].copy(), table.want[part].copy(), table.rule[part])
        table.stable[part], table.panic[part] = stable, panic
        table.desired[part] = desired
        table.panic_since[part], table.panic_most[part] = verdict.panic
        outcome, final = self._settle(part, desired, rule, now)
        self._remember(part, before, final, verdict, now)
        return outcome

    def _delayed(self, part: Part, verdict: Verdict, now: float) -> tuple[Ints, Ints]:
        if not len(self._delays):
            return verdict.desired, verdict.rule
        numbers = row_numbers(part)
        at = np.flatnonzero(self._delays.has(numbers) & self.table.reachable[numbers])
        if not len(at):
            return verdict.desired, verdict.rule
        desired, rule = verdict.desired.copy(), verdict.rule.copy()
        held = self._delays.record(numbers[at], desired[at], now)
        rule[at] = np.where(held > desired[at], Rule.SCALE_DOWN_DELAY, rule[at])
        desired[at] = held
        return desired, rule

    def _settle(self, part: Part, desired: Ints, rule: Ints, now: float) -> tuple[Outcome, Ints]:
        """Bounds, zero, status. Returns what to write, and the rules that won."""
        table = self.table
        bounds = table.bounds(part, self._held(part, desired, now), self._first(part, now))
        bounded = bound(desired, rule, bounds)
        # Before the first decision only a revision that starts is raised to its bounds.
        blank = (desired < 0) & (table.activity[part] != Activity.ACTIVATING)
        wanted = np.where(blank, UNDECIDED, bounded.wanted)
        step = to_zero(wanted, bounded.rule, table.life(part), self.policy.scale_to_zero, now)
        replicas = table.replicas[part]
        woken = table.woken_until[part] > now
        known = (replicas >= 0) | woken
        moved = np.where(desired < 0, step.want > replicas, step.want != replicas)
        scaled = table.live[part] & known & step.apply & moved
        if not self.leading:
            scaled &= (replicas == 0) & woken
        ready, least = table.ready[part], least_ready(bounds)
        activity = next_activity(step.want, ready, least, table.activity[part])
        initialized = bounds.initialized | (ready >= least)
        changed = activity != table.activity[part]
        shown = self._shown(part, step.want)
        told = (
            table.stale[part]
            | changed
            | (initialized != bounds.initialized)
            | (ready != table.shown_actual[part])
            | ((shown >= 0) & (shown != table.shown_desired[part]))
        )
        table.want[part] = step.want
        table.activity_since[part] = np.where(changed, now, table.activity_since[part])
        table.activity[part], table.initialized[part] = activity, initialized
        outcome = Outcome(
            self._scales(row_numbers(part)[scaled], now),
            self._statuses(row_numbers(part), shown, told & table.live[part] & self.leading),
        )
        return outcome, step.rule

    def _shown(self, part: Part, want: Ints) -> Ints:
        """What the status calls desired: what is wanted; before anything was ever decided, what
        the Deployment was made with. UNDECIDED leaves what the status says already."""
        fresh = (want < 0) & (self.table.shown_desired[part] < 0)
        return np.where(fresh, self.table.replicas[part], want)

    def _held(self, part: Part, desired: Ints, now: float) -> Ints:
        """Below which number nothing goes for want of data."""
        table = self.table
        unsettled = now < table.settled_at[part]
        blind = unsettled & (table.connected[part] < np.maximum(table.ready[part], 1))
        replicas = np.maximum(table.replicas[part], 0)
        held = np.where(blind, replicas, np.where(unsettled, np.minimum(replicas, 1), 0))
        starting = (desired <= 0) & (table.activity[part] == Activity.ACTIVATING)
        return np.where(starting, 0, held)

    def _first(self, part: Part, now: float) -> Ints:
        """How many pods of a revision that wakes may start while none is ready."""
        table = self.table
        woken = (table.woken_until[part] > now) & table.initialized[part]
        activity = table.activity[part]
        fresh = now - table.activity_since[part] < FIRST_S
        rising = (activity >= Activity.INACTIVE) | ((activity == Activity.ACTIVATING) & fresh)
        held = woken & rising & (table.ready[part] == 0)
        return np.where(held, np.maximum(FIRST_PODS, table.activation[part]), 0)

    def _scales(self, rows: Ints, now: float) -> list[Scale]:
        table, found = self.table, []
        for row in rows.tolist():
            key, want = self._keys[row], int(table.want[row])
            found.append(Scale(key, want, int(table.replicas[row])))
            table.replicas[row] = want
            self._asked[key] = now + SETTLE_S
        return found

    def _statuses(self, rows: Ints, shown: Ints, told: Bools) -> list[tuple[str, Facts]]:
        table, found = self.table, []
        for row, want in zip(rows[told].tolist(), shown[told].tolist(), strict=True):
            facts = Facts(
                Activity(int(table.activity[row])),
                bool(table.initialized[row]),
                want,
                int(table.ready[row]),
            )
            found.append((self._keys[row], facts))
            table.stale[row] = False
            table.shown_actual[row] = facts.actual
            if want >= 0:
                table.shown_desired[row] = want
        return found

    def _remember(
        self, part: Part, before: _Before, rule: Ints, verdict: Verdict, now: float
    ) -> None:
        table = self.table
        new = (
            (rule != before.rule)
            | (table.want[part] != before.want)
            | (table.desired[part] != before.desired)
        ) & table.live[part]
        table.rule[part] = rule
        numbers = row_numbers(part)
        for index in np.flatnonzero(new).tolist():
            row = int(numbers[index])
            self.history.add(self._keys[row], self._entry(row, index, verdict, now))

    def _entry(self, row: int, index: int, verdict: Verdict, now: float) -> Entry:
        table = self.table
        return Entry(
            at=now,
            rule=Rule(int(table.rule[row])),
            stable=float(table.stable[row]),
            panic=float(table.panic[row]),
            target=float(table.targets(slice(row, row + 1), now)[0]),
            ready=int(table.ready[row]),
            replicas=int(table.replicas[row]),
            by_stable=int(verdict.by_stable[index]),
            by_panic=int(verdict.by_panic[index]),
            up=int(verdict.up[index]),
            down=int(verdict.down[index]),
            panicking=not np.isnan(verdict.panic.since[index]),
            desired=int(table.desired[row]),
            want=int(table.want[row]),
        )
