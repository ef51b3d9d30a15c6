"""The status of a PodAutoscaler. Pure: a function of what was and what is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pilotlight import names
from pilotlight.api.conditions import POD_AUTOSCALER, Condition, Conditions, find
from pilotlight_autoscaler.zero import Activity

ACTIVE: Final = "Active"
INITIALIZED: Final = "ScaleTargetInitialized"
SERVICES_READY: Final = "SKSReady"

_TIMED_OUT: Final = "TimedOut"
_REASONS: Final = {
    Activity.ACTIVATING: (
        "Queued",
        "Requests to the target are being buffered as resources are provisioned.",
    ),
    Activity.INACTIVE: ("NoTraffic", "The target is not receiving traffic."),
    Activity.TIMED_OUT: (_TIMED_OUT, "The target could not be activated."),
}


class Facts(NamedTuple):
    """What the status has to tell. `desired` is negative while nothing was decided."""

    activity: Activity
    initialized: bool
    desired: int
    actual: int


class Past(NamedTuple):
    """What a status tells about the time before this process: `since` is Unix seconds."""

    activity: Activity
    since: float
    initialized: bool
    desired: int


def past_of(pa: Mapping[str, Any], now: float) -> Past:
    """Read the status of a PodAutoscaler as it is in the API. One that was never active counts as
    activating since it was created."""
    active = find(pa, ACTIVE)
    initialized = find(pa, INITIALIZED)
    desired = (pa.get("status") or {}).get("desiredScale")
    created = (pa.get("metadata") or {}).get("creationTimestamp") or ""
    since = (active.last_transition_time if active else "") or created
    return Past(
        activity=_activity_of(active),
        since=_seconds(since, now),
        initialized=initialized is not None and initialized.is_true,
        desired=-1 if desired is None else int(desired),
    )


def is_settled(pa: Mapping[str, Any]) -> bool:
    """Whether the status is of this generation, and tells that the first pods have been ready:
    nobody waits for its next change who has just applied something."""
    initialized = find(pa, INITIALIZED)
    observed = (pa.get("status") or {}).get("observedGeneration")
    current = observed == pa["metadata"].get("generation", 0)
    return current and initialized is not None and initialized.is_true


def next_status(pa: Mapping[str, Any], facts: Facts, now: float) -> dict[str, Any]:
    """The whole status of `pa` as it should be; `now` is Unix seconds. Transition times move only
    for what changed."""
    metadata, before = pa["metadata"], pa.get("status") or {}
    conditions = Conditions(
        POD_AUTOSCALER, before.get("conditions"), datetime.fromtimestamp(now, UTC)
    )
    conditions.initialize()
    conditions.mark_true(SERVICES_READY)
    if facts.initialized:
        conditions.mark_true(INITIALIZED)
    _mark_active(conditions, facts.activity)
    desired = facts.desired if facts.desired >= 0 else before.get("desiredScale", -1)
    return {
        "observedGeneration": metadata.get("generation", 0),
        "conditions": conditions.to_list(),
        "serviceName": metadata["name"],
        "metricsServiceName": names.private_service_name(metadata["name"]),
        "desiredScale": desired,
        "actualScale": facts.actual,
    }


def _mark_active(conditions: Conditions, activity: Activity) -> None:
    if activity is Activity.ACTIVE:
        conditions.mark_true(ACTIVE)
        return
    reason, message = _REASONS[activity]
    if activity is Activity.ACTIVATING:
        conditions.mark_unknown(ACTIVE, reason, message)
    else:
        conditions.mark_false(ACTIVE, reason, message)


def _activity_of(active: Condition | None) -> Activity:
    if active is None or active.is_unknown:
        return Activity.ACTIVATING
    if active.is_true:
        return Activity.ACTIVE
    return Activity.TIMED_OUT if active.reason == _TIMED_OUT else Activity.INACTIVE


def _seconds(text: str, default: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return default
