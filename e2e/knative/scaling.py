"""What scales a Revision, and the Services in front of its pods."""

from __future__ import annotations

from e2e.knative.past import (
    AUTOSCALING,
    NETWORKING,
    NO_TRAFFIC,
    Object,
    Past,
    below,
    child_of,
    condition_of,
    name_of,
    of_serverless_service,
    port_of,
    ready_by,
    uid_of,
)


def podautoscaler_of(past: Past, revision: Object) -> Object:
    labels, _ = below(revision)
    annotations = {
        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "concurrency",
        "serving.knative.dev/creator": "somebody",
        **past.annotations,
    }
    active = [condition_of("Active"), condition_of("Ready")]
    if not past.replicas:
        told = {key: NO_TRAFFIC[key] for key in ("status", "reason", "message")}
        active = [{**condition, **told} for condition in active]
    name = name_of(revision)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-deployment"}
    return {
        "apiVersion": f"{AUTOSCALING}/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": child_of(revision, name, labels, annotations),
        "spec": {"scaleTargetRef": target, "protocolType": "http1", "reachability": "Reachable"},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                *active,
                condition_of("SKSReady"),
                condition_of("ScaleTargetInitialized"),
            ],
            "serviceName": name,
            "metricsServiceName": f"{name}-private",
            "desiredScale": past.replicas,
            "actualScale": past.replicas,
        },
    }


def metric_of(scaler: Object) -> Object:
    name, metadata = name_of(scaler), scaler["metadata"]
    return {
        "apiVersion": f"{AUTOSCALING}/v1alpha1",
        "kind": "Metric",
        "metadata": child_of(scaler, name, metadata["labels"], metadata["annotations"]),
        "spec": {
            "stableWindow": 60_000_000_000,
            "panicWindow": 6_000_000_000,
            "scrapeTarget": f"{name}-private",
        },
        "status": ready_by("Ready"),
    }


def serverless_service_of(scaler: Object) -> Object:
    name, metadata = name_of(scaler), scaler["metadata"]
    annotations = dict(metadata["annotations"])
    annotations.pop("autoscaling.knative.dev/metric", None)
    return {
        "apiVersion": f"{NETWORKING}/v1alpha1",
        "kind": "ServerlessService",
        "metadata": child_of(scaler, name, metadata["labels"], annotations),
        "spec": {
            "mode": "Proxy",
            "numActivators": 2,
            "objectRef": scaler["spec"]["scaleTargetRef"],
            "protocolType": "http1",
        },
        "status": {
            **ready_by("ActivatorEndpointsPopulated", "EndpointsPopulated", "Ready"),
            "serviceName": name,
            "privateServiceName": f"{name}-private",
        },
    }


def public_service(between: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": of_serverless_service(between, name_of(between), "Public"),
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [port_of("http", 80, 8012), port_of("https", 443, 8112)],
        },
    }


def private_service(between: Object, revision: Object) -> Object:
    ports = [
        port_of("http", 80, 8012),
        port_of("https", 443, 8112),
        port_of("http-autometric", 9090, "http-autometric"),
        port_of("http-usermetric", 9091, "http-usermetric"),
        port_of("http-queueadm", 8022, 8022),
        port_of("http-istio", 8012, 8012),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": of_serverless_service(between, f"{name_of(between)}-private", "Private"),
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "selector": {"serving.knative.dev/revisionUID": uid_of(revision)},
            "ports": ports,
        },
    }


def public_endpoints(between: Object) -> Object:
    """They lead to an activator of Knative's that is not there any more."""
    ports = [{"name": "http", "port": 8012, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": of_serverless_service(between, name_of(between), "Public"),
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": ports}],
    }
