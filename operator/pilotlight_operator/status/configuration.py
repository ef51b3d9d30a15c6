"""The status of a Configuration, from its Revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotlight import names
from pilotlight.api.conditions import CONFIGURATION, READY, Conditions, find
from pilotlight_operator.desired.revision import template_name
from pilotlight_operator.objects import (
    Obj,
    generation_of,
    is_deleting,
    labels_of,
    name_of,
    status_of,
)

FAILED: Final = "RevisionFailed"


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """`revision` is the one of the present generation; `revisions` are all that the Configuration
    owns; `refusal` says why the present one could not be made.
    """

    configuration: Obj
    revision: Obj | None
    revisions: list[Obj]
    refusal: str = ""


def configuration_status(facts: ConfigurationFacts, now: datetime) -> Obj:
    before = status_of(facts.configuration)
    generation = generation_of(facts.configuration)
    conditions = Conditions(CONFIGURATION, before.get("conditions"), now)
    conditions.initialize()
    conditions.observe_generation(generation, before.get("observedGeneration"))
    created = name_of(facts.revision) if facts.revision else before.get("latestCreatedRevisionName")
    ready = _latest_ready(facts)
    _mark(conditions, facts, created, ready)
    status: Obj = {
        **before,
        "observedGeneration": generation,
        "conditions": conditions.to_list(),
    }
    if created:
        status["latestCreatedRevisionName"] = created
    if ready:
        status["latestReadyRevisionName"] = ready
    else:
        status.pop("latestReadyRevisionName", None)
    return status


def generation_label(revision: Obj) -> int:
    """The generation of the Configuration that made a Revision."""
    label = labels_of(revision).get(names.CONFIGURATION_GENERATION_LABEL, "")
    return int(label) if label.isdigit() else 0


def _mark(
    conditions: Conditions, facts: ConfigurationFacts, created: str | None, ready: str | None
) -> None:
    if facts.refusal:
        text = f"Revision creation failed with message: {facts.refusal}."
        conditions.mark_false(READY, FAILED, text)
        return
    if facts.revision is None:
        if created:
            conditions.mark_false(READY, "RevisionDeleted", f'Revision "{created}" was deleted.')
        else:
            conditions.mark_unknown(READY)
        return
    verdict = find(facts.revision)
    if verdict is not None and verdict.is_false:
        text = f'Revision "{created}" failed with message: {verdict.message}.'
        conditions.mark_false(READY, FAILED, text)
    elif verdict is not None and verdict.is_true and created == ready:
        conditions.mark_true(READY)
    elif verdict is not None:
        conditions.mark_unknown(READY, verdict.reason, verdict.message)
    else:
        conditions.mark_unknown(READY)


def _latest_ready(facts: ConfigurationFacts) -> str | None:
    """The newest Revision that is ready, never older than the one that held the name before; one
    that the user has named in the template goes first, so that going back to it goes back.
    """
    before = status_of(facts.configuration).get("latestReadyRevisionName")
    present = {name_of(revision): revision for revision in facts.revisions}
    wanted = template_name(facts.configuration)
    if wanted in present and _is_ready(present[wanted]):
        return wanted
    oldest = generation_label(present[before]) if before in present else 0
    candidates = [
        revision
        for revision in facts.revisions
        if _is_ready(revision)
        and oldest <= generation_label(revision) <= generation_of(facts.configuration)
    ]
    if candidates:
        return name_of(max(candidates, key=generation_label))
    return before if before in present else None


def _is_ready(revision: Obj) -> bool:
    verdict = find(revision)
    return verdict is not None and verdict.is_true and not is_deleting(revision)
