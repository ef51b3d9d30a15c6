"""What a Deployment's status says (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotlight_local.controllers.objects import Object, condition, format_time, parse_time
from pilotlight_local.controllers.rollout import limits

AVAILABLE: Final = "Available"
PROGRESSING: Final = "Progressing"
REPLICA_FAILURE: Final = "ReplicaFailure"
NEW_AVAILABLE: Final = "NewReplicaSetAvailable"
TIMED_OUT: Final = "ProgressDeadlineExceeded"
_NEVER: Final = 2**31 - 1
_DEFAULT_DEADLINE_S: Final = 600


@dataclass(frozen=True, slots=True)
class Observed:
    """A Deployment and its ReplicaSets. `created` tells that the new one was made just now."""

    deployment: Object
    new: Object | None
    old: Sequence[Object]
    created: bool = False
    failure: str = ""


def deployment_status(seen: Observed, now: float) -> tuple[dict[str, Any], float | None]:
    """The status, and in how many seconds its progress has to be judged again."""
    counts = _counts(seen)
    progressing, again = _progressing(seen, counts, now)
    conditions = [_available(seen, counts, now)]
    if progressing is not None:
        conditions.append(progressing)
    failure = _failure(seen)
    if failure is not None:
        conditions.append(_condition(seen.deployment, REPLICA_FAILURE, failure, now))
    status: dict[str, Any] = {
        "observedGeneration": seen.deployment["metadata"].get("generation", 0),
        **{key: value for key, value in counts.items() if value},
        "conditions": conditions,
    }
    return status, again


def _counts(seen: Observed) -> dict[str, int]:
    every = [*([seen.new] if seen.new else []), *seen.old]

    def total(key: str) -> int:
        return sum((s.get("status") or {}).get(key) or 0 for s in every)

    available = total("availableReplicas")
    asked = sum(s["spec"].get("replicas", 1) for s in every)
    return {
        "replicas": total("replicas"),
        "updatedReplicas": ((seen.new or {}).get("status") or {}).get("replicas") or 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(asked - available, 0),
    }


def _available(seen: Observed, counts: dict[str, int], now: float) -> dict[str, Any]:
    if counts["availableReplicas"] >= limits(seen.deployment["spec"]).least_available:
        verdict = (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    else:
        verdict = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    return _condition(seen.deployment, AVAILABLE, verdict, now)


def _progressing(
    seen: Observed, counts: dict[str, int], now: float
) -> tuple[dict[str, Any] | None, float | None]:
    spec = seen.deployment["spec"]
    deadline = spec.get("progressDeadlineSeconds", _DEFAULT_DEADLINE_S)
    known = condition(seen.deployment, PROGRESSING)
    if deadline == _NEVER:
        return None, None
    if spec.get("paused"):
        verdict = ("Unknown", "DeploymentPaused", "Deployment is paused")
        return _condition(seen.deployment, PROGRESSING, verdict, now), None
    name = seen.new["metadata"]["name"] if seen.new else ""
    if seen.created:
        verdict = ("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return _condition(seen.deployment, PROGRESSING, verdict, now, renew=True), float(deadline)
    if _is_complete(seen, counts):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        verdict = ("True", NEW_AVAILABLE, text)
        return _condition(seen.deployment, PROGRESSING, verdict, now), None
    was_complete = (
        known is not None
        and known["reason"] == NEW_AVAILABLE
        and counts["replicas"] == counts["updatedReplicas"]
    )
    if was_complete and known is not None:
        return dict(known), None  # only its size changes: no deadline
    if known is None or known["reason"] == NEW_AVAILABLE or _has_progressed(seen, counts):
        verdict = ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        return _condition(seen.deployment, PROGRESSING, verdict, now, renew=True), float(deadline)
    left = parse_time(known["lastUpdateTime"]) + deadline - now
    if known["reason"] == TIMED_OUT or left <= 0:
        verdict = ("False", TIMED_OUT, f'ReplicaSet "{name}" has timed out progressing.')
        return _condition(seen.deployment, PROGRESSING, verdict, now), None
    return dict(known), left


def _is_complete(seen: Observed, counts: dict[str, int]) -> bool:
    wanted = seen.deployment["spec"].get("replicas", 1)
    return seen.new is not None and (
        counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted
    )


def _has_progressed(seen: Observed, counts: dict[str, int]) -> bool:
    before = seen.deployment.get("status") or {}
    old_before = (before.get("replicas") or 0) - (before.get("updatedReplicas") or 0)
    return counts["replicas"] - counts["updatedReplicas"] < old_before or any(
        counts[key] > (before.get(key) or 0)
        for key in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _failure(seen: Observed) -> tuple[str, str, str] | None:
    if seen.failure:
        return "True", "FailedCreate", seen.failure
    for replica_set in [*([seen.new] if seen.new else []), *seen.old]:
        found = condition(replica_set, REPLICA_FAILURE)
        if found is not None and found["status"] == "True":
            return "True", found.get("reason", "FailedCreate"), found.get("message", "")
    return None


def _condition(
    deployment: Object,
    kind: str,
    verdict: tuple[str, str, str],
    now: float,
    *,
    renew: bool = False,
) -> dict[str, Any]:
    """A condition; its update time moves when it says something else, or with `renew`."""
    status, reason, message = verdict
    known = condition(deployment, kind)
    same = known is not None and (known["status"], known["reason"]) == (status, reason)
    moved = known is None or known["status"] != status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": known["lastUpdateTime"]
        if known is not None and same and not renew
        else format_time(now),
        "lastTransitionTime": format_time(now)
        if known is None or moved
        else known["lastTransitionTime"],
    }
