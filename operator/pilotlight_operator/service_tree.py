"""A Service and the whole tree below it."""

from __future__ import annotations

from typing import Final

from pilotlight.kube.resources import CONFIGURATIONS, ROUTES, SERVICES
from pilotlight_operator.changes import Rules
from pilotlight_operator.configuration_tree import plan_configuration
from pilotlight_operator.desired.configuration import configuration
from pilotlight_operator.desired.revision import template_name
from pilotlight_operator.desired.route import route
from pilotlight_operator.labels import routes_of_configuration
from pilotlight_operator.objects import Obj, is_deleting, is_observed, key_of, name_of
from pilotlight_operator.planner import Planner
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.route_tree import plan_route
from pilotlight_operator.status.configuration import FAILED
from pilotlight_operator.status.service import ServiceFacts, service_status

_RULES: Final = Rules()


def plan_service(planner: Planner, service: Obj) -> None:
    if is_deleting(service):
        return
    made = _configuration(planner, service)
    current: Obj | Refusal | None = made
    if isinstance(made, dict):
        current = plan_configuration(planner, made)
    name_taken = _name_taken(current)
    led = _route(planner, service, current, name_taken)
    if isinstance(led, dict):
        led = plan_route(planner, led)
    facts = ServiceFacts(service, current, led, name_taken)
    planner.status(SERVICES, service, service_status(facts, planner.world.now))


def _configuration(planner: Planner, service: Obj) -> Obj | Refusal | None:
    routes = name_of(service)
    existing = planner.view.get(CONFIGURATIONS, *key_of(service))
    if existing is not None:
        routes = routes_of_configuration(existing, planner.view, own=routes)
    return planner.child(CONFIGURATIONS, configuration(service, routes), service, _RULES)


def _route(
    planner: Planner, service: Obj, current: Obj | Refusal | None, name_taken: str
) -> Obj | Refusal | None:
    """With a Revision named by the user the Route is left alone until that name is known to be
    free, so that a clash leaves the traffic where it is.
    """
    existing = planner.view.get(ROUTES, *key_of(service))
    named = isinstance(current, dict) and bool(template_name(current))
    if named and existing is not None:
        assert isinstance(current, dict)
        if name_taken or not is_observed(current):
            return existing
    return planner.child(ROUTES, route(service), service, _RULES)


def _name_taken(current: Obj | Refusal | None) -> str:
    """The name that the user gave to a Revision, if another object has it."""
    if not isinstance(current, dict) or not template_name(current):
        return ""
    for condition in (current.get("status") or {}).get("conditions") or ():
        if condition.get("reason") == FAILED and "already exists" in condition.get("message", ""):
            return template_name(current)
    return ""
