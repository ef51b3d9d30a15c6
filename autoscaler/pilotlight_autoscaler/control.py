"""The middle of the process: what is seen goes into the engine, what the engine wants goes out.

Runs in the event loop and never waits: watches and reports call in, the writer is handed what has
to be written. All replicas take everything in and decide; only the leader has it written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from pilotlight import names
from pilotlight.config.autoscaler import Autoscaler
from pilotlight_autoscaler.decide import Rates
from pilotlight_autoscaler.engine import Engine, Outcome, Policy, Scale, Sight
from pilotlight_autoscaler.fleet import Fleet, Tally
from pilotlight_autoscaler.scale import Done, Replicas, Writer
from pilotlight_autoscaler.settings import DEFAULT_PROGRESS_DEADLINE_S, Spec, spec_of
from pilotlight_autoscaler.status import Facts, is_settled, past_of
from pilotlight_autoscaler.zero import Activity

_log: Final = logging.getLogger("control")

Object = dict[str, Any]

# Revisions that requests wait for before the API has shown them.
MOST_EARLY: Final = 10_000
EARLY_S: Final = 10.0
# For how many seconds a status may wait for one that makes it needless. Pods are often ready before
# anybody has to be told that they start, while all that the machine can do is needed to start them.
# Of a revision that wakes nobody has to be told soon in any case: its requests do not ask the API.
FIRST_STARTING_S: Final = 3.0
STARTING_S: Final = 8.0
SETTLED_S: Final = 2.0


class Asker(Protocol):
    """Somebody who has a request waiting, and is told when pods were asked for."""

    def decided(self, key: str, decided_at: float, patched_at: float) -> None: ...


class Deployment(NamedTuple):
    """What the API shows of a revision's Deployment."""

    replicas: int
    version: str


@dataclass(slots=True)
class Target:
    """One revision's objects and the writes last made for it."""

    obj: Object
    deployment: str
    uid: str
    askers: set[Asker] = field(default_factory=set)
    crowds: dict[Asker, int] = field(default_factory=dict)
    """The requests that wait in each activator, as it said last."""
    last: Done | None = None


@dataclass(slots=True)
class Settings:
    """The cluster's own settings; replaced when they change."""

    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    progress_deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S

    def policy(self) -> Policy:
        config = self.autoscaler
        rates = Rates(config.max_scale_up_rate, config.max_scale_down_rate)
        return Policy(rates, config.enable_scale_to_zero)

    def spec(self, obj: Object) -> Spec:
        return spec_of(obj, self.autoscaler, self.progress_deadline_s)


