"""The status of a Route, from where its traffic goes and what its Ingress says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotlight.api.conditions import ROUTE, Conditions, find
from pilotlight_operator.objects import Obj, generation_of, is_observed, status_of
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.traffic import Problem, Traffic, status_traffic

ALL_TRAFFIC_ASSIGNED: Final = "AllTrafficAssigned"
INGRESS_READY: Final = "IngressReady"
CERTIFICATE_PROVISIONED: Final = "CertificateProvisioned"
NO_TLS: Final = "TLSNotEnabled"


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """`urls` has the URL of the Route (under "") and of each tag; `obstacle` says why the Ingress
    or a placeholder cannot be; `local`: the Route is reachable inside the cluster only.
    """

    route: Obj
    traffic: Traffic
    urls: dict[str, str]
    address: str
    ingress: Obj | None
    obstacle: Refusal | None = None
    config_error: str = ""
    local: bool = False


def route_status(facts: RouteFacts, now: datetime) -> Obj:
    before = status_of(facts.route)
    generation = generation_of(facts.route)
    conditions = Conditions(ROUTE, before.get("conditions"), now)
    conditions.initialize()
    conditions.observe_generation(generation, before.get("observedGeneration"))
    status: Obj = {**before, "observedGeneration": generation}
    _mark_certificate(conditions, facts.local)
    problem = _problem(facts)
    if problem is not None:
        conditions.mark(ALL_TRAFFIC_ASSIGNED, problem.status, problem.reason, problem.message)
        if generation != before.get("observedGeneration"):
            _mark_ingress_pending(conditions)
    else:
        conditions.mark_true(ALL_TRAFFIC_ASSIGNED)
        status["traffic"] = status_traffic(facts.traffic, facts.urls)
        _mark_ingress(conditions, facts)
    if not facts.config_error:
        status["url"] = facts.urls[""]
        status["address"] = {"url": facts.address}
    status["conditions"] = conditions.to_list()
    return status


def _problem(facts: RouteFacts) -> Problem | None:
    if facts.config_error:
        return Problem("False", "ErrorConfig", facts.config_error)
    return facts.traffic.problem


def _mark_certificate(conditions: Conditions, local: bool) -> None:
    message = (
        "TLS is not enabled for cluster-local" if local else "external-domain-tls is not enabled"
    )
    conditions.mark_true(CERTIFICATE_PROVISIONED, NO_TLS, message)


def _mark_ingress(conditions: Conditions, facts: RouteFacts) -> None:
    if facts.obstacle is not None:
        conditions.mark_false(INGRESS_READY, facts.obstacle.reason, facts.obstacle.message)
    elif facts.ingress is None or not is_observed(facts.ingress):
        _mark_ingress_pending(conditions)
    else:
        conditions.copy(INGRESS_READY, find(facts.ingress))


def _mark_ingress_pending(conditions: Conditions) -> None:
    conditions.mark_unknown(
        INGRESS_READY, "IngressNotConfigured", "Ingress has not yet been reconciled."
    )
