"""The objects of a Service as Knative Serving leaves them, for tests of taking them over.

Pure: `leave` hands each object to its caller, owners first, who creates it or puts it in the place
of what it was, and gives back what came of it: those that are owned name their owner's uid.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Object = dict[str, Any]
Put = Callable[[Object], Object]

SERVING: Final = "serving.knative.dev"
NETWORKING: Final = "networking.internal.knative.dev"
AUTOSCALING: Final = "autoscaling.internal.knative.dev"
KOURIER: Final = "kourier.ingress.networking.knative.dev"
ROUTE_FINALIZER: Final = "routes.serving.knative.dev"
INGRESS_FINALIZER: Final = "ingresses.networking.internal.knative.dev"
_EMPTY: Final[Object] = {}
_WEBHOOK: Final = "webhook.serving.knative.dev"
_WHEN: Final = "2026-01-02T03:04:05Z"
_CREATOR: Final = {
    "serving.knative.dev/creator": "somebody",
    "serving.knative.dev/lastModifier": "somebody",
}


@dataclass(frozen=True, slots=True)
class Past:
    """A Service's Revision of the generation `generation`, with as many pods as `replicas`."""

    generation: int = 1
    replicas: int = 0
    annotations: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Legacy:
    """A Service that was made with Knative. `traffic` is as its user wrote it; without it all goes
    to the latest Revision.
    """

    name: str
    namespace: str
    image: str
    domain: str
    revisions: Sequence[Past] = (Past(),)
    traffic: Sequence[Object] = ()
    ingress_class: str = KOURIER

    def revision_name(self, past: Past) -> str:
        return f"{self.name}-{past.generation:05d}"

    def host(self, tag: str = "") -> str:
        name = f"{tag}-{self.name}" if tag else self.name
        return f"{name}.{self.namespace}.{self.domain}"


def leave(legacy: Legacy, put: Put) -> list[Object]:
    """All objects of a Service, as they were stored. Service and Configuration once for each of its
    Revisions, so that they are of the generation that made the last one.
    """
    kept: list[Object] = []

    def store(obj: Object) -> Object:
        kept.append(put(obj))
        return kept[-1]

    service, configuration = _EMPTY, _EMPTY
    for past in legacy.revisions:
        service = put(_service(legacy, past))
        configuration = put(_configuration(legacy, past, service))
        _leave_revision(legacy, past, store(_revision(legacy, past, configuration)), store)
    kept += [service, configuration]
    route = store(_route(legacy, service))
    store(_ingress(legacy, route))
    for tag in ["", *_tags(legacy)]:
        store(_placeholder(legacy, tag, route))
    return kept


def _leave_revision(legacy: Legacy, past: Past, revision: Object, store: Put) -> None:
    store(_deployment(past, revision))
    scaler = store(_podautoscaler(past, revision))
    store(_metric(scaler))
    between = store(_serverless_service(scaler))
    store(_public_service(between))
    store(_private_service(between, revision))
    store(_public_endpoints(between))


def definitions() -> list[Object]:
    """The kinds that only Knative has."""
    return [
        _definition(AUTOSCALING, "metrics", "Metric"),
        _definition(NETWORKING, "serverlessservices", "ServerlessService"),
    ]


def _definition(group: str, plural: str, kind: str) -> Object:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": anything},
                }
            ],
        },
    }


# The public objects


def _service(legacy: Legacy, past: Past) -> Object:
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Service",
        "metadata": {
            "name": legacy.name,
            "namespace": legacy.namespace,
            "annotations": dict(_CREATOR),
        },
        # As admission spells a template since it was last changed.
        "spec": {"template": _template(legacy, past), "traffic": _user_traffic(legacy)},
        "status": {
            **_ready("ConfigurationsReady", "Ready", "RoutesReady", generation=past.generation),
            **_latest(legacy),
            **_reached(legacy),
        },
    }


