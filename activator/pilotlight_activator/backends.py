"""The Revisions that requests can go to: each with its queue, its pods and its counts.

Events about pods and Revisions come in here; each ends in the queue's `update`, and the requests
that got a slot by it go out through `Scene.granted`. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pilotlight.http.limits import Timeouts
from pilotlight_activator.coldstart import Marks
from pilotlight_activator.objects import RevisionSpec
from pilotlight_activator.pods import (
    Endpoint,
    Known,
    Probe,
    RevisionPods,
    Voice,
    Word,
    preferred,
)
from pilotlight_activator.settings import Queueing
from pilotlight_activator.slots import Slots
from pilotlight_activator.tally import Tally
from pilotlight_activator.throttle import Pod, Throttle
from pilotlight_activator.tickets import Budget, QueueLimits, Ticket

if TYPE_CHECKING:
    from pilotlight.http.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Clock:
    """The process's clocks: monotonic seconds, and unix seconds for what goes to others."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class Scene(Protocol):
    """Who acts on what the backends decide."""

    def granted(self, backend: Backend, tickets: Sequence[Ticket]) -> None:
        """These requests have got a slot: send them off."""

    def changed(self, backend: Backend) -> None:
        """The pods of a Revision have changed: look what has to be probed, closed or told."""


class Backend:
    """One Revision."""

    __slots__ = (
        "decided_at",
        "key",
        "name",
        "patched_at",
        "pods",
        "spec",
        "tally",
        "throttle",
        "timeouts",
        "upstreams",
    )

    def __init__(self, key: str, throttle: Throttle[Ticket]) -> None:
        self.key = key
        self.name = key.partition("/")[2]
        self.spec: RevisionSpec | None = None
        """None while only a pod of the Revision has been heard of."""
        self.throttle = throttle
        self.pods = RevisionPods()
        self.tally = Tally()
        self.timeouts = Timeouts()
        self.upstreams: dict[str, Upstream] = {}
        """The connections to its pods, by the pods' keys."""
        self.decided_at: float | None = None
        """Unix seconds: when an autoscaler decided to wake the Revision, since it sleeps."""
        self.patched_at: float | None = None
        """Unix seconds: when that was written."""

    def is_starving(self) -> bool:
        """Whether requests wait and no pod is there."""
        return self.throttle.waiting > 0 and not self.throttle.has_pods()

    def known(self, slots: Slots) -> Known | None:
        """What is known about the pod of these slots."""
        found = self.pods.get(slots.key.partition("@")[0])
        return found if found is not None and found.key == slots.key else None

    def marks(self, slots: Slots | None, requested: float, first_byte: float) -> Marks:
        """The moments of a cold start that ended in this pod, unix seconds."""
        pod = None if slots is None else self.known(slots)
        return Marks(
            requested=requested,
            first_byte=first_byte,
            decided=self.decided_at,
            patched=self.patched_at,
            started=(pod.started_at or None) if pod else None,
            answered=(pod.answered_at or None) if pod else None,
            announced=(pod.usable_since or None) if pod else None,
        )


