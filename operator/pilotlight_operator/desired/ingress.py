"""The Ingress of a Route: which host leads to which Revisions in which shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight import names
from pilotlight_operator.desired.metadata import child_metadata
from pilotlight_operator.hosts import Hosts
from pilotlight_operator.objects import (
    Labels,
    Obj,
    annotations_of,
    first,
    labels_of,
    name_of,
    namespace_of,
    without,
)
from pilotlight_operator.traffic import DEFAULT_TAG, Target

_RESPELLED = (
    names.LAST_APPLIED_ANNOTATION,
    names.INGRESS_CLASS_ANNOTATION_ALT,
    names.CERTIFICATE_CLASS_ANNOTATION_ALT,
    *names.DISABLE_TLS_ANNOTATION_ALTS,
    names.HTTP_PROTOCOL_ANNOTATION_ALT,
    names.ROLLOUT_DURATION_ANNOTATION_ALT,
)


@dataclass(frozen=True, slots=True)
class Routing:
    """What an Ingress is made of: `groups` and `hosts` by tag, `ports` by Revision.

    `http_option` is Enabled, Redirected or empty; `by_header`: a tag can be named in a header too.
    """

    groups: Mapping[str, tuple[Target, ...]]
    hosts: Mapping[str, Hosts]
    ports: Mapping[str, int]
    ingress_class: str
    http_option: str
    by_header: bool = False


def ingress(route: Obj, routing: Routing) -> Obj:
    namespace = namespace_of(route)
    rules = [rule for tag in sorted(routing.groups) for rule in _rules_of(tag, namespace, routing)]
    spec: Obj = {"rules": rules}
    if routing.http_option:
        spec["httpOption"] = routing.http_option
    return {
        "apiVersion": f"{names.NETWORKING_GROUP}/v1alpha1",
        "kind": "Ingress",
        "metadata": child_metadata(
            route, name_of(route), _labels(route), _annotations(route, routing)
        ),
        "spec": spec,
    }


def ingress_class(annotations: Labels, configured: str) -> str:
    chosen = first(annotations, names.INGRESS_CLASS_ANNOTATION, names.INGRESS_CLASS_ANNOTATION_ALT)
    return chosen or configured


def _labels(route: Obj) -> Labels:
    return {
        **labels_of(route),
        names.ROUTE_LABEL: name_of(route),
        names.ROUTE_NAMESPACE_LABEL: namespace_of(route),
    }


def _annotations(route: Obj, routing: Routing) -> Labels:
    annotations = without(annotations_of(route), _RESPELLED)
    annotations[names.INGRESS_CLASS_ANNOTATION] = routing.ingress_class
    tags = {
        tag: [*routing.hosts[tag].internal, *routing.hosts[tag].external]
        for tag in sorted(routing.groups)
        if tag != DEFAULT_TAG
    }
    if tags:
        annotations[names.TAG_TO_HOST_ANNOTATION] = json.dumps(tags, separators=(",", ":"))
    return annotations


def _rules_of(tag: str, namespace: str, routing: Routing) -> list[Obj]:
    """One rule for all names inside the cluster, and one for each name outside."""
    hosts = routing.hosts[tag]
    paths = _paths(tag, namespace, routing)
    rules = [_rule(hosts.internal, "ClusterLocal", paths)]
    rules += [_rule((host,), "ExternalIP", paths) for host in hosts.external]
    return rules


def _rule(hosts: tuple[str, ...], visibility: str, paths: list[Obj]) -> Obj:
    return {"hosts": list(hosts), "visibility": visibility, "http": {"paths": paths}}


def _paths(tag: str, namespace: str, routing: Routing) -> list[Obj]:
    own: Obj = {"splits": _splits(routing.groups[tag], namespace, routing.ports)}
    if not routing.by_header:
        return [own]
    if tag != DEFAULT_TAG:
        return [{**own, "appendHeaders": {names.TAG_HEADER: tag}}]
    named = [
        {
            "headers": {names.TAG_HEADER: {"exact": other}},
            "splits": _splits(routing.groups[other], namespace, routing.ports),
        }
        for other in sorted(routing.groups)
        if other != DEFAULT_TAG
    ]
    return [*named, {**own, "appendHeaders": {names.DEFAULT_ROUTE_HEADER: "true"}}]


def _splits(targets: tuple[Target, ...], namespace: str, ports: Mapping[str, int]) -> list[Obj]:
    return [
        {
            "serviceNamespace": namespace,
            "serviceName": target.revision,
            "servicePort": ports[target.revision],
            "percent": target.percent,
            "appendHeaders": {
                names.REVISION_HEADER: target.revision,
                names.NAMESPACE_HEADER: namespace,
            },
        }
        for target in targets
    ]
