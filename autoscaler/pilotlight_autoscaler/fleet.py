"""The pods of one revision: what the API says of them, what they say themselves, and which of them
count as ready.

A pod that has announced itself is ready before the API has noticed; what the API says later
confirms or revokes it. Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pilotlight import names
from pilotlight.api.kubelet_probes import kubelet_decides
from pilotlight.load.wire import PodState

# A pod that announced itself has to be seen in the API within this time.
UNSEEN_S: Final = 30.0
_OVER: Final = frozenset({"Succeeded", "Failed"})
VICTIM_COST: Final = -1000
KEEPER_COST: Final = 0


@dataclass(slots=True)
class Pod:
    """One pod. `session` is the connection that speaks for it, None when there is none."""

    name: str
    seen: bool = False
    """Whether the API shows it."""
    ready: bool = False
    """Whether the API calls it ready."""
    kubelet_decides: bool = False
    """It has a probe that only the kubelet can run, so that its own word is not enough."""
    pending: bool = False
    terminating: bool = False
    """Being deleted, or deleted while its connection still stands."""
    over: bool = False
    """Ended by itself."""
    cost: int = 0
    """Its pod-deletion-cost in the API."""
    session: object | None = None
    state: PodState | None = None
    greeted_at: float = 0.0
    average: float = 0.0
    """Its last reported load."""


class Tally(NamedTuple):
    """Pods by what they can do. `connected` are those whose reports arrive."""

    ready: int
    not_ready: int
    pending: int
    terminating: int
    connected: int


class Fleet:
    """The pods of one revision by name."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def see(self, obj: Mapping[str, Any]) -> None:
        """Take in a pod as the API shows it."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        pod = self._pod(metadata["name"])
        phase = status.get("phase")
        pod.seen = True
        pod.ready = any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        )
        pod.kubelet_decides = kubelet_decides((obj.get("spec") or {}).get("containers") or ())
        pod.pending = phase in (None, "Pending")
        pod.terminating = bool(metadata.get("deletionTimestamp"))
        pod.over = phase in _OVER
        pod.cost = _cost(metadata.get("annotations") or {})

    def forget(self, name: str) -> None:
        """The API does not show the pod any more."""
        pod = self._pods.get(name)
        if pod is None:
            return
        pod.seen, pod.terminating = False, True
        if pod.session is None:
            del self._pods[name]

    def greet(self, name: str, session: object, now: float) -> None:
        """A pod has announced itself on a connection; the latest one speaks for it."""
        pod = self._pod(name)
        pod.session, pod.state, pod.greeted_at, pod.average = session, None, now, 0.0

    def announce(self, name: str, session: object, state: PodState) -> None:
        pod = self._pods.get(name)
        if pod is not None and pod.session is session:
            pod.state = state

    def report(self, name: str, session: object, average: float) -> None:
        pod = self._pods.get(name)
        if pod is not None and pod.session is session:
            pod.average = average

    def leave(self, name: str, session: object) -> None:
        """A connection is gone."""
        pod = self._pods.get(name)
        if pod is None or pod.session is not session:
            return
        # A pod that was draining stays so: nobody else would tell until the API does.
        pod.session = None
        pod.average = 0.0
        if pod.state is not PodState.DRAINING:
            pod.state = None
        if not pod.seen:
            del self._pods[name]

    def tally(self, now: float, api_current: bool = True) -> Tally:
        """Count. With `api_current` False (the API is out of reach) pods that it never showed
        keep their credit."""
        ready = not_ready = pending = terminating = connected = 0
        for pod in self._pods.values():
            connected += pod.session is not None
            if pod.over:
                continue
            if pod.terminating or pod.state is PodState.DRAINING:
                terminating += 1
            elif _is_ready(pod, now, api_current):
                ready += 1
            elif pod.pending or not pod.seen:
                pending += 1
            else:
                not_ready += 1
        return Tally(ready, not_ready, pending, terminating, connected)

    def next_doubt(self, now: float) -> float | None:
        """When a pod that the API has not shown yet loses its credit, if there is one."""
        times = [
            pod.greeted_at + UNSEEN_S
            for pod in self._pods.values()
            if not pod.seen and not pod.terminating and pod.greeted_at + UNSEEN_S > now
        ]
        return min(times, default=None)

    def costs(self, shrink: int) -> dict[str, int]:
        """The pod-deletion-costs to write so that the `shrink` idlest pods go first: only those
        that have to change. Empty when all are alike, since then any will do."""
        pods = [p for p in self._pods.values() if p.seen and not p.terminating and not p.over]
        if shrink <= 0 or shrink >= len(pods) or len({pod.average for pod in pods}) == 1:
            return {}
        # Pods that are not ready go first in any case, as the ReplicaSet itself has it.
        pods.sort(key=lambda pod: (pod.ready or pod.state is PodState.READY, pod.average))
        wanted = {
            pod.name: VICTIM_COST if index < shrink else KEEPER_COST
            for index, pod in enumerate(pods)
        }
        return {pod.name: wanted[pod.name] for pod in pods if pod.cost != wanted[pod.name]}

    def _pod(self, name: str) -> Pod:
        pod = self._pods.get(name)
        if pod is None:
            pod = self._pods[name] = Pod(name)
        return pod


def _is_ready(pod: Pod, now: float, api_current: bool) -> bool:
    if pod.state is PodState.NOT_READY:
        return False
    if pod.ready:
        return True
    if pod.kubelet_decides or pod.state is not PodState.READY:
        return False
    return pod.seen or not api_current or now - pod.greeted_at < UNSEEN_S


def _cost(annotations: Mapping[str, Any]) -> int:
    try:
        return int(annotations.get(names.POD_DELETION_COST_ANNOTATION, 0))
    except ValueError:
        return 0
