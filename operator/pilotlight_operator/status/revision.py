"""The status of a Revision, from its Deployment, its PodAutoscaler and its pods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotlight.api.conditions import REVISION, Condition, Conditions, find
from pilotlight.names import CLASS_ANNOTATION, KPA_CLASS
from pilotlight_operator.desired.pod import containers, user_port
from pilotlight_operator.objects import Obj, annotations_of, generation_of, spec_of, status_of
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.status.pods import CONTAINER, RESOURCES, Diagnosis, diagnose, runs

ACTIVE: Final = "Active"
DEPLOYING: Final = "Deploying"
DEADLINE: Final = "ProgressDeadlineExceeded"
NEVER_SCALED: Final = "Initial scale was never achieved"


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """What a Revision's status is made of. `refusal` is about its Deployment or PodAutoscaler."""

    revision: Obj
    deployment: Obj | None
    podautoscaler: Obj | None
    pods: list[Obj]
    refusal: Refusal | None = None
    always_schedulable: bool = False
    log_url: str = ""


def revision_status(facts: RevisionFacts, now: datetime) -> Obj:
    before = status_of(facts.revision)
    conditions = Conditions(REVISION, before.get("conditions"), now)
    conditions.initialize()
    generation = generation_of(facts.revision)
    conditions.observe_generation(generation, before.get("observedGeneration"))
    _mark_active(conditions, facts.podautoscaler)
    _mark_health(conditions, facts)
    known = {item.get("name"): item for item in before.get("containerStatuses") or ()}
    names = [item.get("name", "") for item in containers(facts.revision)]
    status: Obj = {
        **{key: before[key] for key in before if key not in ("actualReplicas", "desiredReplicas")},
        "observedGeneration": generation,
        "conditions": conditions.to_list(),
        **_replicas(facts.podautoscaler),
        # What Knative says there of an image, its digest, holds for the Revision's life.
        "containerStatuses": [known.get(name, {"name": name}) for name in names],
    }
    if facts.log_url:
        status["logUrl"] = facts.log_url
    return status


def is_broken(facts: RevisionFacts) -> bool:
    """Pods are wanted, none is ready, and the Revision itself is known to be the cause."""
    if _wanted(facts.deployment) == 0 or _count(facts.deployment, "readyReplicas") > 0:
        return False
    trouble = _trouble(facts)
    return trouble is not None and trouble.final


def _mark_active(conditions: Conditions, podautoscaler: Obj | None) -> None:
    ready = find(podautoscaler)
    if ready is None:
        conditions.mark_unknown(ACTIVE, DEPLOYING)
    else:
        conditions.copy(ACTIVE, ready)


def _mark_health(conditions: Conditions, facts: RevisionFacts) -> None:
    trouble = _trouble(facts)
    if trouble is not None:
        _mark_trouble(conditions, trouble)
        if trouble.condition == RESOURCES and _count(facts.deployment, "readyReplicas") > 0:
            conditions.mark_true(CONTAINER)
        return
    initialized = find(facts.podautoscaler, "ScaleTargetInitialized")
    if initialized is not None and initialized.is_true:
        conditions.mark_true(RESOURCES)
        conditions.mark_true(CONTAINER)
        return
    if _gave_up(facts.podautoscaler):
        _mark_given_up(conditions)
        return
    conditions.mark_unknown(RESOURCES, DEPLOYING, _unserved(facts.podautoscaler))
    conditions.mark_unknown(CONTAINER, DEPLOYING)


def _unserved(podautoscaler: Obj | None) -> str:
    """Says so when nobody here will ever look at the PodAutoscaler."""
    if podautoscaler is None or status_of(podautoscaler).get("conditions"):
        return ""
    class_ = annotations_of(podautoscaler).get(CLASS_ANNOTATION, KPA_CLASS)
    if class_ == KPA_CLASS:
        return ""
    return (
        f'No autoscaler of class "{class_}" has answered: install one, or set the annotation '
        f"{CLASS_ANNOTATION} of the template to {KPA_CLASS}"
    )


def _mark_trouble(conditions: Conditions, trouble: Diagnosis) -> None:
    """The other condition is left Unknown: what it would say is not known any more."""
    other = CONTAINER if trouble.condition == RESOURCES else RESOURCES
    conditions.mark_unknown(other, DEPLOYING)
    if trouble.final:
        conditions.mark_false(trouble.condition, trouble.reason, trouble.message)
    else:
        conditions.mark_unknown(trouble.condition, trouble.reason, trouble.message)


def _mark_given_up(conditions: Conditions) -> None:
    """The autoscaler has stopped trying: what was known to be wrong then is still the reason."""
    known = [conditions.get(kind) for kind in (CONTAINER, RESOURCES)]
    if not any(condition is not None and condition.is_false for condition in known):
        conditions.mark_false(RESOURCES, DEADLINE, NEVER_SCALED)


def _trouble(facts: RevisionFacts) -> Diagnosis | None:
    """What is wrong at the moment, the most telling first."""
    if facts.refusal is not None:
        return Diagnosis(RESOURCES, facts.refusal.reason, facts.refusal.message, final=True)
    if facts.deployment is None or _wanted(facts.deployment) == 0:
        return None
    late = find(facts.deployment, "Progressing")
    overdue = late is not None and late.is_false
    if _count(facts.deployment, "availableReplicas") == 0:
        seen = diagnose(facts.pods, always_schedulable=facts.always_schedulable)
        if seen is not None:
            return Diagnosis(seen.condition, seen.reason, seen.message, seen.final or overdue)
    failed = find(facts.deployment, "ReplicaFailure")
    if failed is not None and failed.is_true:
        return Diagnosis(RESOURCES, failed.reason, failed.message, final=True)
    if late is not None and overdue:
        return Diagnosis(RESOURCES, late.reason or DEADLINE, _overdue(facts, late), final=True)
    return None


def _overdue(facts: RevisionFacts, late: Condition) -> str:
    if not runs(facts.pods):
        return late.message
    return (
        f"{late.message} The container runs, but does not become ready on port "
        f"{user_port(facts.revision)}: let the program listen on the port that $PORT names, or "
        "correct its readiness probe"
    )


def _gave_up(podautoscaler: Obj | None) -> bool:
    """Not initialized, and no longer activating."""
    ready = find(podautoscaler)
    return ready is not None and ready.is_false


def _replicas(podautoscaler: Obj | None) -> Obj:
    status = status_of(podautoscaler) if podautoscaler else {}
    found: Obj = {}
    for field, source in (("actualReplicas", "actualScale"), ("desiredReplicas", "desiredScale")):
        number = status.get(source)
        if isinstance(number, int) and number >= 0:
            found[field] = number
    return found


def _wanted(deployment: Obj | None) -> int:
    if deployment is None:
        return 0
    replicas = spec_of(deployment).get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(deployment: Obj | None, field: str) -> int:
    return int(status_of(deployment).get(field) or 0) if deployment else 0
