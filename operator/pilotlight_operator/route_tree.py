"""A Route and what is below it: the Ingress and the placeholder Services."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.api.conditions import is_ready
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight.kube.resources import CORE_SERVICES, INGRESSES, REVISIONS, ROUTES
from pilotlight_operator.changes import Rules
from pilotlight_operator.desired.ingress import Routing, ingress, ingress_class
from pilotlight_operator.desired.services import placeholder, service_port
from pilotlight_operator.hosts import HostError, Hosts, hosts_of
from pilotlight_operator.objects import (
    Key,
    Obj,
    annotations_of,
    first,
    is_controlled_by,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    status_of,
)
from pilotlight_operator.planner import Delete, Planner, Probe
from pilotlight_operator.refusal import NOT_OWNED, Refusal, not_owned
from pilotlight_operator.status.ingress import ingress_status
from pilotlight_operator.status.route import RouteFacts, route_status
from pilotlight_operator.traffic import Traffic, resolve

_INGRESS_RULES: Final = Rules()
_PLACEHOLDER_RULES: Final = Rules(
    exact_metadata=True, exact_spec=False, kept=(names.VISIBILITY_LABEL,)
)
_HTTP_OPTIONS: Final = {"enabled": "Enabled", "redirected": "Redirected"}


def plan_route(planner: Planner, route: Obj) -> Obj:
    """Plan its children and status; returns it with the status it will have."""
    planner.release(ROUTES, route, names.ROUTE_FINALIZER)
    if is_deleting(route):
        release_ingress(planner, key_of(route))
        return route
    traffic = resolve(route, planner.view)
    error, hosts, found = "", {}, planner.view.get(INGRESSES, *key_of(route))
    obstacle: Refusal | None = None
    try:
        hosts = hosts_of(route, planner.settings, planner.view)
        if traffic.problem is None:
            found, obstacle = _plan_children(planner, route, traffic, hosts)
    except HostError as wrong:
        error = str(wrong)
    scheme = planner.settings.network.default_external_scheme
    facts = RouteFacts(
        route=route,
        traffic=traffic,
        urls={tag: each.url(scheme) for tag, each in hosts.items()},
        address=f"http://{_address(planner, route)}",
        ingress=found,
        obstacle=obstacle,
        config_error=error,
        local=bool(hosts) and hosts[""].is_local,
    )
    return planner.status(ROUTES, route, route_status(facts, planner.world.now))


def _plan_children(
    planner: Planner, route: Obj, traffic: Traffic, hosts: dict[str, Hosts]
) -> tuple[Obj | None, Refusal | None]:
    """The Ingress as it is, and why it or a placeholder cannot be as it should.

    Who has the placeholder has the host: the Ingress claims none before, so that a tag cannot take
    over the requests of another Route that is called as the tag and the Route together.
    """
    ours = is_ours(planner, route)
    found = planner.view.get(INGRESSES, *key_of(route))
    if found is not None and not is_controlled_by(found, route):
        found = None
    target = planner.settings.gateway_host if ours else _load_balancer(found)
    held, obstacle = _placeholders(planner, route, hosts, target)
    if held:
        desired = ingress(route, _routing(planner, route, traffic, hosts))
        made = planner.child(INGRESSES, desired, route, _INGRESS_RULES)
        found = made if isinstance(made, dict) else None
        obstacle = made if isinstance(made, Refusal) else None
        release_ingress(planner, key_of(route))
        _drop_orphans(planner, route, {each.service for each in hosts.values()})
    if found is not None and ours:
        found = plan_ingress(planner, found)
    return found, obstacle


def _placeholders(
    planner: Planner, route: Obj, hosts: dict[str, Hosts], target: str
) -> tuple[bool, Refusal | None]:
    """Whether all of them are there and the Route's own, and why one cannot be."""
    held, obstacle = True, None
    for each in hosts.values():
        desired = placeholder(route, each.service, target or _external(each))
        child = planner.child(CORE_SERVICES, desired, route, _PLACEHOLDER_RULES)
        held = held and isinstance(child, dict)
        if isinstance(child, Refusal):
            obstacle = obstacle or _of_placeholder(child, each.service)
    return held, obstacle


def _of_placeholder(refusal: Refusal, name: str) -> Refusal:
    """Tells it apart from the Service of the serving API that has the same name."""
    if refusal.reason != NOT_OWNED:
        return refusal
    return not_owned("placeholder Service", name)


def _routing(planner: Planner, route: Obj, traffic: Traffic, hosts: dict[str, Hosts]) -> Routing:
    ports = {}
    for target in traffic.targets:
        revision = planner.view.get(REVISIONS, namespace_of(route), target.revision)
        if revision is not None:
            ports[target.revision] = service_port(revision)
    settings = planner.settings
    return Routing(
        groups=traffic.groups(),
        hosts=hosts,
        ports=ports,
        ingress_class=ingress_class(annotations_of(route), settings.ingress_class),
        http_option=_http_option(route, settings.http_option),
        by_header=settings.routes_by_header,
    )


def _http_option(route: Obj, configured: str) -> str:
    annotated = first(
        annotations_of(route), names.HTTP_PROTOCOL_ANNOTATION, names.HTTP_PROTOCOL_ANNOTATION_ALT
    )
    if annotated is None:
        return configured
    option = _HTTP_OPTIONS.get(annotated.lower())
    if option is None:
        raise HostError(f"incorrect http-protocol annotation: {annotated}")
    return option


def plan_ingress(planner: Planner, made: Obj) -> Obj:
    """An Ingress of our class: ready as soon as every gateway serves it as it is."""
    gateway = planner.settings.gateway_host
    if is_ready(made) and _load_balancer(made) == gateway:
        return made
    served = planner.world.served.get(ingress_hash(made))
    if served is None or not served.everywhere:
        planner.plan.probes.append(Probe(made))
    return planner.status(INGRESSES, made, ingress_status(made, served, gateway, planner.world.now))


def release_ingress(planner: Planner, route: Key) -> None:
    """Let the Ingress of a Route, which may be gone, go when it is ours: the finalizer is that of
    another implementation, which had it before.
    """
    found = planner.view.get(INGRESSES, *route)
    if found is not None and annotations_of(found).get(names.INGRESS_CLASS_ANNOTATION) == (
        names.INGRESS_CLASS
    ):
        planner.release(INGRESSES, found, names.INGRESS_FINALIZER)


def is_ours(planner: Planner, route: Obj) -> bool:
    """Whether our own gateways serve a Route."""
    chosen = ingress_class(annotations_of(route), planner.settings.ingress_class)
    return chosen == names.INGRESS_CLASS


def _load_balancer(found: Obj | None) -> str:
    """Where another implementation of Ingress says that it takes requests from inside."""
    status = status_of(found) if found is not None else {}
    for field in ("privateLoadBalancer", "publicLoadBalancer"):
        for entry in (status.get(field) or {}).get("ingress") or ():
            target = entry.get("domainInternal") or entry.get("domain")
            if target:
                return str(target)
    return ""


def _external(hosts: Hosts) -> str:
    return hosts.external[0] if hosts.external else hosts.internal[-1]


def _drop_orphans(planner: Planner, route: Obj, wanted: set[str]) -> None:
    for service in planner.view.placeholders_of(key_of(route)):
        if (
            name_of(service) not in wanted
            and is_controlled_by(service, route)
            and not is_deleting(service)
        ):
            planner.plan.children.append(Delete(CORE_SERVICES, service))


def _address(planner: Planner, route: Obj) -> str:
    return names.service_host(name_of(route), namespace_of(route), planner.settings.cluster_domain)
