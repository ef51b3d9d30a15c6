"""The Ingress of a Route, and the Services that stand for its hosts."""

from __future__ import annotations

import json

from e2e.knative.past import (
    CREATOR,
    INGRESS_FINALIZER,
    NETWORKING,
    Legacy,
    Object,
    child_of,
    port_of,
    ready_by,
    tags_of,
    user_traffic,
)


def ingress_of(legacy: Legacy, route: Object) -> Object:
    labels = {
        **route["metadata"]["labels"],
        "serving.knative.dev/route": legacy.name,
        "serving.knative.dev/routeNamespace": legacy.namespace,
    }
    latest = legacy.revision_name(legacy.revisions[-1])
    share = {"revisionName": latest, "percent": 100}
    rollout = {
        "configurations": [
            {
                "configurationName": legacy.name,
                "percent": 100,
                "revisions": [share],
                "stepParams": {},
            }
        ]
    }
    annotations = {
        **CREATOR,
        "networking.knative.dev/ingress.class": legacy.ingress_class,
        "networking.internal.knative.dev/rollout": json.dumps(rollout, separators=(",", ":")),
    }
    tags = {tag: [*_inside(legacy, tag), legacy.host(tag)] for tag in tags_of(legacy)}
    if tags:
        text = json.dumps(tags, separators=(",", ":"))
        annotations["networking.internal.knative.dev/tag-to-host"] = text
    metadata = child_of(route, legacy.name, labels, annotations)
    rules = [rule for tag in ["", *tags_of(legacy)] for rule in _rules(legacy, tag)]
    balancer = {
        "ingress": [{"domainInternal": "kourier-internal.kourier-system.svc.cluster.local"}]
    }
    return {
        "apiVersion": f"{NETWORKING}/v1alpha1",
        "kind": "Ingress",
        "metadata": {**metadata, "finalizers": [INGRESS_FINALIZER]},
        "spec": {"httpOption": "Enabled", "rules": rules},
        "status": {
            **ready_by("LoadBalancerReady", "NetworkConfigured", "Ready"),
            "publicLoadBalancer": balancer,
            "privateLoadBalancer": balancer,
        },
    }


def _rules(legacy: Legacy, tag: str) -> list[Object]:
    latest = legacy.revision_name(legacy.revisions[-1])
    splits = []
    for entry in user_traffic(legacy):
        percent = entry.get("percent") or 0
        if tag and entry.get("tag") == tag:
            percent = 100
        elif tag or not percent:
            continue
        name = entry.get("revisionName", latest)
        splits.append(
            {
                "appendHeaders": {
                    "Knative-Serving-Namespace": legacy.namespace,
                    "Knative-Serving-Revision": name,
                },
                "percent": percent,
                "serviceName": name,
                "serviceNamespace": legacy.namespace,
                "servicePort": 80,
            }
        )
    http = {"paths": [{"splits": splits}]}
    return [
        {"hosts": _inside(legacy, tag), "http": http, "visibility": "ClusterLocal"},
        {"hosts": [legacy.host(tag)], "http": http, "visibility": "ExternalIP"},
    ]


def _inside(legacy: Legacy, tag: str) -> list[str]:
    short = f"{tag}-{legacy.name}" if tag else legacy.name
    short = f"{short}.{legacy.namespace}"
    return [short, f"{short}.svc", f"{short}.svc.cluster.local"]


def placeholder_of(legacy: Legacy, tag: str, route: Object) -> Object:
    labels = {**route["metadata"]["labels"], "serving.knative.dev/route": legacy.name}
    name = f"{tag}-{legacy.name}" if tag else legacy.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_of(route, name, labels, dict(CREATOR)),
        "spec": {
            "type": "ExternalName",
            "externalName": "kourier-internal.kourier-system.svc.cluster.local",
            "sessionAffinity": "None",
            "ports": [port_of("http2", 80, 80)],
        },
    }
