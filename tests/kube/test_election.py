"""The rules of the election: single steps, and whole elections with every kind of bad luck."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.config.leader_election import LeaderElection
from pilotlight.kube.election import Election, Lease, Step, renewal_interval_s

TIMINGS = LeaderElection(lease_duration_s=15.0, renew_deadline_s=10.0, retry_period_s=2.0)
START = 1000.0


def held_by(holder: str, term: str = "t1", pulse: str = "p1", duration_s: float = 15.0) -> Lease:
    return Lease(holder, term, pulse, duration_s)


def leader(now: float = START) -> Election:
    """A candidate that has just made the Lease."""
    election = Election("me")
    election.saw(None, now)
    election.sends(Step.CREATE, "mine", TIMINGS, now)
    election.wrote(held_by("me", "mine"), TIMINGS, now)
    return election


def test_it_looks_before_it_does_anything() -> None:
    step, due = Election("me").next(TIMINGS, START)
    assert (step, due <= START) == (Step.LOOK, True)


@pytest.mark.parametrize(
    ("lease", "step"),
    [
        pytest.param(None, Step.CREATE, id="there is none"),
        pytest.param(held_by(""), Step.TAKE, id="nobody holds it"),
        pytest.param(held_by("me"), Step.TAKE, id="its own, from before a restart"),
    ],
)
def test_what_is_free_is_taken_at_once(lease: Lease | None, step: Step) -> None:
    election = Election("me")
    election.saw(lease, START)
    taken, due = election.next(TIMINGS, START)
    assert (taken, due <= START) == (step, True)
    assert not election.leads(START)


def test_what_another_holds_is_looked_at_until_it_has_run_out() -> None:
    election = Election("me")
    election.saw(held_by("other"), START)
    now, steps = START, []
    for _ in range(8):
        step, now = election.next(TIMINGS, now)
        steps.append((step, now - START))
        election.saw(held_by("other"), now)
    assert steps[:7] == [(Step.LOOK, 2.0 * n) for n in range(1, 8)]
    assert steps[7] == (Step.TAKE, 15.0)


def test_a_lease_that_changes_has_not_run_out() -> None:
    election = Election("me")
    election.saw(held_by("other"), START)
    election.saw(held_by("other", pulse="p2"), START + 14)
    assert election.next(TIMINGS, START + 16) == (Step.LOOK, START + 16)
    election.saw(held_by("other", pulse="p2"), START + 28)
    assert election.next(TIMINGS, START + 28) == (Step.TAKE, START + 29)


def test_the_lease_says_how_long_it_holds() -> None:
    """Whoever holds it counts on it, whatever the settings say here."""
    election = Election("me")
    election.saw(held_by("other", duration_s=60.0), START)
    assert election.next(TIMINGS, START + 20)[0] is Step.LOOK
    assert election.next(TIMINGS, START + 60)[0] is Step.TAKE


def test_a_leader_acts_from_when_it_sent_until_its_deadline() -> None:
    election = leader()
    assert election.leads(START + 9.99)
    assert not election.leads(START + 10)
    step, due = election.next(TIMINGS, START)
    assert (step, due) == (Step.RENEW, START + renewal_interval_s(TIMINGS))
    election.wrote(held_by("me", "mine", "p2"), TIMINGS, START + 3)
    assert election.leads(START + 12.9)


@pytest.mark.parametrize(
    ("deadline_s", "retry_s", "interval_s"),
    [(10.0, 2.0, 6.0), (10.0, 6.0, 6.0), (40.0, 10.0, 20.0)],
)
def test_it_may_fail_before_it_has_to_stop(
    deadline_s: float, retry_s: float, interval_s: float
) -> None:
    timings = LeaderElection(60.0, deadline_s, retry_s)
    assert renewal_interval_s(timings) == pytest.approx(interval_s)


def test_a_failed_renewal_is_tried_again_as_it_was() -> None:
    election = leader()
    election.failed(Step.RENEW, TIMINGS, START + 6)
    assert election.next(TIMINGS, START + 6) == (Step.RENEW, START + 8)


def test_an_outdated_renewal_is_looked_into() -> None:
    election = leader()
    election.failed(Step.RENEW, TIMINGS, START + 6, outdated=True)
    assert election.next(TIMINGS, START + 6) == (Step.LOOK, START + 8)
    # Its own word, whose answer was lost.
    election.saw(held_by("me", "mine", "p2"), START + 8)
    step, due = election.next(TIMINGS, START + 8)
    assert (step, due <= START + 8) == (Step.RENEW, True)


def test_a_leader_that_sees_another_stops_at_once() -> None:
    election = leader()
    election.saw(held_by("other"), START + 1)
    assert not election.leads(START + 1)


def test_a_leader_that_could_not_renew_goes_on_when_nobody_has_taken_over() -> None:
    election = leader()
    election.failed(Step.RENEW, TIMINGS, START + 9)
    assert not election.leads(START + 11)
    assert election.next(TIMINGS, START + 60) == (Step.RENEW, START + 60)
    election.wrote(held_by("me", "mine", "p2"), TIMINGS, START + 60)
    assert election.leads(START + 61)


def test_a_twin_is_another() -> None:
    """A second process of the same name has taken the Lease: they do not take it in turns."""
    election = leader()
    election.failed(Step.RENEW, TIMINGS, START + 3, outdated=True)
    election.saw(held_by("me", "twin's"), START + 5)
    assert not election.leads(START + 5)
    assert election.next(TIMINGS, START + 5) == (Step.LOOK, START + 7)


def test_a_lost_answer_to_a_first_write_is_found_in_the_lease() -> None:
    election = Election("me")
    election.saw(held_by("other"), START)
    election.sends(Step.TAKE, "mine", TIMINGS, START + 15)
    election.failed(Step.TAKE, TIMINGS, START + 15)
    assert election.next(TIMINGS, START + 15) == (Step.LOOK, START + 17)
    election.saw(held_by("me", "mine"), START + 17)
    step, due = election.next(TIMINGS, START + 17)
    assert (step, due <= START + 17) == (Step.RENEW, True)
    assert not election.leads(START + 17)


def test_a_shorter_lease_counts_when_it_is_sent() -> None:
    """Its answer may be lost, and others have seen it."""
    election = leader()
    shorter = LeaderElection(lease_duration_s=3.0, renew_deadline_s=2.0, retry_period_s=0.5)
    election.sends(Step.RENEW, "", shorter, START + 3)
    assert not election.leads(START + 5)


def test_one_that_resigned_does_not_act() -> None:
    election = leader()
    election.resigned()
    assert not election.leads(START)


# Whole elections

Luck = random.Random


@dataclass
class Server:
    """Keeps the Lease, and refuses writes of what is not the latest version of it."""

    lease: Lease | None = None
    version: int = 0

    def write(self, lease: Lease, version: int) -> bool:
        if version != self.version:
            return False
        self.lease, self.version = lease, self.version + 1
        return True


@dataclass
class Candidate:
    """A process as the rim in `leases` is one: it does what the election says, with a clock that
    is off by `offset`. `life` tells it from the one before that had its name."""

    name: str
    offset: float
    timings: LeaderElection
    life: int = 0
    version: int = 0
    election: Election = field(init=False)

    def __post_init__(self) -> None:
        self.election = Election(self.name)


@dataclass
class World:
    """Candidates, a server, and a network that loses and delays as luck has it."""

    luck: Luck
    candidates: list[Candidate]
    calm: bool = False
    now: float = 0.0
    server: Server = field(default_factory=Server)
    most_leaders: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for candidate in self.candidates:
            self.at(0.0, lambda c=candidate: self.plan(c, 0))  # type: ignore[misc]

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
            self.most_leaders = max(self.most_leaders, len(self.leaders()))
        self.now = until

    def leaders(self) -> list[Candidate]:
        return [c for c in self.candidates if c.election.leads(self.now + c.offset)]

    def delay(self, most: float) -> float:
        """Mostly short, at times very long."""
        if self.calm or self.luck.random() < 0.7:
            return self.luck.random() * 0.05
        return self.luck.random() * most

    def lost(self) -> bool:
        return not self.calm and self.luck.random() < 0.2

    def plan(self, candidate: Candidate, life: int) -> None:
        """The first half of a turn: when the next step is to be taken. A process may be late."""
        if candidate.life != life:
            return
        local, election = self.now + candidate.offset, candidate.election
        step, due = election.next(candidate.timings, local)
        until = election.until if election.leads(local) else float("inf")
        wait = max(min(due, until) - local, 0.0) + self.delay(20.0)
        self.at(self.now + wait, lambda: self.step(candidate, life, step, until))

    def step(self, candidate: Candidate, life: int, step: Step, until: float) -> None:
        if candidate.life != life:
            return
        sent_at, timings = self.now + candidate.offset, candidate.timings
        if sent_at >= until:
            self.plan(candidate, life)
            return
        limit = min(timings.renew_deadline_s / 2, until - sent_at)
        there, back = self.delay(8.0), self.delay(8.0)
        ended = [False]

        def give_up() -> None:
            if not ended[0] and candidate.life == life:
                ended[0] = True
                candidate.election.failed(step, timings, sent_at)
                self.plan(candidate, life)

        def answered(answer: Callable[[], None]) -> None:
            if not ended[0] and candidate.life == life:
                ended[0] = True
                answer()
                self.plan(candidate, life)

        def arrived(request: Callable[[], Callable[[], None]]) -> None:
            answer = request()
            if not self.lost():
                self.at(self.now + back, lambda: answered(answer))

        request = self.request(candidate, step, sent_at)
        if not self.lost():
            self.at(self.now + there, lambda: arrived(request))
        self.at(self.now + limit + self.delay(5.0), give_up)

    def request(
        self, candidate: Candidate, step: Step, sent_at: float
    ) -> Callable[[], Callable[[], None]]:
        """What happens at the server, which gives what its answer does at the candidate."""
        server, election, timings = self.server, candidate.election, candidate.timings
        version, pulse = candidate.version, f"{next(self._numbers)}"
        term = pulse
        if step is Step.RENEW and election.lease is not None:
            term = election.lease.term
        if step is not Step.LOOK:
            election.sends(step, term, timings, sent_at)
        wanted = Lease(candidate.name, term, pulse, timings.lease_duration_s)

        def look() -> Callable[[], None]:
            lease, seen = server.lease, server.version

            def answer() -> None:
                candidate.version = seen
                election.saw(lease, self.now + candidate.offset)

            return answer

        def write() -> Callable[[], None]:
            done = server.write(wanted, version)
            seen = server.version

            def answer() -> None:
                if done:
                    candidate.version = seen
                    election.wrote(wanted, timings, sent_at)
                else:
                    election.failed(step, timings, sent_at, outdated=True)

            return answer

        return look if step is Step.LOOK else write

    def end(self, candidate: Candidate, *, orderly: bool) -> None:
        """It stops, and is started anew under its own name, which it need not know of."""
        was_ours, version = candidate.election.is_ours, candidate.version
        lease = candidate.election.lease
        candidate.life += 1
        candidate.election = Election(candidate.name)
        candidate.version = 0
        if orderly and was_ours and lease is not None:
            released = lease._replace(holder="")
            self.at(self.now + self.delay(8.0), lambda: void(self.server.write(released, version)))
        life = candidate.life
        self.at(self.now + self.delay(20.0), lambda: self.plan(candidate, life))


def void(_: object) -> None:
    return None


def some_timings(luck: Luck) -> LeaderElection:
    duration = luck.choice([3.0, 15.0, 60.0])
    deadline = duration * luck.choice([0.4, 0.66, 0.9])
    return LeaderElection(duration, deadline, deadline * luck.choice([0.1, 0.2, 0.5]))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_never_do_two_act_and_in_the_end_one_does(seed: int, count: int) -> None:
    luck = Luck(seed)
    world = World(
        luck,
        [
            Candidate(f"pod-{number}", luck.uniform(-1e6, 1e6), some_timings(luck))
            for number in range(count)
        ],
    )
    for at in sorted(luck.uniform(0, 400) for _ in range(luck.randrange(12))):
        world.run(at)
        candidate = luck.choice(world.candidates)
        match luck.choice(["kill", "stop", "settings"]):
            case "kill":
                world.end(candidate, orderly=False)
            case "stop":
                world.end(candidate, orderly=True)
            case _:
                candidate.timings = some_timings(luck)
        assert world.most_leaders <= 1
    world.calm = True
    world.run(world.now + 200)
    assert world.most_leaders <= 1
    assert len(world.leaders()) == 1
    # Nobody takes a Lease from one that keeps it.
    (leads,) = world.leaders()
    for _ in range(50):
        world.run(world.now + 1)
        assert world.leaders() == [leads]
