"""Status conditions that live: one happy condition, `Ready`, that follows its dependents.

The rules are those of Knative's condition sets, so that its clients read ours alike: `Ready` is
False with the reason of the dependent that turned False last, else Unknown with that of the one
that turned Unknown last, else True. Conditions beside the dependents only inform (severity
`Info`). A condition's transition time moves only when something else in it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

READY: Final = "Ready"
TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
INFO: Final = "Info"

NEW_GENERATION_REASON: Final = "NewObservedGenFailure"
NEW_GENERATION_MESSAGE: Final = "unsuccessfully observed a new generation"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as in a status; `last_transition_time` is RFC 3339 in UTC, or empty."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    severity: str = ""
    last_transition_time: str = ""

    @property
    def is_true(self) -> bool:
        return self.status == TRUE

    @property
    def is_false(self) -> bool:
        return self.status == FALSE

    @property
    def is_unknown(self) -> bool:
        return self.status not in (TRUE, FALSE)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Condition:
        return cls(
            type=data.get("type", ""),
            status=data.get("status", UNKNOWN),
            reason=data.get("reason", ""),
            message=data.get("message", ""),
            severity=data.get("severity", ""),
            last_transition_time=data.get("lastTransitionTime") or "",
        )

    def to_dict(self) -> dict[str, str]:
        """The condition as Kubernetes writes it: empty fields are left out."""
        fields = {
            "lastTransitionTime": self.last_transition_time,
            "message": self.message,
            "reason": self.reason,
            "severity": self.severity,
            "status": self.status,
            "type": self.type,
        }
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """Which conditions decide over `happy`. Without dependents `happy` is marked itself."""

    dependents: tuple[str, ...] = ()
    happy: str = READY

    def severity_of(self, kind: str) -> str:
        return "" if kind == self.happy or kind in self.dependents else INFO


SERVICE: Final = ConditionSet(("ConfigurationsReady", "RoutesReady"))
CONFIGURATION: Final = ConditionSet()
REVISION: Final = ConditionSet(("ResourcesAvailable", "ContainerHealthy"))
ROUTE: Final = ConditionSet(("AllTrafficAssigned", "IngressReady", "CertificateProvisioned"))
DOMAIN_MAPPING: Final = ConditionSet(
    ("CertificateProvisioned", "DomainClaimed", "IngressReady", "ReferenceResolved")
)
POD_AUTOSCALER: Final = ConditionSet(("Active", "ScaleTargetInitialized", "SKSReady"))
INGRESS: Final = ConditionSet(("NetworkConfigured", "LoadBalancerReady"))


class Conditions:
    """The conditions of one object while one reconcile decides over them.

    Start from what the status holds, mark, take `to_list()`. What ends as it began keeps its
    transition time, however often it was marked between; everything else gets `now`.
    """

    def __init__(
        self, kinds: ConditionSet, current: Iterable[Mapping[str, Any]] | None, now: datetime
    ) -> None:
        self._kinds = kinds
        self._now = timestamp(now)
        self._before = {c.type: c for c in map(Condition.from_dict, current or ())}
        self._conditions = dict(self._before)

    def initialize(self) -> None:
        """Give every condition of the set a place: `Ready` and the dependents start Unknown,
        a dependent that is new to an object that is ready already starts True."""
        happy = self._kinds.happy
        if happy not in self._conditions:
            self._set(happy, UNKNOWN)
        status = TRUE if self._conditions[happy].is_true else UNKNOWN
        for kind in self._kinds.dependents:
            if kind not in self._conditions:
                self._set(kind, status)

    def observe_generation(self, generation: int, observed: int | None) -> None:
        """Forget that the object was ready when its spec is newer than the one last reconciled;
        the reconcile that follows has to find out anew."""
        if generation != observed:
            self._set(self._kinds.happy, UNKNOWN, NEW_GENERATION_REASON, NEW_GENERATION_MESSAGE)

    def mark_true(self, kind: str, reason: str = "", message: str = "") -> None:
        self._mark(kind, TRUE, reason, message)

    def mark_false(self, kind: str, reason: str, message: str) -> None:
        self._mark(kind, FALSE, reason, message)

    def mark_unknown(self, kind: str, reason: str = "", message: str = "") -> None:
        self._mark(kind, UNKNOWN, reason, message)

    def mark(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        """Mark with a status that comes from elsewhere: anything but True and False is Unknown."""
        self._mark(kind, status if status in (TRUE, FALSE) else UNKNOWN, reason, message)

    def copy(self, kind: str, source: Condition | None) -> None:
        """Take over another object's condition under the name `kind`; none means Unknown."""
        if source is None:
            self._mark(kind, UNKNOWN, "", "")
        else:
            self.mark(kind, source.status, source.reason, source.message)

    def clear(self, kind: str) -> None:
        """Remove a condition that only informs.

        Raises ValueError for `Ready` and its dependents, which are never absent.
        """
        if not self._kinds.severity_of(kind):
            raise ValueError(f"{kind} decides over {self._kinds.happy} and cannot be removed")
        self._conditions.pop(kind, None)

    def get(self, kind: str) -> Condition | None:
        return self._conditions.get(kind)

    @property
    def happy(self) -> Condition | None:
        return self._conditions.get(self._kinds.happy)

    @property
    def is_ready(self) -> bool:
        happy = self.happy
        return happy is not None and happy.is_true

    def to_list(self) -> list[dict[str, str]]:
        """The conditions as the status holds them: sorted by type, with their times."""
        return [self._timed(self._conditions[kind]).to_dict() for kind in sorted(self._conditions)]

    def _mark(self, kind: str, status: str, reason: str, message: str) -> None:
        self._set(kind, status, reason, message)
        if kind in self._kinds.dependents:
            self._follow()

    def _follow(self) -> None:
        """Set the happy condition to what its dependents say."""
        worst = self._worst_dependent()
        if worst is None:
            self._set(self._kinds.happy, TRUE)
        else:
            self._set(self._kinds.happy, worst.status, worst.reason, worst.message)

    def _worst_dependent(self) -> Condition | None:
        present = [self._conditions[k] for k in self._kinds.dependents if k in self._conditions]
        # Of those that changed in the same second the first in the set counts, so that deciding
        # again over an unchanged object changes nothing.
        present.sort(key=lambda c: self._timed(c).last_transition_time, reverse=True)
        for condition in present:
            if condition.is_false:
                return condition
        for condition in present:
            if condition.is_unknown:
                return condition
        if len(present) < len(self._kinds.dependents):
            return Condition(self._kinds.happy, UNKNOWN)
        return None

    def _set(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        severity = self._kinds.severity_of(kind)
        self._conditions[kind] = Condition(kind, status, reason, message, severity)

    def _timed(self, condition: Condition) -> Condition:
        before = self._before.get(condition.type)
        if before is not None and before.last_transition_time and _alike(before, condition):
            return before
        return replace(condition, last_transition_time=self._now)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times.

    Raises ValueError for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find(obj: Mapping[str, Any] | None, kind: str = READY) -> Condition | None:
    """The condition of that type in an object's status, if it has one."""
    status = (obj or {}).get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            return Condition.from_dict(condition)
    return None


def is_ready(obj: Mapping[str, Any] | None) -> bool:
    """Whether an object is ready for its clients: `Ready` is True, for its present generation."""
    if obj is None:
        return False
    ready = find(obj)
    observed = (obj.get("status") or {}).get("observedGeneration")
    return ready is not None and ready.is_true and observed == obj["metadata"].get("generation")


def _alike(one: Condition | None, other: Condition) -> bool:
    """Equal in everything but the time."""
    return one is not None and replace(one, last_transition_time="") == replace(
        other, last_transition_time=""
    )
