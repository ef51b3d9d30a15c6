"""Events in, reconciled trees out: the index, the queue, and the workers between them.

The index is kept in any case. Only the leader has a queue that takes anything, and workers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import (
    DEPLOYMENTS,
    ENDPOINTS,
    INGRESSES,
    PODS,
    REVISIONS,
    ROUTES,
    Resource,
)
from pilotlight_operator.apply import Applier, Outcome
from pilotlight_operator.events import Recorder
from pilotlight_operator.index import KINDS, Index
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Key, Obj, key_of, name_of
from pilotlight_operator.plan import Root, plan
from pilotlight_operator.planner import Announcement, Create, Plan, Target, World
from pilotlight_operator.prober import Prober
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.roots import roots_of
from pilotlight_operator.settings import Settings
from pilotlight_operator.workqueue import WorkQueue

_log: Final = logging.getLogger("controller")

WORKERS: Final = 8
# A tree is four levels deep; what is not settled after twice that is fighting with somebody.
MOST_ROUNDS: Final = 10
REFUSED_RETRY_S: Final = 5.0
# A pod that starts or ends changes itself and its Deployment ten times within a second or two.
# Nobody waits for what follows from that: a Revision is ready by its PodAutoscaler.
_IN_FLOCKS: Final = (DEPLOYMENTS, PODS)
FLOCK_S: Final = 1.0


class UnsettledError(Exception):
    """Each round wrote something and brought a tree no nearer to what is desired."""


@dataclass(slots=True)
class Tools:
    """What the controller works with."""

    index: Index
    applier: Applier
    recorder: Recorder
    metrics: Metrics


class Controller:
    """Owns the queue and everything that plans depend on."""

    def __init__(self, tools: Tools, settings: Settings, master_key: bytes) -> None:
        self.index = tools.index
        self.queue: WorkQueue[Root] = WorkQueue()
        self.queue.close()
        self._applier = tools.applier
        self._recorder = tools.recorder
        self._metrics = tools.metrics
        self._settings = settings
        self._master_key = master_key
        self._prober: Prober | None = None
        self._deferred_since: dict[Target, float] = {}
        self._without_effect: dict[Target, int] = {}
        self._activators: tuple[Obj, ...] = ()

    @property
    def settings(self) -> Settings:
        return self._settings

    def use_prober(self, prober: Prober) -> None:
        self._prober = prober

    def configure(self, settings: Settings) -> None:
        """Work with other settings from now on, everywhere."""
        if settings == self._settings:
            return
        self._settings = settings
        self._enqueue_all(*KINDS)

    def see_activators(self, found: tuple[Obj, ...]) -> None:
        """Other activators are ready than before: Endpoints that lead to them have to know."""
        if found == self._activators:
            return
        first, self._activators = not self._activators, found
        self._enqueue_all(REVISIONS if first else ENDPOINTS)

    def seen(self, resource: Resource, obj: Obj) -> None:
        """An object was listed, or has changed."""
        before = self.index.get(resource, *key_of(obj))
        if not self.index.put(resource, obj):
            return
        if before is not None:
            self._enqueue(resource, before)
        self._enqueue(resource, obj)

    def gone(self, resource: Resource, obj: Obj) -> None:
        """An object was deleted."""
        if not self.index.remove(resource, obj):
            return
        target = (resource, key_of(obj))
        self._deferred_since.pop(target, None)
        self._without_effect.pop(target, None)
        if resource is INGRESSES and self._prober is not None:
            self._prober.forget(key_of(obj))
        self._enqueue(resource, obj)

    def probed(self, key: Key) -> None:
        """A gateway's answer about an Ingress has changed."""
        ingress = self.index.get(INGRESSES, *key)
        if ingress is not None:
            self._enqueue(INGRESSES, ingress)

    async def run(self) -> None:
        """Reconcile until cancelled, and begin with everything. What is in hand then is dropped."""
        self.queue = WorkQueue()
        self._deferred_since.clear()
        self._without_effect.clear()
        self._enqueue_all(*KINDS)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(WORKERS):
                    group.create_task(self._work(), name=f"reconciler {number}")
        finally:
            self.queue.close()
            if self._prober is not None:
                self._prober.forget_all()

    def update_gauges(self) -> None:
        """Before the metrics are read."""
        statistics = self.queue.statistics()
        for state in ("ready", "active", "delayed", "failing"):
            self._metrics.queue.labels(state).set(getattr(statistics, state))
        for resource in KINDS:
            group = f".{resource.group}" if resource.group else ""
            label = f"{resource.plural}{group}"
            self._metrics.objects.labels(label).set(len(self.index.cache(resource)))

    def _enqueue_all(self, *resources: Resource) -> None:
        for resource in resources:
            cache = self.index.cache(resource)
            for key in cache:
                obj = cache.get(key)
                if obj is not None:
                    self._enqueue(resource, obj)

    def _enqueue(self, resource: Resource, obj: Obj) -> None:
        for root in roots_of(resource, obj, self.index):
            if resource in _IN_FLOCKS:
                self.queue.add_after(root, FLOCK_S)
            else:
                self.queue.add(root)

    async def _work(self) -> None:
        while True:
            root = await self.queue.get()
            started = time.monotonic()
            kind = root.resource.kind
            try:
                refused = await self._reconcile(root)
            except ApiError as error:
                self._fail(root, error.message, expected=error.retryable or error.not_found)
                outcome = "retry"
            except UnsettledError as error:
                self._fail(root, str(error), expected=False)
                outcome = "retry"
            except Exception as error:
                _log.exception("a reconcile failed", extra={"kind": kind, "key": _text(root)})
                self._fail(root, repr(error), expected=False)
                outcome = "retry"
            else:
                self.queue.done(root)
                if refused:
                    self.queue.add_after(root, REFUSED_RETRY_S)
                outcome = "refused" if refused else "done"
            self._metrics.reconciles.labels(kind, outcome).inc()
            self._metrics.reconcile_seconds.labels(kind).observe(time.monotonic() - started)

    def _fail(self, root: Root, message: str, *, expected: bool) -> None:
        delay = self.queue.failed(root)
        fields = {"kind": root.resource.kind, "key": _text(root), "error": message}
        _log.log(
            logging.INFO if expected else logging.ERROR,
            "a tree could not be reconciled: will try again",
            extra={**fields, "after_s": round(delay, 3)},
        )
        obj = self.index.get(root.resource, *root.key)
        if obj is not None and not expected:
            self._recorder.record(Announcement(obj, "InternalError", message, "Warning"))

    async def _reconcile(self, root: Root) -> bool:
        """One pass over a tree; whether the API refused some of it."""
        refusals: dict[Target, Refusal] = {}
        ensured: set[Target] = set()
        for _ in range(MOST_ROUNDS):
            planned = plan(root, self._world(refusals, ensured))
            if not planned.children:
                break
            outcome = await self._applier.children(planned.children)
            self._tell(root, outcome)
            for made in outcome.created:
                self._announce_created(made)
            refusals.update(outcome.refusals)
            ensured |= outcome.ensured
            self._without_effect.update(outcome.without_effect)
        else:
            raise UnsettledError(f"a tree is not settled after {MOST_ROUNDS} rounds")
        await self._finish(root, planned)
        return bool(refusals)

    def _announce_created(self, made: Create) -> None:
        """What a Revision is made of is the concern of nobody who looks at it."""
        if made.parent["kind"] != REVISIONS.kind:
            text = f'Created {made.resource.kind} "{name_of(made.obj)}"'
            self._recorder.record(Announcement(made.parent, "Created", text))

    def _tell(self, root: Root, outcome: Outcome) -> None:
        """Let other trees look at what was written here: the watches will bring nothing new. So
        must this one, when a Route leads elsewhere now, which its Revisions have to tell.
        """
        for resource, obj in outcome.written:
            for other in roots_of(resource, obj, self.index):
                if other != root or resource is ROUTES:
                    self.queue.add(other)

    def _world(self, refusals: dict[Target, Refusal], ensured: set[Target]) -> World:
        return World(
            index=self.index,
            settings=self._settings,
            master_key=self._master_key,
            now=datetime.now(UTC),
            clock=time.monotonic(),
            served=self._prober.answers if self._prober is not None else {},
            refusals=refusals,
            ensured=ensured,
            without_effect=self._without_effect,
            deferred_since=self._deferred_since,
            activators=self._activators,
        )

    async def _finish(self, root: Root, planned: Plan) -> None:
        now = time.monotonic()
        for target in planned.visited:
            if target in planned.deferred:
                self._deferred_since.setdefault(target, now)
            else:
                self._deferred_since.pop(target, None)
        if self._prober is not None:
            for probe in planned.probes:
                self._prober.ask(probe.ingress)
        self._tell(root, await self._applier.statuses(planned.statuses))
        for announcement in planned.announcements:
            self._recorder.record(announcement)
        if planned.requeue_after_s is not None:
            self.queue.add_after(root, planned.requeue_after_s)


def _text(root: Root) -> str:
    return "/".join(root.key)