def _configuration(legacy: Legacy, past: Past, service: Object) -> Object:
    template = _template(legacy, past)
    # The controller's own spelling, of which older releases left this.
    template["metadata"]["creationTimestamp"] = None
    labels = {
        "serving.knative.dev/service": legacy.name,
        "serving.knative.dev/serviceUID": service["metadata"]["uid"],
    }
    annotations = {**_CREATOR, "serving.knative.dev/routes": legacy.name}
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Configuration",
        "metadata": _child(service, legacy.name, labels, annotations),
        "spec": {"template": template},
        "status": {**_ready("Ready", generation=past.generation), **_latest(legacy)},
    }


def _revision(legacy: Legacy, past: Past, configuration: Object) -> Object:
    labels = {
        **configuration["metadata"]["labels"],
        "serving.knative.dev/configuration": legacy.name,
        "serving.knative.dev/configurationGeneration": str(past.generation),
        "serving.knative.dev/configurationUID": configuration["metadata"]["uid"],
        "serving.knative.dev/routingState": "active",
    }
    annotations = {
        **past.annotations,
        "serving.knative.dev/creator": "somebody",
        "serving.knative.dev/routes": legacy.name,
        "serving.knative.dev/routingStateModified": _WHEN,
    }
    active = _condition("Active", severity="Info") if past.replicas else _NO_TRAFFIC
    conditions = [active, *map(_condition, ("ContainerHealthy", "Ready", "ResourcesAvailable"))]
    status = {"name": "user-container"}
    if past.digest:
        status["imageDigest"] = past.digest
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Revision",
        "metadata": _child(configuration, legacy.revision_name(past), labels, annotations),
        "spec": _template(legacy, past)["spec"],
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "containerStatuses": [status],
            "actualReplicas": past.replicas,
            "desiredReplicas": past.replicas,
        },
    }


def _route(legacy: Legacy, service: Object) -> Object:
    metadata = _child(
        service, legacy.name, {"serving.knative.dev/service": legacy.name}, dict(_CREATOR)
    )
    followed = {"configurationName": legacy.name}
    traffic = [
        {**entry, **({} if "revisionName" in entry else followed)}
        for entry in _user_traffic(legacy)
    ]
    no_tls = _condition("CertificateProvisioned")
    no_tls |= {"reason": "TLSNotEnabled", "message": "external-domain-tls is not enabled"}
    conditions = [
        _condition("AllTrafficAssigned"),
        no_tls,
        _condition("IngressReady"),
        _condition("Ready"),
    ]
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Route",
        "metadata": {**metadata, "finalizers": [ROUTE_FINALIZER]},
        "spec": {"traffic": traffic},
        "status": {"observedGeneration": 1, "conditions": conditions, **_reached(legacy)},
    }


def _template(legacy: Legacy, past: Past) -> Object:
    container: Object = {
        "name": "user-container",
        "image": legacy.image,
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
        "resources": {},
    }
    if past.env:
        container["env"] = [{"name": name, "value": value} for name, value in past.env.items()]
    return {
        "metadata": {"annotations": dict(past.annotations)} if past.annotations else {},
        "spec": {
            "containerConcurrency": 0,
            "containers": [container],
            "enableServiceLinks": False,
            "timeoutSeconds": 300,
        },
    }


def _user_traffic(legacy: Legacy) -> list[Object]:
    given = legacy.traffic or ({"percent": 100},)
    return [{"latestRevision": "revisionName" not in entry, **entry} for entry in given]


def _tags(legacy: Legacy) -> list[str]:
    return sorted({entry["tag"] for entry in legacy.traffic if entry.get("tag")})


def _latest(legacy: Legacy) -> Object:
    name = legacy.revision_name(legacy.revisions[-1])
    return {"latestCreatedRevisionName": name, "latestReadyRevisionName": name}


def _reached(legacy: Legacy) -> Object:
    latest = legacy.revision_name(legacy.revisions[-1])
    entries = []
    for entry in _user_traffic(legacy):
        shown = {"revisionName": latest, **entry}
        if "tag" in entry:
            shown["url"] = f"http://{legacy.host(entry['tag'])}"
        entries.append(shown)
    inside = f"http://{legacy.name}.{legacy.namespace}.svc.cluster.local"
    return {"url": f"http://{legacy.host()}", "address": {"url": inside}, "traffic": entries}


# What a Revision is made of


