"""The status of a Service, from its Configuration and its Route."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotlight.api.conditions import SERVICE, Conditions, find
from pilotlight_operator.objects import (
    Obj,
    generation_of,
    is_observed,
    spec_of,
    status_of,
)
from pilotlight_operator.refusal import Refusal

CONFIGURATIONS_READY: Final = "ConfigurationsReady"
ROUTES_READY: Final = "RoutesReady"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A child is absent while it has not been made, a Refusal when it cannot be."""

    service: Obj
    configuration: Obj | Refusal | None
    route: Obj | Refusal | None
    revision_name_taken: str = ""


def service_status(facts: ServiceFacts, now: datetime) -> Obj:
    before = status_of(facts.service)
    generation = generation_of(facts.service)
    conditions = Conditions(SERVICE, before.get("conditions"), now)
    conditions.initialize()
    conditions.observe_generation(generation, before.get("observedGeneration"))
    status: Obj = {**before, "observedGeneration": generation}
    _take_configuration(conditions, status, facts)
    _take_route(conditions, status, facts)
    status["conditions"] = conditions.to_list()
    return status


def _take_configuration(conditions: Conditions, status: Obj, facts: ServiceFacts) -> None:
    configuration = facts.configuration
    if isinstance(configuration, Refusal):
        conditions.mark_false(CONFIGURATIONS_READY, configuration.reason, configuration.message)
        return
    if configuration is None:
        conditions.mark_unknown(CONFIGURATIONS_READY)
        return
    source = status_of(configuration)
    for field in ("latestCreatedRevisionName", "latestReadyRevisionName"):
        _copy(status, source, field)
    if not is_observed(configuration):
        conditions.mark_unknown(
            CONFIGURATIONS_READY,
            "OutOfDate",
            "The Configuration is still working to reflect the latest desired specification.",
        )
    else:
        conditions.copy(CONFIGURATIONS_READY, find(configuration))


def _take_route(conditions: Conditions, status: Obj, facts: ServiceFacts) -> None:
    route = facts.route
    if isinstance(route, Refusal):
        conditions.mark_false(ROUTES_READY, route.reason, route.message)
        return
    if facts.revision_name_taken:
        conditions.mark_false(
            ROUTES_READY,
            "RevisionNameTaken",
            f'The revision name "{facts.revision_name_taken}" is taken by a conflicting Revision, '
            "so traffic will not be migrated",
        )
        return
    if route is None:
        conditions.mark_unknown(ROUTES_READY)
        return
    for field in ("url", "address", "traffic"):
        _copy(status, status_of(route), field)
    ready = find(route)
    if not is_observed(route):
        conditions.mark_unknown(
            ROUTES_READY,
            "OutOfDate",
            "The Route is still working to reflect the latest desired specification.",
        )
    elif ready is not None and ready.is_true and not _migrated(facts, route):
        conditions.mark_unknown(
            ROUTES_READY,
            "TrafficNotMigrated",
            "Traffic is not yet migrated to the latest revision.",
        )
    else:
        conditions.copy(ROUTES_READY, ready)


def _migrated(facts: ServiceFacts, route: Obj) -> bool:
    """Whether the Route sends requests where its spec says, the latest Revision being the one that
    the Configuration has now. Equal shares that the Route added up count as one.
    """
    latest = (
        status_of(facts.configuration).get("latestReadyRevisionName")
        if isinstance(facts.configuration, dict)
        else None
    )
    wanted = _shares(
        [
            {**target, "revisionName": target.get("revisionName") or latest}
            for target in spec_of(route).get("traffic") or ()
        ]
    )
    return wanted == _shares(list(status_of(route).get("traffic") or ()))


def _shares(targets: list[Obj]) -> dict[tuple[str, str], int]:
    shares: dict[tuple[str, str], int] = {}
    for target in targets:
        key = (str(target.get("revisionName")), str(target.get("tag") or ""))
        shares[key] = shares.get(key, 0) + int(target.get("percent") or 0)
    return shares


def _copy(status: Obj, source: Obj, field: str) -> None:
    if field in source:
        status[field] = source[field]
    else:
        status.pop(field, None)
