"""Which trees an event concerns."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    ENDPOINTS,
    POD_AUTOSCALERS,
    PODS,
    REVISIONS,
    ROUTES,
    SERVICES,
    Resource,
)
from pilotlight_operator.index import Index
from pilotlight_operator.objects import (
    Key,
    Obj,
    controller_of,
    key_of,
    labels_of,
    spec_of,
    status_of,
)
from pilotlight_operator.plan import Root

_KINDS: Final = {
    "Service": SERVICES,
    "Configuration": CONFIGURATIONS,
    "Revision": REVISIONS,
    "Route": ROUTES,
    # Knative's, between a Revision and its Kubernetes Services: it has the Revision's name.
    "ServerlessService": REVISIONS,
}


def roots_of(resource: Resource, obj: Obj, index: Index) -> set[Root]:
    """The trees to look at when `obj` has changed or gone."""
    if resource is PODS:
        return _of_pod(obj, index)
    root = _root(resource, obj, index)
    found = {root} if root else set()
    if resource is REVISIONS:
        found |= _of_routes(index.routes_to_revision(key_of(obj)), index)
        owner = controller_of(obj)
        if owner is not None:
            configuration = Key(key_of(obj).namespace, owner["name"])
            found |= _of_routes(index.routes_to_configuration(configuration), index)
    elif resource is CONFIGURATIONS:
        found |= _of_routes(index.routes_to_configuration(key_of(obj)), index)
    elif resource is ROUTES:
        found |= _of_targets(obj, index)
    return found


def _root(resource: Resource, obj: Obj, index: Index) -> Root | None:
    """Follow the owners upward, as far as they are known."""
    namespace = key_of(obj).namespace
    while True:
        owner = controller_of(obj)
        above = _KINDS.get(owner["kind"]) if owner else None
        if owner is None or above is None:
            break
        parent = index.get(above, namespace, owner["name"])
        if parent is None:
            return Root(above, Key(namespace, owner["name"]))
        resource, obj = above, parent
    if resource in (DEPLOYMENTS, CORE_SERVICES, ENDPOINTS, POD_AUTOSCALERS):
        return None
    return Root(resource, key_of(obj))


def _of_pod(pod: Obj, index: Index) -> set[Root]:
    name = labels_of(pod).get(names.REVISION_LABEL, "")
    revision = index.get(REVISIONS, key_of(pod).namespace, name)
    root = _root(REVISIONS, revision, index) if revision is not None else None
    return {root} if root else set()


def _of_routes(routes: list[Obj], index: Index) -> set[Root]:
    return {root for route in routes if (root := _root(ROUTES, route, index)) is not None}


def _of_targets(route: Obj, index: Index) -> set[Root]:
    """The Revisions and Configurations that a Route leads to carry its name."""
    namespace = key_of(route).namespace
    found: set[Root] = set()
    spec, status = spec_of(route), status_of(route)
    for target in (*(spec.get("traffic") or ()), *(status.get("traffic") or ())):
        for resource, field in ((REVISIONS, "revisionName"), (CONFIGURATIONS, "configurationName")):
            name = target.get(field)
            obj = index.get(resource, namespace, name) if name else None
            root = _root(resource, obj, index) if obj is not None else None
            if root is not None:
                found.add(root)
    return found
