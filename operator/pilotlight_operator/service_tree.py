"""A Service and the whole tree below it."""

from __future__ import annotations

from typing import Final

from pilotlight.kube.resources import CONFIGURATIONS, REVISIONS, ROUTES, SERVICES
from pilotlight_operator.changes import Rules
from pilotlight_operator.configuration_tree import plan_configuration
from pilotlight_operator.desired.configuration import configuration
from pilotlight_operator.desired.revision import template_name
from pilotlight_operator.desired.route import route
from pilotlight_operator.labels import routes_of_configuration
from pilotlight_operator.objects import (
    Obj,
    is_controlled_by,
    is_deleting,
    is_observed,
    key_of,
    name_of,
    namespace_of,
    status_of,
)
from pilotlight_operator.planner import Planner
from pilotlight_operator.refusal import Refusal, not_owned
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
    name_taken = _name_taken(planner, service, current)
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
    """The Route is left as it is while there is no Configuration of ours to lead to. With a
    Revision named by the user it is left alone until that name is known to be free, so that a
    clash leaves the traffic where it is.
    """
    named = isinstance(current, dict) and bool(template_name(current))
    behind = named and isinstance(current, dict) and not is_observed(current)
    if isinstance(current, Refusal) or name_taken or behind:
        return _as_it_is(planner, service)
    return planner.child(ROUTES, route(service), service, _RULES)


def _as_it_is(planner: Planner, service: Obj) -> Obj | Refusal | None:
    existing = planner.view.get(ROUTES, *key_of(service))
    if existing is None or is_controlled_by(existing, service):
        return existing
    return not_owned(ROUTES.kind, name_of(service))


def _name_taken(planner: Planner, service: Obj, current: Obj | Refusal | None) -> str:
    """The name that the user gave to a Revision, if another object has it."""
    wanted = template_name(service)
    if not wanted or isinstance(current, Refusal):
        return ""
    if current is None:
        held = planner.view.get(REVISIONS, namespace_of(service), wanted)
        return wanted if held is not None else ""
    for condition in status_of(current).get("conditions") or ():
        if condition.get("reason") == FAILED and "already exists" in condition.get("message", ""):
            return wanted
    return ""
