"""From a key to the plan of the tree that it is the root of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from pilotlight import names
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    INGRESSES,
    REVISIONS,
    ROUTES,
    SERVICES,
    Resource,
)
from pilotlight_operator.configuration_tree import plan_configuration
from pilotlight_operator.desired.ingress import ingress_class
from pilotlight_operator.labels import revision_patch, routes_of_revision
from pilotlight_operator.objects import (
    Key,
    Obj,
    annotations_of,
    controller_of,
    is_deleting,
    labels_of,
)
from pilotlight_operator.planner import Plan, Planner, World
from pilotlight_operator.revision_tree import plan_revision
from pilotlight_operator.route_tree import plan_ingress, plan_route, release_ingress
from pilotlight_operator.service_tree import plan_service


class Root(NamedTuple):
    """The key of a tree: a Service, or what was made without one."""

    resource: Resource
    key: Key


def _plan_ingress(planner: Planner, made: Obj) -> None:
    """An Ingress that no Route of ours made."""
    configured = planner.settings.ingress_class
    ours = ingress_class(annotations_of(made), configured) == names.INGRESS_CLASS
    if ours and not is_deleting(made):
        plan_ingress(planner, made)


def _plan_revision(planner: Planner, made: Obj) -> None:
    """A Revision that no Configuration made tells the Routes that lead to it all the same. One that
    has a Configuration, though that is not in sight, keeps what it tells.
    """
    if controller_of(made) is None and not is_deleting(made):
        routes = routes_of_revision(made, made, "", planner.view)
        if routes or names.ROUTING_STATE_LABEL in labels_of(made):
            planner.patch(REVISIONS, made, revision_patch(made, routes, planner.now_text))
    plan_revision(planner, made)


_PLANNERS: Final[dict[Resource, Callable[[Planner, Obj], object]]] = {
    SERVICES: plan_service,
    CONFIGURATIONS: plan_configuration,
    ROUTES: plan_route,
    REVISIONS: _plan_revision,
    INGRESSES: _plan_ingress,
}


def plan(root: Root, world: World) -> Plan:
    """What to do for a tree, now. A root that is not there any more needs nothing: the API removes
    what it owned.
    """
    planner = Planner(world)
    obj = planner.view.get(root.resource, *root.key)
    if obj is not None:
        _PLANNERS[root.resource](planner, obj)
    elif root.resource is ROUTES:
        release_ingress(planner, root.key)
    return planner.plan
