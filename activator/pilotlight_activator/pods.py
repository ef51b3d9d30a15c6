"""Which pods of a Revision may be used: the merge of what pods say themselves, what the API says
and what our own probe has seen.

A pod's own greeting comes first and is believed at once; the API confirms, corrects or revokes
it. A pod that says nothing is used when the API knows it and our probe passes. A pod that ends is
never used, whoever says so. Times are monotonic seconds, except those that pods report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Word(Enum):
    """What a pod says about itself."""

    SILENT = "silent"
    NOT_READY = "not-ready"
    READY = "ready"
    DRAINING = "draining"


class View(Enum):
    """What the API says about a pod."""

    UNSEEN = "unseen"
    NOT_READY = "not-ready"
    READY = "ready"
    TERMINATING = "terminating"
    REVOKED = "revoked"
    """It was there and is not any more, or it was never there in all the time it had."""


class Probe(Enum):
    """What our own probe found."""

    NONE = "none"
    PASSED = "passed"
    MUTE = "mute"
    """It passed, by a queue-proxy that does not report its load."""


class Use(Enum):
    """What to do with a pod."""

    USE = "use"
    PROBE = "probe"
    AVOID = "avoid"


CONFIRM_S: Final = 30.0
"""A pod that greeted has to appear in the API within this time."""


def use(word: Word, view: View, probe: Probe, *, kubelet_decides: bool = False) -> Use:
    """What to do with a pod of which this is known.

    Args:
        word: the pod's own.
        view: the API's.
        probe: ours.
        kubelet_decides: the Revision has a readiness or startup probe that only the kubelet can
            run, so that the API's word is needed in any case.
    """
    if word is Word.DRAINING or view in (View.TERMINATING, View.REVOKED):
        return Use.AVOID
    if kubelet_decides and view is not View.READY:
        return Use.AVOID
    if word is Word.READY:
        return Use.USE
    if word is Word.NOT_READY or view is View.UNSEEN:
        return Use.AVOID
    return Use.PROBE if probe is Probe.NONE else Use.USE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod in an EndpointSlice."""

    pod: str
    address: str
    """`host:port` of the queue-proxy."""
    ready: bool
    terminating: bool


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks for a pod: the greeting of a connection."""

    connection: int
    pod: str
    address: str
    uid: str = ""
    """Of the Revision that it says it belongs to."""
    direct: bool = True
    """Whether the connection comes from the address that it names. A key lets a pod speak for its
    Revision, not for whoever has another address: such a pod is used when the API shows it."""


@dataclass(slots=True)
class Known:
    """All that is known about one pod."""

    pod: str
    address: str
    word: Word = Word.SILENT
    view: View = View.UNSEEN
    probe: Probe = Probe.NONE
    connection: int = 0
    """Of its greeting; 0 when there is none."""
    uid: str = ""
    """Of the Revision, as the pod has it; empty when it has said nothing."""
    direct: bool = False
    """Whether it has greeted from the address that it named."""
    greeted_at: float = 0.0
    usable_since: float = 0.0
    """Unix seconds: when we first could use it; 0 when we never could."""
    started_at: float = 0.0
    """Unix seconds: when its queue-proxy started, by its own word; 0 when unknown."""
    answered_at: float = 0.0
    """Unix seconds: when its container first answered, by its own word; 0 when unknown."""

    @property
    def key(self) -> str:
        return f"{self.pod}@{self.address}"

    @property
    def mute(self) -> bool:
        """Whether nobody but us tells of the load that we send it."""
        return self.probe is Probe.MUTE and not self.uid


class RevisionPods:
    """What is known about the pods of one Revision."""

    def __init__(self, *, kubelet_decides: bool = False) -> None:
        self.kubelet_decides = kubelet_decides
        self._known: dict[str, Known] = {}
        """By pod name."""

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, pod: str) -> Known | None:
        return self._known.get(pod)

    # What pods say

    def greeted(self, voice: Voice, now: float) -> None:
        """A pod has introduced itself; it has not said yet that it is ready."""
        known = self._known.get(voice.pod)
        if known is None or known.address != voice.address:
            if known is not None and known.view is not View.UNSEEN and not voice.direct:
                return
            known = self._known[voice.pod] = Known(voice.pod, voice.address)
        known.connection = voice.connection
        known.uid = voice.uid
        known.direct = voice.direct
        known.greeted_at = now
        known.word = Word.NOT_READY

    def superseded(self, pod: str, address: str) -> bool:
        """Another pod has this address now.

        Returns:
            Whether anything has changed.
        """
        known = self._known.get(pod)
        if known is None or known.address != address:
            return False
        del self._known[pod]
        return True

    def keep_only(self, uid: str) -> None:
        """Forgets the pods that have greeted for another Revision of the same name."""
        for known in list(self._known.values()):
            if known.uid not in ("", uid):
                del self._known[known.pod]

    def said(self, connection: int, pod: str, word: Word) -> bool:
        """A pod's word has changed.

        Returns:
            Whether the connection is the one that speaks for the pod.
        """
        known = self._known.get(pod)
        if known is None or known.connection != connection:
            return False
        known.word = word
        return True

    def timed(self, pod: str, started_at: float, answered_at: float) -> None:
        """The pod told when it started and when its container answered, unix seconds."""
        known = self._known.get(pod)
        if known is not None:
            known.started_at = started_at
            known.answered_at = answered_at

    def lost(self, connection: int, pod: str) -> None:
        """The connection of a greeting has ended. A pod that was draining stays so."""
        known = self._known.get(pod)
        if known is None or known.connection != connection:
            return
        known.connection = 0
        if known.word is not Word.DRAINING:
            known.word = Word.SILENT
            known.probe = Probe.NONE
        if known.view in (View.UNSEEN, View.REVOKED):
            del self._known[pod]

    def draining(self, key: str) -> None:
        """A pod has answered a request with the word that it is draining."""
        for known in self._known.values():
            if known.key == key:
                known.word = Word.DRAINING

    # What the API says

    def listed(self, endpoints: Iterable[Endpoint]) -> None:
        """Takes over the whole list of the Revision's pods, as the API has it now."""
        seen = {endpoint.pod: endpoint for endpoint in endpoints}
        for endpoint in seen.values():
            self._see(endpoint)
        taken = {endpoint.address: endpoint.pod for endpoint in seen.values()}
        for known in list(self._known.values()):
            vanished = known.pod not in seen and known.view is not View.UNSEEN
            replaced = known.connection == 0 and taken.get(known.address, known.pod) != known.pod
            if vanished or replaced:
                self._revoke(known)

    def _see(self, endpoint: Endpoint) -> None:
        known = self._known.get(endpoint.pod)
        if known is None or known.address != endpoint.address:
            known = self._known[endpoint.pod] = Known(endpoint.pod, endpoint.address)
        if endpoint.terminating:
            known.view = View.TERMINATING
            return
        view = View.READY if endpoint.ready else View.NOT_READY
        if known.view is View.READY and view is View.NOT_READY:
            known.probe = Probe.NONE
        known.view = view

    def _revoke(self, known: Known) -> None:
        known.view = View.REVOKED
        if known.connection == 0:
            del self._known[known.pod]

    def overdue(self, now: float) -> list[Known]:
        """The pods that greeted long ago and that the API has never shown."""
        return [
            known
            for known in self._known.values()
            if known.view is View.UNSEEN and now - known.greeted_at >= CONFIRM_S
        ]

    def expire(self, now: float) -> bool:
        """Revokes the pods that are overdue. To be called only when the API answers: it could have
        shown them.

        Returns:
            Whether anything has changed.
        """
        overdue = self.overdue(now)
        for known in overdue:
            known.view = View.REVOKED
        return bool(overdue)

    # What our probe saw

    def probed(self, key: str, found: Probe = Probe.PASSED) -> None:
        """Our probe of the pod has passed."""
        for known in self._known.values():
            if known.key == key:
                known.probe = found

    # What follows

    def usable(self, wall: float) -> list[Known]:
        """The pods that may be used, ordered by address, so that all activators agree.

        Args:
            wall: unix seconds, noted on pods that were not usable before.
        """
        pods = [known for known in self._known.values() if self._use(known) is Use.USE]
        for known in pods:
            if known.usable_since == 0.0:
                known.usable_since = wall
        pods.sort(key=_address)
        return pods

    def to_probe(self) -> list[Known]:
        """The pods that wait for our probe."""
        return [known for known in self._known.values() if self._use(known) is Use.PROBE]

    def unconfirmed(self) -> bool:
        """Whether some pod is known by its greeting only."""
        return any(known.view is View.UNSEEN for known in self._known.values())

    def _use(self, known: Known) -> Use:
        if known.view is View.UNSEEN and not known.direct:
            return Use.AVOID
        return use(known.word, known.view, known.probe, kubelet_decides=self.kubelet_decides)


def preferred(count: int, index: int, activators: int) -> range:
    """The share of an activator: which of `count` pods, ordered alike by all, it prefers.

    Args:
        count: of pods.
        index: of this activator among all, -1 when it is not (yet) among them.
        activators: how many there are.

    Returns:
        Indices. Equal contiguous slices, the rest one each to the first; with fewer pods than
        activators one pod each, shared. Knative's rule, save that the remainder stays contiguous.
    """
    if index < 0 or activators <= 1 or count <= 1:
        return range(count)
    if count < activators:
        return range(index % count, index % count + 1)
    each, rest = divmod(count, activators)
    start = index * each + min(index, rest)
    return range(start, start + each + (1 if index < rest else 0))


def _address(known: Known) -> str:
    return known.address
