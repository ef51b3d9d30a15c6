"""Whole lives of revisions in virtual time: reports in, replicas and statuses out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight_autoscaler.decide import Rates, Rule
from pilotlight_autoscaler.engine import (
    FIRST_PODS,
    FIRST_S,
    SETTLE_S,
    Engine,
    Outcome,
    Policy,
    Sight,
)
from pilotlight_autoscaler.fleet import Tally
from pilotlight_autoscaler.settings import Spec
from pilotlight_autoscaler.status import Facts, Past
from pilotlight_autoscaler.windows import Share
from pilotlight_autoscaler.zero import Activity

START = 1_700_000_000.0
KEY = "default/hello-00001"
POLICY = Policy(Rates(1000.0, 2.0))
NEW = Past(Activity.ACTIVATING, START, False, -1)
ACTIVE = Past(Activity.ACTIVE, START - 1000, True, 1)
ASLEEP = Past(Activity.INACTIVE, START - 1000, True, 0)


@dataclass
class World:
    """One revision whose pods become ready `start_s` after they were asked for."""

    spec: Spec
    past: Past = NEW
    replicas: int = 1
    policy: Policy = POLICY
    start_s: float = 1.0
    reporting: bool = True
    now: float = START
    ready: int = 0
    load: float = 0.0
    facts: list[Facts] = field(default_factory=list)
    scales: list[tuple[float, int]] = field(default_factory=list)
    pending: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.now, self.policy)
        if self.past.initialized:
            self.ready = self.replicas
        elif self.replicas:
            self.pending.append((self.now + self.start_s, self.replicas))
        sight = Sight(self.ready, self.ready if self.reporting else 0, self.replicas)
        self.engine.put(KEY, self.spec, self.past, sight, self.now)
        self.take(self.engine.refresh(KEY, self.now))

    def take(self, outcome: Outcome) -> None:
        for scale in outcome.scales:
            self.scales.append((self.now - START, scale.replicas))
            self.pending.append((self.now + self.start_s, scale.replicas))
            self.replicas = scale.replicas
            self.engine.see_replicas(KEY, self.replicas, self.now)
        self.facts.extend(facts for _, facts in outcome.statuses)

    def run(self, seconds: float, load: float | None = None) -> None:
        """Let time pass under a steady load, reported each second."""
        self.load = self.load if load is None else load
        for _ in range(round(seconds)):
            self.now += 1
            self._start_pods()
            if self.load:
                self.engine.record(KEY, Share(int(self.now) - 1, self.load, 0.0))
            if int(self.now) % 2 == 0:
                self.take(self.engine.tick(self.now))

    def _start_pods(self) -> None:
        for at, count in [p for p in self.pending if p[0] <= self.now]:
            self.pending.remove((at, count))
            self.ready = count
            tally = Tally(count, 0, 0, 0, count if self.reporting else 0)
            if self.engine.see_pods(KEY, tally):
                self.take(self.engine.refresh(KEY, self.now))

    def rule(self) -> Rule:
        return self.engine.explain(KEY, self.now).rule


def test_a_new_revision_starts_and_goes_to_sleep() -> None:
    world = World(Spec())
    # Until there is a decision, what the Deployment has is what is wanted.
    assert world.facts == [Facts(Activity.ACTIVATING, False, 1, 0)]
    world.run(2)
    assert world.facts[-1].activity is Activity.ACTIVE
    assert world.facts[-1].initialized
    world.run(57)
    assert world.scales == []
    world.run(8)
    assert world.scales == [(64.0, 0)]
    assert [f.activity for f in world.facts[-2:]] == [Activity.INACTIVE] * 2
    assert world.facts[-1] == Facts(Activity.INACTIVE, True, 0, 0)


def test_the_last_pod_is_kept_for_its_retention() -> None:
    world = World(Spec(retention_s=20.0))
    world.run(66)
    assert world.facts[-1].activity is Activity.INACTIVE
    assert world.rule() is Rule.POD_RETENTION
    world.run(15)
    assert world.scales == []
    world.run(5)
    assert [replicas for _, replicas in world.scales] == [0]


def test_min_scale_keeps_pods() -> None:
    world = World(Spec(min=2))
    world.run(200)
    assert [replicas for _, replicas in world.scales] == [2]
    assert world.facts[-1].activity is Activity.ACTIVE


def test_scale_to_zero_can_be_disabled() -> None:
    world = World(Spec(), policy=replace(POLICY, scale_to_zero=False))
    world.run(200)
    assert world.scales == []
    assert world.rule() is Rule.ZERO_DISABLED


def test_an_initial_scale_is_reached_before_anything_else() -> None:
    world = World(Spec(initial=3), replicas=3, start_s=20)
    world.run(19)
    assert world.scales == []
    assert world.facts[-1].activity is Activity.ACTIVATING
    world.run(4)
    assert Facts(Activity.ACTIVE, True, 3, 3) in world.facts


def test_initial_scale_zero_starts_asleep() -> None:
    world = World(Spec(initial=0), replicas=0)
    world.run(4)
    assert world.facts[-1] == Facts(Activity.INACTIVE, True, 0, 0)
    assert world.scales == []


def test_a_revision_that_never_gets_ready_times_out() -> None:
    world = World(Spec(activation_timeout_s=40.0), start_s=1e9)
    world.run(39)
    assert world.scales == []
    world.run(3)
    assert world.scales == [(40.0, 0)]
    assert world.facts[-1] == Facts(Activity.TIMED_OUT, False, 0, 0)


def test_load_scales_out_by_panic_and_comes_back_slowly() -> None:
    world = World(Spec(target=10.0), past=ACTIVE)
    world.run(60, load=5)
    assert world.scales == []
    world.run(8, load=80)
    assert world.scales[-1][1] == 8
    world.run(50, load=0)
    assert world.scales[-1][1] == 8, "in panic nothing goes down"
    world.run(80)
    counts = [replicas for _, replicas in world.scales]
    down = counts[counts.index(8) :]
    assert down == sorted(down, reverse=True)
    assert down[-1] == 0
    # Never by more than half of the ready pods at once.
    assert all(after >= before // 2 for before, after in pairwise(down))


def test_max_scale_holds() -> None:
    world = World(Spec(target=10.0, max=3), past=ACTIVE)
    world.run(20, load=500)
    assert max(replicas for _, replicas in world.scales) == 3
    assert world.rule() is Rule.MAX_SCALE


def test_a_scale_down_delay_keeps_pods() -> None:
    world = World(Spec(target=10.0, stable_s=6, panic_s=1, delay_s=60.0), past=ACTIVE)
    world.run(20, load=50)
    assert world.replicas == 5
    world.run(58, load=0)
    assert world.replicas == 5
    assert world.rule() is Rule.SCALE_DOWN_DELAY
    world.run(30)
    # What the rate allowed while five pods were ready is a wish like any other, and lasts as long.
    assert world.replicas == 2
    world.run(150)
    assert world.replicas == 0


def test_a_waiting_request_wakes_at_once() -> None:
    world = World(Spec(target=0.7), past=ASLEEP, replicas=0)
    world.run(10)
    assert world.scales == []
    world.now += 0.3
    world.engine.wake(KEY, world.now)
    world.take(world.engine.poke([KEY], world.now))
    assert [replicas for _, replicas in world.scales] == [1], "one request wants one pod"
    assert world.facts[-1] == Facts(Activity.ACTIVATING, True, 1, 0)
    world.take(world.engine.poke([KEY], world.now))
    assert len(world.scales) == 1, "asked once"


def test_a_woken_revision_stays_up_for_a_stable_window() -> None:
    world = World(Spec(), past=ASLEEP, replicas=0)
    world.engine.wake(KEY, world.now)
    world.take(world.engine.poke([KEY], world.now))
    world.run(55)
    assert world.replicas == 1
    world.run(15)
    assert world.replicas == 0


def test_waking_respects_activation_scale_and_max() -> None:
    for spec, expected in ((Spec(activation=4), 4), (Spec(activation=4, max=2), 2)):
        world = World(spec, past=ASLEEP, replicas=0)
        world.engine.wake(KEY, world.now)
        world.take(world.engine.poke([KEY], world.now))
        assert world.replicas == expected


def test_waking_works_before_the_deployment_is_seen() -> None:
    world = World(Spec(), past=ASLEEP, replicas=-1)
    world.run(4)
    assert world.scales == []
    world.engine.wake(KEY, world.now)
    world.take(world.engine.poke([KEY], world.now))
    assert world.replicas == 1


def test_the_first_load_of_an_idle_revision_is_acted_on_at_once() -> None:
    world = World(Spec(), past=ASLEEP, replicas=0)
    world.run(4)
    assert world.engine.sleeping(KEY)
    world.engine.record(KEY, Share(int(world.now), 0.25, 0.0))
    world.take(world.engine.poke([KEY], world.now + 0.5))
    assert world.replicas == 1
    assert not world.engine.sleeping(KEY)


@pytest.mark.parametrize("reporting", [True, False], ids=["reports arrive", "no reports"])
@pytest.mark.parametrize("replicas", [1, 2, 10, 40])
def test_a_fresh_autoscaler_takes_nothing_away_before_it_knows(
    replicas: int, reporting: bool
) -> None:
    world = World(Spec(target=10.0), past=ACTIVE, replicas=replicas, reporting=reporting)
    world.run(58)
    assert all(count >= replicas for _, count in world.scales)
    assert world.replicas >= replicas


def test_a_fresh_autoscaler_keeps_what_was_being_started() -> None:
    past = Past(Activity.ACTIVATING, START, True, 4)
    world = World(Spec(min=1), past=past, replicas=4, reporting=False)
    world.run(50)
    assert world.scales == []


def test_a_fresh_autoscaler_keeps_a_steady_load_where_it_is() -> None:
    world = World(Spec(target=10.0), past=ACTIVE._replace(desired=40), replicas=40)
    world.run(300, load=400)
    assert world.scales == []


def test_a_fresh_autoscaler_lets_an_idle_revision_go_after_a_window() -> None:
    world = World(Spec(), past=ACTIVE, replicas=1)
    world.run(70)
    assert world.replicas == 0


def test_a_fresh_autoscaler_scales_up_without_waiting() -> None:
    world = World(Spec(target=10.0), past=ACTIVE, replicas=2, reporting=False)
    world.run(6, load=90)
    assert world.replicas == 9


def test_an_unreachable_revision_ignores_min_scale_and_goes() -> None:
    world = World(Spec(min=3, reachable=False), past=ACTIVE, replicas=3)
    world.run(200)
    assert world.replicas == 0


def test_replicas_that_somebody_else_wrote_are_put_right() -> None:
    world = World(Spec(min=2), past=ACTIVE, replicas=2)
    world.run(10)
    assert world.engine.see_replicas(KEY, 7, world.now)
    world.take(world.engine.refresh(KEY, world.now))
    assert world.replicas == 2


def test_an_older_number_is_not_believed_right_after_a_write() -> None:
    world = World(Spec(), past=ASLEEP, replicas=0)
    world.engine.wake(KEY, world.now)
    assert [s.replicas for s in world.engine.poke([KEY], world.now).scales] == [1]
    assert not world.engine.see_replicas(KEY, 0, world.now + 1)
    assert world.engine.unsettled(world.now + SETTLE_S) == [KEY]
    assert world.engine.see_replicas(KEY, 0, world.now + SETTLE_S)


def test_a_refused_write_is_forgotten() -> None:
    world = World(Spec(), past=ASLEEP, replicas=0)
    world.engine.wake(KEY, world.now)
    world.engine.poke([KEY], world.now)
    world.engine.doubt_replicas(KEY)
    assert world.engine.see_replicas(KEY, 0, world.now)


def test_nothing_is_written_when_nothing_changes() -> None:
    world = World(Spec(target=10.0), past=ACTIVE)
    world.run(100, load=5)
    world.facts.clear()
    world.scales.clear()
    world.run(600)
    assert (world.facts, world.scales) == ([], [])


def test_a_removed_revision_leaves_no_trace() -> None:
    world = World(Spec(delay_s=30.0), past=ACTIVE, replicas=5)
    world.run(10, load=400)
    world.engine.remove(KEY)
    assert KEY not in world.engine
    assert world.engine.tick(world.now + 2) == Outcome()
    world.engine.put(KEY, Spec(), NEW, Sight(), world.now)
    entry = world.engine.explain(KEY, world.now)
    assert (entry.stable, entry.ready, entry.panicking) == (0.0, 0, False)
    assert world.engine.history.of(KEY) == []


def test_a_changed_spec_counts_at_once() -> None:
    world = World(Spec(target=10.0), past=ACTIVE, replicas=1)
    world.run(30, load=9)
    assert world.replicas == 1
    world.engine.put(KEY, Spec(target=3.0, stable_s=120, panic_s=12), ACTIVE, Sight(), world.now)
    world.run(2)
    assert world.replicas == 3


def test_decisions_are_remembered_with_their_reason() -> None:
    world = World(Spec(target=10.0, max=3), past=ACTIVE)
    world.run(20, load=50)
    entries = world.engine.history.of(KEY)
    assert entries[-1].rule is Rule.MAX_SCALE
    told = entries[-1].to_dict()
    assert told["rule"] == "max-scale"
    assert told["reason"] == "3 pods: held at max-scale"
    assert len(entries) < 10, "an entry is kept for a change only"


def test_thousands_of_revisions_keep_apart() -> None:
    engine = Engine(START, POLICY)
    keys = [f"default/r{n}" for n in range(3000)]
    for n, key in enumerate(keys):
        engine.put(
            key, Spec(target=1.0, stable_s=6 + n % 100, panic_s=1), ASLEEP, Sight(0, 0, 0), START
        )
    for n, key in enumerate(keys):
        if n % 3 == 0:
            engine.record(key, Share(int(START) + 1, n % 7 + 1.0, 0.0))
    outcome = engine.tick(START + 2)
    assert {s.key: s.replicas for s in outcome.scales} == {
        key: n % 7 + 1 for n, key in enumerate(keys) if n % 3 == 0
    }


lives = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([0.0, 0.0, 0.25, 3.0, 40.0, 300.0])),
    min_size=1,
    max_size=12,
)
wishes = st.builds(
    Spec,
    stable_s=st.sampled_from([6, 20, 60]),
    panic_s=st.sampled_from([1, 2, 6]),
    weighted=st.booleans(),
    target=st.sampled_from([0.7, 7.0, 70.0]),
    min=st.sampled_from([0, 0, 1, 3]),
    max=st.sampled_from([0, 3, 9]),
    delay_s=st.sampled_from([0.0, 10.0]),
    retention_s=st.sampled_from([0.0, 15.0]),
    activation=st.sampled_from([0, 2]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wishes, lives, st.integers(0, 8))
def test_whatever_happens_bounds_hold_and_load_keeps_a_pod(
    spec: Spec, life: list[tuple[int, float]], start_s: int
) -> None:
    world = World(spec, start_s=start_s)
    loaded_at = START
    for seconds, load in life:
        for _ in range(seconds):
            known = len(world.scales)
            world.run(1, load)
            loaded_at = world.now if load else loaded_at
            for _, replicas in world.scales[known:]:
                assert replicas >= (spec.min if world.engine.table.initialized[0] else 0)
                assert not spec.max or replicas <= spec.max
                assert replicas > 0 or world.now - loaded_at >= spec.stable_s - 1
    assert world.facts[-1].actual == world.ready


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wishes, lives)
def test_a_restart_takes_no_pod_away_at_once(spec: Spec, life: list[tuple[int, float]]) -> None:
    """The replicas of a busy revision survive a new process that knows nothing."""
    world = World(spec)
    for seconds, load in life:
        world.run(seconds, load)
    world.run(2 * spec.stable_s, 30.0)
    past = Past(Activity.ACTIVE, START, True, world.replicas)
    after = World(spec, past=past, replicas=world.replicas, now=world.now)
    after.run(spec.stable_s - 2, 30.0)
    assert all(replicas >= world.replicas for _, replicas in after.scales)


class Pair(World):
    """A leader, and a standby that hears and sees the same but for which nothing is written."""

    def __init__(self, spec: Spec, past: Past, replicas: int) -> None:
        self.standby = Engine(START, POLICY)
        self.standby.leading = False
        self.wrong: list[Outcome] = []
        super().__init__(spec, past=past, replicas=replicas)
        sight = Sight(self.ready, self.ready, self.replicas)
        self.standby.put(KEY, spec, past, sight, self.now)
        self.stand_by(self.standby.refresh(KEY, self.now))

    def take(self, outcome: Outcome) -> None:
        super().take(outcome)
        if KEY in self.standby and self.standby.see_replicas(KEY, self.replicas, self.now):
            self.stand_by(self.standby.refresh(KEY, self.now))

    def stand_by(self, outcome: Outcome) -> None:
        if outcome != Outcome():
            self.wrong.append(outcome)

    def step(self, load: float) -> None:
        known = self.ready
        self.run(1, load)
        if load:
            self.standby.record(KEY, Share(int(self.now) - 1, load, 0.0))
        if self.ready != known:
            tally = Tally(self.ready, 0, 0, 0, self.ready)
            if self.standby.see_pods(KEY, tally):
                self.stand_by(self.standby.refresh(KEY, self.now))
        if int(self.now) % 2 == 0:
            self.stand_by(self.standby.tick(self.now))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wishes, lives, st.sampled_from([(NEW, 1), (ACTIVE, 1), (ACTIVE, 6), (ASLEEP, 0)]))
def test_a_standby_writes_nothing_and_takes_over_where_the_leader_was(
    spec: Spec, life: list[tuple[int, float]], begin: tuple[Past, int]
) -> None:
    pair = Pair(spec, *begin)
    for seconds, load in [(2, 0.0), *life]:
        for _ in range(seconds):
            pair.step(load)
    assert pair.wrong == []
    pair.standby.leading = True
    outcome = pair.standby.settle(pair.now)
    assert [key for key, _ in outcome.statuses] == [KEY], "the status is compared in any case"
    # It may be a tick ahead of the leader on the way to zero, and of one mind with it otherwise.
    assert all(scale.replicas == 0 for scale in outcome.scales)
    for _ in range(4):
        pair.step(pair.load)
    assert pair.replicas == 0 or not outcome.scales
    row = pair.standby.row(KEY)
    for column in ("want", "activity", "initialized", "panic_most", "shown_desired"):
        theirs, ours = getattr(pair.engine.table, column), getattr(pair.standby.table, column)
        assert theirs[pair.engine.row(KEY)] == ours[row], column


def test_a_standby_wakes_what_sleeps_and_gives_no_more_pods() -> None:
    world = World(Spec(target=1.0, activation=2), past=ASLEEP, replicas=0)
    world.engine.leading = False
    world.run(10, load=50)
    assert world.scales == [], "load alone does not wake it"
    world.engine.wake(KEY, world.now)
    outcome = world.engine.poke([KEY], world.now)
    assert [(s.before, s.replicas > 0) for s in outcome.scales] == [(0, True)]
    assert outcome.statuses == []
    # It is seen at 0 only now: the request still waits.
    world = World(Spec(), past=ASLEEP, replicas=1)
    world.engine.leading = False
    world.engine.wake(KEY, world.now)
    assert world.engine.poke([KEY], world.now).scales == []
    assert world.engine.see_replicas(KEY, 0, world.now)
    assert [s.replicas for s in world.engine.refresh(KEY, world.now).scales] == [1]


def test_a_revision_that_requests_wait_for_is_decided_for_between_two_ticks() -> None:
    world = World(Spec(stable_s=6, panic_s=1, target=7.0), ACTIVE, replicas=1)
    world.run(2, load=5)
    assert int(world.now) % 2 == 0
    world.scales.clear()
    world.engine.record(KEY, Share(int(world.now), 40.0, 0.0))
    world.now += 1.3
    world.take(world.engine.hasten([KEY], world.now))
    assert [count for _, count in world.scales] == [6]
    assert world.engine.explain(KEY, world.now).rule is Rule.PANIC


def test_nothing_goes_down_between_two_ticks() -> None:
    world = World(Spec(stable_s=6, panic_s=1, target=7.0), ACTIVE, replicas=6)
    world.run(20, load=40)
    desired = world.engine.table.desired[0]
    world.scales.clear()
    world.engine.record(KEY, Share(int(world.now), 1.0, 0.0))
    for _ in range(5):
        world.now += 1
        world.take(world.engine.hasten([KEY], world.now))
    assert world.scales == []
    assert world.engine.table.desired[0] == desired


@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_what_is_desired_is_shown_from_the_start(replicas: int) -> None:
    world = World(Spec(initial=replicas), replicas=replicas)
    assert world.facts[-1].desired == replicas


def test_replicas_that_are_seen_later_are_shown_too() -> None:
    engine = Engine(START, POLICY)
    engine.put(KEY, Spec(), NEW, Sight(0, 0, -1), START)
    assert [f.desired for _, f in engine.refresh(KEY, START).statuses] == [-1]
    assert engine.see_replicas(KEY, 1, START)
    assert [f.desired for _, f in engine.refresh(KEY, START).statuses] == [1]


def test_what_was_shown_before_a_restart_stays_until_there_is_a_decision() -> None:
    engine = Engine(START, POLICY)
    engine.put(KEY, Spec(), Past(Activity.ACTIVE, START - 9, True, 4), Sight(3, 3, 5), START)
    assert [f.desired for _, f in engine.refresh(KEY, START).statuses] == [-1]


def crowd_of_ten_a_pod(world: World, requests: int) -> None:
    """Somebody says that so many requests wait, and the engine decides at once."""
    world.engine.wake(KEY, world.now, requests)
    world.take(world.engine.poke([KEY], world.now))


TEN_AT_ONCE = Spec(target=7.0, total=10.0, stable_s=60, panic_s=6)


def test_a_crowd_before_a_sleeping_revision_gets_the_pods_that_can_take_it() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0)
    for requests in (1, 30, 100):
        crowd_of_ten_a_pod(world, requests)
    world.run(1, load=100.0)
    # 100 requests, 10 in a pod: 10 pods, some of them first, and not the 15 of a target of 7.
    assert [replicas for _, replicas in world.scales] == [1, 2, 10]
    world.run(30, load=0.0)
    assert max(replicas for _, replicas in world.scales) == 10


def test_the_rest_of_a_crowd_s_pods_follow_the_first_that_is_ready() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0)
    crowd_of_ten_a_pod(world, 100)
    crowd_of_ten_a_pod(world, 100)
    assert world.replicas == FIRST_PODS
    world.engine.see_pods(KEY, Tally(1, 3, 0, 0, 1))
    world.take(world.engine.refresh(KEY, world.now))
    assert world.replicas == 10


def test_the_rest_of_a_crowd_s_pods_do_not_wait_long_for_the_first() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0, start_s=30.0)
    crowd_of_ten_a_pod(world, 100)
    assert world.replicas == FIRST_PODS
    world.now += FIRST_S
    crowd_of_ten_a_pod(world, 100)
    assert world.replicas == 10


def test_whoever_asked_for_more_pods_at_once_has_them() -> None:
    world = World(replace(TEN_AT_ONCE, activation=8), ASLEEP, replicas=0)
    crowd_of_ten_a_pod(world, 100)
    assert world.replicas == 8


def test_a_crowd_that_stays_gets_the_room_that_its_target_asks_for() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0)
    crowd_of_ten_a_pod(world, 100)
    world.run(5, load=100.0)
    assert world.replicas == 10
    world.run(5, load=100.0)
    assert world.replicas == 15


def test_a_crowd_waits_for_slow_pods_without_growing_them() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0, start_s=30.0)
    crowd_of_ten_a_pod(world, 100)
    world.run(30, load=100.0)
    assert world.replicas == 10


def test_a_smaller_word_does_not_shrink_a_crowd_and_an_old_one_is_forgotten() -> None:
    world = World(TEN_AT_ONCE, ASLEEP, replicas=0)
    crowd_of_ten_a_pod(world, 100)
    crowd_of_ten_a_pod(world, 40)
    world.run(1, load=100.0)
    assert world.replicas == 10
    world.run(80, load=0.0)
    assert world.replicas == 0
    crowd_of_ten_a_pod(world, 5)
    assert world.replicas == 1