class Backends:
    """All Revisions, by `namespace/name`."""

    def __init__(
        self, queueing: Queueing, scene: Scene, clock: Clock, random: Callable[[], float]
    ) -> None:
        self.budget = Budget(queueing.count, queueing.size)
        self._queueing = queueing
        self._scene = scene
        self._clock = clock
        self._random = random
        self._all: dict[str, Backend] = {}
        self._owners: dict[str, tuple[str, str]] = {}
        """Revision and pod that spoke last from an address: no more than the network has."""
        self._activators: tuple[str, ...] = ()
        self._self = -1

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> Iterable[Backend]:
        return self._all.values()

    def get(self, key: str) -> Backend | None:
        """A Revision that the API has shown."""
        backend = self._all.get(key)
        return backend if backend is not None and backend.spec is not None else None

    # Revisions

    def revision_changed(self, spec: RevisionSpec) -> None:
        """The API shows a Revision."""
        before = self.get(spec.key)
        if before is not None and before.spec is not None and before.spec.uid != spec.uid:
            self.revision_deleted(spec.key)  # and made anew, between two looks
        backend = self._ensure(spec.key)
        backend.spec = spec
        backend.pods.keep_only(spec.uid)
        backend.pods.kubelet_decides = spec.kubelet_decides
        limits = self._limits(spec)
        granted = backend.throttle.configure(spec.concurrency, limits, self._clock.monotonic())
        self._scene.granted(backend, granted)
        backend.timeouts = Timeouts(spec.timeout_s, spec.response_start_s, spec.idle_s)
        self.refresh(backend)

    def revision_deleted(self, key: str) -> None:
        """The API has deleted a Revision; what it holds may finish."""
        backend = self._all.pop(key, None)
        if backend is None:
            return
        backend.spec = None
        backend.pods = RevisionPods()
        self.refresh(backend)

    # Pods

    def listed(self, key: str, endpoints: Iterable[Endpoint]) -> None:
        """The API shows the pods of a Revision."""
        endpoints = list(endpoints)
        if not endpoints and key not in self._all:
            return
        backend = self._ensure(key)
        backend.pods.listed(endpoints)
        self.refresh(backend)

    def greeted(self, key: str, voice: Voice) -> None:
        """A pod has introduced itself."""
        backend = self._ensure(key)
        if voice.direct:
            self._settle(key, voice)
        backend.pods.greeted(voice, self._clock.monotonic())
        self.refresh(backend)

    def said(self, key: str, connection: int, pod: str, word: Word) -> None:
        """A pod's word about itself has changed."""
        backend = self._all.get(key)
        if backend is not None and backend.pods.said(connection, pod, word):
            self.refresh(backend)

    def timed(self, key: str, pod: str, started_at: float, answered_at: float) -> None:
        """A pod told when it started and when its container answered, unix seconds."""
        backend = self._all.get(key)
        if backend is not None:
            backend.pods.timed(pod, started_at, answered_at)

    def reported(self, key: str, pod: str, inflight: int) -> None:
        """A pod told how many requests it holds: it may have a free slot again."""
        backend = self._all.get(key)
        known = backend.pods.get(pod) if backend is not None else None
        if backend is None or known is None or inflight >= backend.throttle.concurrency > 0:
            return
        now = self._clock.monotonic()
        self._scene.granted(backend, backend.throttle.freed(known.key, now))

    def in_flight(self, key: str, pod: str) -> int:
        """How many of our requests a pod holds, or will when a connection to it is made."""
        backend = self._all.get(key)
        known = backend.pods.get(pod) if backend is not None else None
        return 0 if backend is None or known is None else backend.throttle.in_flight(known.key)

    def upstream(self, key: str, pod: str) -> Upstream | None:
        """Our connections to a pod that may be used."""
        backend = self._all.get(key)
        known = backend.pods.get(pod) if backend is not None else None
        return None if backend is None or known is None else backend.upstreams.get(known.key)

    def lost(self, key: str, connection: int, pod: str) -> None:
        """The connection of a greeting has ended."""
        backend = self._all.get(key)
        if backend is not None:
            backend.pods.lost(connection, pod)
            self.refresh(backend)

    def draining(self, backend: Backend, pod_key: str) -> None:
        """A pod has refused a request because it is draining."""
        backend.pods.draining(pod_key)
        self.refresh(backend)

    def probed(self, backend: Backend, pod_key: str, found: Probe) -> None:
        """Our probe of a pod has passed."""
        backend.pods.probed(pod_key, found)
        now = self._clock.monotonic()
        self._scene.granted(backend, backend.throttle.clear(pod_key, now))
        self.refresh(backend)

    def has_overdue(self) -> bool:
        """Whether there are pods that the API should have confirmed by now."""
        now = self._clock.monotonic()
        return any(backend.pods.overdue(now) for backend in self._all.values())

    def expire(self) -> None:
        """Gives up pods that the API has never confirmed. Only when the API answers."""
        now = self._clock.monotonic()
        for backend in list(self._all.values()):
            if backend.pods.expire(now):
                self.refresh(backend)

    # Others

    def activators(self, addresses: tuple[str, ...], own: str) -> None:
        """The activators that share the pods, in the order that all of them know."""
        index = addresses.index(own) if own in addresses else -1
        if (addresses, index) == (self._activators, self._self):
            return
        self._activators, self._self = addresses, index
        for backend in list(self._all.values()):
            self.refresh(backend)

    def share(self) -> tuple[int, int]:
        """Our place among the activators (-1 when it is not known), and how many there are."""
        return self._self, len(self._activators)

    def decided(self, key: str, decided_at: float, patched_at: float) -> None:
        """An autoscaler told when it decided to wake a Revision, unix seconds."""
        backend = self._all.get(key)
        if backend is None:
            return
        if backend.decided_at is None and decided_at > 0:
            backend.decided_at = decided_at
        if backend.patched_at is None and patched_at > 0:
            backend.patched_at = patched_at

    def refresh(self, backend: Backend) -> None:
        """Takes over what is known of a Revision's pods."""
        usable = backend.pods.usable(self._clock.wall())
        share = range(len(usable))
        if backend.throttle.concurrency > 0:
            share = preferred(len(usable), self._self, len(self._activators))
        pods = [Pod(known.key, number in share, known.mute) for number, known in enumerate(usable)]
        now = self._clock.monotonic()
        self._scene.granted(backend, backend.throttle.update(pods, now))
        if backend.spec is None and not backend.pods and self._all.get(backend.key) is backend:
            del self._all[backend.key]
        self._scene.changed(backend)

    def _settle(self, key: str, voice: Voice) -> None:
        """An address belongs to the pod that speaks from it: the one that had it before is gone,
        even if the API does not say so yet, and its requests must not go to another Revision."""
        owner = self._owners.get(voice.address)
        self._owners[voice.address] = (key, voice.pod)
        if owner is None or owner == (key, voice.pod):
            return
        before = self._all.get(owner[0])
        if before is not None and before.pods.superseded(owner[1], voice.address):
            self.refresh(before)

    def _ensure(self, key: str) -> Backend:
        backend = self._all.get(key)
        if backend is None:
            throttle: Throttle[Ticket] = Throttle(0, QueueLimits(), self.budget, self._random)
            backend = self._all[key] = Backend(key, throttle)
        return backend

    def _limits(self, spec: RevisionSpec) -> QueueLimits:
        queueing = self._queueing
        return QueueLimits(queueing.revision_count, queueing.revision_size, spec.timeout_s)