def _deployment(past: Past, revision: Object) -> Object:
    labels, annotations = _below(revision)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _child(
            revision,
            f"{_name(revision)}-deployment",
            {**labels, "serving.knative.dev/deployment-hash": "1a2b3c4"},
            annotations,
        ),
        "spec": {
            "replicas": past.replicas,
            "selector": {"matchLabels": {"serving.knative.dev/revisionUID": _uid(revision)}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        **annotations,
                        "kubectl.kubernetes.io/default-container": "user-container",
                    },
                },
                "spec": _pod(past, revision),
            },
        },
    }


def _pod(past: Past, revision: Object) -> Object:
    user = copy.deepcopy(revision["spec"]["containers"][0])
    del user["readinessProbe"]
    user["image"] = past.digest or user["image"]
    user["ports"] = [{"name": "user-port", "containerPort": 8080, "protocol": "TCP"}]
    user["env"] = [*user.get("env", ()), {"name": "PORT", "value": "8080"}, *_identity(revision)]
    user["lifecycle"] = {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    user["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return {
        "containers": [user, _queue_proxy(revision)],
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 300,
    }


def _queue_proxy(revision: Object) -> Object:
    """Knative's own image is not to be had: the suite's program stands in for it, when it is
    configured as one.
    """
    labels = revision["metadata"]["labels"]
    values = {
        "SERVING_NAMESPACE": revision["metadata"]["namespace"],
        "SERVING_SERVICE": labels["serving.knative.dev/service"],
        "SERVING_CONFIGURATION": labels["serving.knative.dev/configuration"],
        "SERVING_REVISION": _name(revision),
        "QUEUE_SERVING_PORT": "8012",
        "QUEUE_SERVING_TLS_PORT": "8112",
        "CONTAINER_CONCURRENCY": "0",
        "REVISION_TIMEOUT_SECONDS": "300",
        "USER_PORT": "8080",
        "SERVING_READINESS_PROBE": json.dumps(
            {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}, "successThreshold": 1}
        ),
    }
    ports = {"http-autometric": 9090, "http-usermetric": 9091, "queue-port": 8012}
    asked = {"httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}], "port": 8012}
    return {
        "name": "queue-proxy",
        "image": revision["spec"]["containers"][0]["image"],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
        ],
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "readinessProbe": {"httpGet": asked, "successThreshold": 1, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "25m"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _identity(revision: Object) -> list[Object]:
    labels = revision["metadata"]["labels"]
    values = {
        "K_REVISION": _name(revision),
        "K_CONFIGURATION": labels["serving.knative.dev/configuration"],
        "K_SERVICE": labels["serving.knative.dev/service"],
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def _podautoscaler(past: Past, revision: Object) -> Object:
    labels, _ = _below(revision)
    annotations = {
        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "concurrency",
        "serving.knative.dev/creator": "somebody",
        **past.annotations,
    }
    active = [_condition("Active"), _condition("Ready")]
    if not past.replicas:
        told = {key: _NO_TRAFFIC[key] for key in ("status", "reason", "message")}
        active = [{**condition, **told} for condition in active]
    name = _name(revision)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-deployment"}
    return {
        "apiVersion": f"{AUTOSCALING}/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": _child(revision, name, labels, annotations),
        "spec": {"scaleTargetRef": target, "protocolType": "http1", "reachability": "Reachable"},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                *active,
                _condition("SKSReady"),
                _condition("ScaleTargetInitialized"),
            ],
            "serviceName": name,
            "metricsServiceName": f"{name}-private",
            "desiredScale": past.replicas,
            "actualScale": past.replicas,
        },
    }


def _metric(scaler: Object) -> Object:
    name, metadata = _name(scaler), scaler["metadata"]
    return {
        "apiVersion": f"{AUTOSCALING}/v1alpha1",
        "kind": "Metric",
        "metadata": _child(scaler, name, metadata["labels"], metadata["annotations"]),
        "spec": {
            "stableWindow": 60_000_000_000,
            "panicWindow": 6_000_000_000,
            "scrapeTarget": f"{name}-private",
        },
        "status": _ready("Ready"),
    }


def _serverless_service(scaler: Object) -> Object:
    name, metadata = _name(scaler), scaler["metadata"]
    annotations = dict(metadata["annotations"])
    annotations.pop("autoscaling.knative.dev/metric", None)
    return {
        "apiVersion": f"{NETWORKING}/v1alpha1",
        "kind": "ServerlessService",
        "metadata": _child(scaler, name, metadata["labels"], annotations),
        "spec": {
            "mode": "Proxy",
            "numActivators": 2,
            "objectRef": scaler["spec"]["scaleTargetRef"],
            "protocolType": "http1",
        },
        "status": {
            **_ready("ActivatorEndpointsPopulated", "EndpointsPopulated", "Ready"),
            "serviceName": name,
            "privateServiceName": f"{name}-private",
        },
    }


def _public_service(between: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _of_serverless_service(between, _name(between), "Public"),
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [_port("http", 80, 8012), _port("https", 443, 8112)],
        },
    }