class Control:
    """Holds all revisions by key ("namespace/name")."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.settings = Settings()
        self.engine = Engine(clock(), self.settings.policy())
        self.engine.leading = False
        self.fleets: dict[str, Fleet] = {}
        self.targets: dict[str, Target] = {}
        self.api_current = True
        self._writer: Writer | None = None
        self._deployments: dict[str, Deployment] = {}
        self._early: dict[str, tuple[float, dict[Asker, int]]] = {}
        self._urgent: set[str] = set()
        self._queueing: set[str] = set()
        # Revisions with pods that are believed for a while only.
        self._doubtful: set[str] = set()

    def use(self, writer: Writer) -> None:
        """Write with `writer`; before this, nothing is written."""
        self._writer = writer

    def lead(self) -> None:
        """Write from now on, first of all what is not as it should be."""
        self.engine.leading = True
        for key in self.targets:
            self._believe_api(key)
        self._apply(self.engine.settle(self.clock()))

    def follow(self) -> None:
        """Another writes from now on. What requests wait for is asked for all the same."""
        self.engine.leading = False
        if self._writer is not None:
            self._writer.drop_all()
        for key, target in self.targets.items():
            self._believe_api(key)
            if target.askers:
                self.engine.wake(key, self.clock(), sum(target.crowds.values()))
                self._urgent.add(key)
        self.decide_urgent()

    # What is seen

    def see_autoscaler(self, key: str, obj: Object) -> None:
        """A PodAutoscaler of our class is there, or has changed."""
        now, engine = self.clock(), self.engine
        spec = self.settings.spec(obj)
        target = self.targets.get(key)
        if target is not None and target.uid != _owner_uid(obj):
            self.lose_autoscaler(key)
            target = None
        if target is None:
            self.targets[key] = target = Target(obj, _deployment_of(obj), _owner_uid(obj))
            tally = self.tally(key)
            sight = Sight(tally.ready, tally.connected, self._replicas(key))
            engine.put(key, spec, past_of(obj, now), sight, now)
            _log_problems(key, spec)
            self._wake_early(key, now)
        else:
            if _version(obj) < _version(target.obj):
                return
            grown = _generation(obj) != _generation(target.obj)
            target.obj, target.deployment = obj, _deployment_of(obj)
            if spec == engine.spec(key) and not grown:
                return
            engine.put(key, spec, past_of(obj, now), Sight(), now)
            engine.doubt_status(key)
            _log_problems(key, spec)
        self._apply(engine.refresh(key, now))

    def lose_autoscaler(self, key: str) -> None:
        if self.targets.pop(key, None) is None:
            return
        self.engine.remove(key)
        self._urgent.discard(key)
        self._queueing.discard(key)
        if self._writer is not None:
            self._writer.drop(key)
        self._tidy(key)

    def see_replicas(self, key: str, replicas: int | None, version: str = "") -> None:
        """What a Deployment's spec says, and its resourceVersion; None when it is gone."""
        if replicas is None:
            self._deployments.pop(key, None)
        else:
            self._deployments[key] = Deployment(replicas, version)
        self._take_replicas(key)

    def see_pods(self, key: str) -> None:
        """Something about a revision's pods has changed."""
        now = self.clock()
        if key in self.engine and self.engine.see_pods(key, self.tally(key)):
            self._apply(self.engine.refresh(key, now))
        fleet = self.fleets.get(key)
        if fleet is not None and fleet.next_doubt(now) is not None:
            self._doubtful.add(key)
        else:
            self._doubtful.discard(key)
        self._tidy(key)

    def see_settings(self, settings: Settings) -> None:
        """The cluster's settings have changed."""
        self.settings = settings
        self.engine.policy = settings.policy()
        for key, target in list(self.targets.items()):
            self.see_autoscaler(key, target.obj)

    def fleet(self, key: str) -> Fleet:
        """The pods of a revision, which need not be known yet."""
        return self.fleets.setdefault(key, Fleet())

    def tally(self, key: str) -> Tally:
        fleet = self.fleets.get(key)
        if fleet is None:
            return Tally(0, 0, 0, 0, 0)
        return fleet.tally(self.clock(), self.api_current)

    def owner_uid(self, key: str) -> str | None:
        """The UID of a Revision, None when the API has not shown it."""
        target = self.targets.get(key)
        return None if target is None else target.uid

    # What cannot wait

    def loaded(self, key: str) -> None:
        """Load was recorded: a revision that wanted no pod is decided for at once."""
        if self.engine.sleeping(key):
            self._urgent.add(key)

    def keep_awake(self, key: str) -> None:
        """Requests still wait for a pod."""
        self.engine.wake(key, self.clock())
        self.loaded(key)

    def waiting(self, key: str, asker: Asker, requests: int) -> None:
        """So many requests of one activator wait, and there is no pod for them."""
        now = self.clock()
        target = self.targets.get(key)
        if target is None:
            self._remember_early(key, asker, requests, now)
            return
        target.askers.add(asker)
        if not self.engine.woken(key, now):
            target.crowds.clear()
        target.crowds[asker] = requests
        self.engine.wake(key, now, sum(target.crowds.values()))
        self._urgent.add(key)

    @property
    def urgent(self) -> bool:
        """Whether revisions wait for `decide_urgent`."""
        return bool(self._urgent)

    def decide_urgent(self) -> None:
        """Decide for the revisions that cannot wait for the next tick."""
        urgent = [key for key in self._urgent if key in self.engine]
        self._urgent.clear()
        if not urgent:
            return
        now = self.clock()
        self._apply(self.engine.poke(urgent, now))
        for key in urgent:
            target = self.targets[key]
            if target.askers and (self._writer is None or key not in self._writer.replicas):
                # There was nothing to write: pods were asked for before.
                if self.engine.leading:
                    self._answer(target, target.last or Done(key, 0, now, now))
                else:
                    target.askers.clear()

    def queueing(self, key: str) -> None:
        """Requests wait although the revision has pods: it should have more before the next
        tick."""
        self._queueing.add(key)

    def hasten(self) -> None:
        """Give more pods to revisions that requests waited for in the last second."""
        keys = [key for key in self._queueing if key in self.engine]
        self._queueing.clear()
        if keys:
            self._apply(self.engine.hasten(keys, self.clock()))

    def tick(self) -> None:
        """Decide for all revisions."""
        now = self.clock()
        self._queueing.clear()
        for key in self.engine.unsettled(now):
            self._take_replicas(key)
        for key in [key for key, (deadline, _) in self._early.items() if deadline < now]:
            del self._early[key]
        for key in list(self._doubtful):
            self.see_pods(key)
        self._apply(self.engine.tick(now))

    # What the writer tells

    def autoscaler_object(self, key: str) -> Object | None:
        target = self.targets.get(key)
        return None if target is None else target.obj

    def status_written(self, key: str, obj: Object) -> None:
        target = self.targets.get(key)
        if target is not None and _version(obj) >= _version(target.obj):
            target.obj = obj

    def scaled(self, done: Done) -> None:
        target = self.targets.get(done.key)
        # A write of 0 that was under way when the request came is no answer to it.
        if target is not None and done.replicas > 0:
            target.last = done
            self._answer(target, done)

    def scale_refused(self, key: str) -> None:
        # No new decision here: it would be refused like this one, and so on without an end.
        if key in self.engine:
            self._believe_api(key)

    def asleep(self, key: str) -> str | None:
        deployment = self._deployments.get(key)
        return deployment.version if deployment is not None and not deployment.replicas else None

    def overtaken(self, key: str) -> None:
        target = self.targets.get(key)
        if target is not None:
            # Who was faster has answered.
            target.askers.clear()
            self.scale_refused(key)

    def status_refused(self, key: str) -> None:
        """The object is gone, or will be seen changed; then it is written again."""

    def forget_asker(self, asker: Asker) -> None:
        """Somebody who waited is gone."""
        for target in self.targets.values():
            target.askers.discard(asker)
            target.crowds.pop(asker, None)

    def _apply(self, outcome: Outcome) -> None:
        if self._writer is None:
            raise RuntimeError("a writer has to be set before anything is decided")
        for scale in outcome.scales:
            self._scale(self._writer, scale)
        for key, facts in outcome.statuses:
            self._writer.statuses.put(key, facts, _patience(self.targets[key].obj, facts))

    def _scale(self, writer: Writer, scale: Scale) -> None:
        costs: Mapping[str, int] = {}
        fleet = self.fleets.get(scale.key)
        if fleet is not None and 0 < scale.replicas < scale.before:
            costs = fleet.costs(scale.before - scale.replicas)
        deployment = self.targets[scale.key].deployment
        writer.replicas.put(scale.key, Replicas(deployment, scale.replicas, self.clock(), costs))

    def _take_replicas(self, key: str) -> None:
        now = self.clock()
        if key in self.engine and self.engine.see_replicas(key, self._replicas(key), now):
            self._apply(self.engine.refresh(key, now))

    def _replicas(self, key: str) -> int:
        deployment = self._deployments.get(key)
        return -1 if deployment is None else deployment.replicas

    def _believe_api(self, key: str) -> None:
        """Forget what was asked for: what the API shows is what there is."""
        self.engine.doubt_replicas(key)
        self.engine.see_replicas(key, self._replicas(key), self.clock())

    def _remember_early(self, key: str, asker: Asker, requests: int, now: float) -> None:
        if key not in self._early and len(self._early) >= MOST_EARLY:
            return
        _, crowds = self._early.get(key, (0.0, {}))
        crowds[asker] = requests
        self._early[key] = now + EARLY_S, crowds

    def _wake_early(self, key: str, now: float) -> None:
        deadline, crowds = self._early.pop(key, (0.0, {}))
        if deadline > now:
            for asker, requests in crowds.items():
                self.waiting(key, asker, requests)
            self.decide_urgent()

    def _answer(self, target: Target, done: Done) -> None:
        askers, target.askers = target.askers, set()
        for asker in askers:
            asker.decided(done.key, done.decided_at, done.patched_at)

    def _tidy(self, key: str) -> None:
        """Forget a fleet without pods that belongs to no revision."""
        fleet = self.fleets.get(key)
        if fleet is not None and not len(fleet) and key not in self.targets:
            del self.fleets[key]
            self._doubtful.discard(key)


def _patience(obj: Object, facts: Facts) -> float:
    """For how many seconds the status may wait."""
    starting, settled = facts.activity is Activity.ACTIVATING, is_settled(obj)
    if not settled or facts.activity is Activity.TIMED_OUT:
        return FIRST_STARTING_S if starting else 0.0
    return STARTING_S if starting else SETTLED_S


def _deployment_of(obj: Object) -> str:
    reference = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    return str(reference.get("name") or names.deployment_name(obj["metadata"]["name"]))


def _owner_uid(obj: Object) -> str:
    """The UID of the Revision that a PodAutoscaler belongs to; its own where there is none."""
    metadata = obj["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("kind") == "Revision":
            return str(owner.get("uid") or "")
    return str(metadata.get("uid") or "")


def _generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation") or 0)


def _version(obj: Object) -> int:
    """Resource versions grow; one that is no number compares as older than any other."""
    text = str(obj["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else -1


def _log_problems(key: str, spec: Spec) -> None:
    for problem in spec.problems:
        _log.warning("an annotation is ignored", extra={"revision": key, "problem": problem})