def _private_service(between: Object, revision: Object) -> Object:
    ports = [
        _port("http", 80, 8012),
        _port("https", 443, 8112),
        _port("http-autometric", 9090, "http-autometric"),
        _port("http-usermetric", 9091, "http-usermetric"),
        _port("http-queueadm", 8022, 8022),
        _port("http-istio", 8012, 8012),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _of_serverless_service(between, f"{_name(between)}-private", "Private"),
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "selector": {"serving.knative.dev/revisionUID": _uid(revision)},
            "ports": ports,
        },
    }


def _public_endpoints(between: Object) -> Object:
    """They lead to an activator of Knative's that is not there any more."""
    ports = [{"name": "http", "port": 8012, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": _of_serverless_service(between, _name(between), "Public"),
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": ports}],
    }


# What a Route is made of


def _ingress(legacy: Legacy, route: Object) -> Object:
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
        **_CREATOR,
        "networking.knative.dev/ingress.class": legacy.ingress_class,
        "networking.internal.knative.dev/rollout": json.dumps(rollout, separators=(",", ":")),
    }
    tags = {tag: [*_inside(legacy, tag), legacy.host(tag)] for tag in _tags(legacy)}
    if tags:
        text = json.dumps(tags, separators=(",", ":"))
        annotations["networking.internal.knative.dev/tag-to-host"] = text
    metadata = _child(route, legacy.name, labels, annotations)
    rules = [rule for tag in ["", *_tags(legacy)] for rule in _rules(legacy, tag)]
    balancer = {
        "ingress": [{"domainInternal": "kourier-internal.kourier-system.svc.cluster.local"}]
    }
    return {
        "apiVersion": f"{NETWORKING}/v1alpha1",
        "kind": "Ingress",
        "metadata": {**metadata, "finalizers": [INGRESS_FINALIZER]},
        "spec": {"httpOption": "Enabled", "rules": rules},
        "status": {
            **_ready("LoadBalancerReady", "NetworkConfigured", "Ready"),
            "publicLoadBalancer": balancer,
            "privateLoadBalancer": balancer,
        },
    }


def _rules(legacy: Legacy, tag: str) -> list[Object]:
    latest = legacy.revision_name(legacy.revisions[-1])
    splits = []
    for entry in _user_traffic(legacy):
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


def _placeholder(legacy: Legacy, tag: str, route: Object) -> Object:
    labels = {**route["metadata"]["labels"], "serving.knative.dev/route": legacy.name}
    name = f"{tag}-{legacy.name}" if tag else legacy.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _child(route, name, labels, dict(_CREATOR)),
        "spec": {
            "type": "ExternalName",
            "externalName": "kourier-internal.kourier-system.svc.cluster.local",
            "sessionAffinity": "None",
            "ports": [_port("http2", 80, 80)],
        },
    }


# Knative's own components


def control_plane(image: str) -> list[Object]:
    """What of them is called as something of ours, or acts on it. The programs only stand in."""
    found = [
        _component("activator", {"app": "activator", "role": "activator"}, image),
        _component("autoscaler", {"app": "autoscaler"}, image),
        _component("controller", {"app": "controller"}, image),
        _component("webhook", {"app": "webhook", "role": "webhook"}, image),
        _component("net-kourier-controller", {"app": "net-kourier-controller"}, image),
        _service_of("activator-service", {"app": "activator"}, [_port("http", 80, 8012)]),
        _service_of("autoscaler", {"app": "autoscaler"}, [_port("http", 8080, 8080)]),
        _service_of("webhook", {"role": "webhook"}, [_port("https-webhook", 443, 8443)]),
    ]
    for name in ("activator", "webhook"):
        found += [_autoscaled(name), _budget(name)]
    return found


def webhooks() -> list[Object]:
    """They ask the Service `webhook`, whom they trust by a certificate that is none of ours."""
    ours = [SERVING, NETWORKING, AUTOSCALING]
    everything = {"apiGroups": ours, "apiVersions": ["*"], "resources": ["*"], "scope": "*"}
    config = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "scope": "*"}
    own = {"matchLabels": {"app.kubernetes.io/name": "knative-serving"}}
    return [
        _webhook("Mutating", _WEBHOOK, "defaulting", everything),
        _webhook("Validating", f"validation.{_WEBHOOK}", "resource-validation", everything),
        _webhook("Validating", f"config.{_WEBHOOK}", "config-validation", config, own),
    ]


def _component(name: str, labels: Object, image: str) -> Object:
    container = {
        "name": name,
        "image": image,
        "env": [{"name": "NEVER_LISTEN", "value": "true"}],
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _of_the_system(name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _service_of(name: str, selector: Object, ports: list[Object]) -> Object:
    metadata, spec = _of_the_system(name), {"selector": selector, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _autoscaled(name: str) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _of_the_system(name),
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 20},
    }


def _budget(name: str) -> Object:
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _of_the_system(f"{name}-pdb"),
        "spec": {"minAvailable": "80%", "selector": selector},
    }


def _webhook(
    kind: str, name: str, path: str, rule: Object, objects: Object | None = None
) -> Object:
    service = {"name": "webhook", "namespace": "knative-serving", "path": f"/{path}", "port": 443}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": name,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": service, "caBundle": ""},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 10,
                "rules": [{**rule, "operations": ["CREATE", "UPDATE"]}],
                **({"objectSelector": objects} if objects else {}),
            }
        ],
    }


def _of_the_system(name: str) -> Object:
    labels = {"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": "1.20.0"}
    return {"name": name, "namespace": "knative-serving", "labels": labels}


# Parts


def _child(parent: Object, name: str, labels: Object, annotations: Object) -> Object:
    return {
        "name": name,
        "namespace": parent["metadata"]["namespace"],
        "labels": dict(labels),
        "annotations": dict(annotations),
        "ownerReferences": [
            {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": _name(parent),
                "uid": _uid(parent),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _of_serverless_service(between: Object, name: str, kind: str) -> Object:
    labels = {
        **between["metadata"]["labels"],
        "networking.internal.knative.dev/serverlessservice": _name(between),
        "networking.internal.knative.dev/serviceType": kind,
    }
    return _child(between, name, labels, between["metadata"]["annotations"])


def _below(revision: Object) -> tuple[Object, Object]:
    """The labels and annotations of a Deployment and its pods."""
    metadata = revision["metadata"]
    labels = {
        key: value
        for key, value in metadata["labels"].items()
        if key != "serving.knative.dev/routingState"
    }
    labels |= {
        "app": _name(revision),
        "serving.knative.dev/revision": _name(revision),
        "serving.knative.dev/revisionUID": _uid(revision),
    }
    kept = {
        key: value
        for key, value in metadata["annotations"].items()
        if not key.startswith(("autoscaling.knative.dev/", "serving.knative.dev/rout"))
    }
    return labels, kept


def _port(name: str, port: int, target: int | str) -> Object:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target}


def _condition(kind: str, *, severity: str = "") -> Object:
    condition = {"type": kind, "status": "True", "lastTransitionTime": _WHEN}
    return {**condition, "severity": severity} if severity else condition


_NO_TRAFFIC: Final[Object] = {
    "type": "Active",
    "status": "False",
    "reason": "NoTraffic",
    "message": "The target is not receiving traffic.",
    "severity": "Info",
    "lastTransitionTime": _WHEN,
}


def _ready(*kinds: str, generation: int = 1) -> Object:
    return {"observedGeneration": generation, "conditions": [_condition(kind) for kind in kinds]}


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])
