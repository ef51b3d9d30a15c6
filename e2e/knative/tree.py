"""A Service and what hangs on it: `leave` stores each object, owners first."""

from __future__ import annotations

from e2e.knative.ingress import ingress_of, placeholder_of
from e2e.knative.past import (
    CREATOR,
    EMPTY,
    NO_TRAFFIC,
    ROUTE_FINALIZER,
    SERVING,
    WHEN,
    Legacy,
    Object,
    Past,
    Put,
    child_of,
    condition_of,
    ready_by,
    tags_of,
    user_traffic,
)
from e2e.knative.pods import deployment_of
from e2e.knative.scaling import (
    metric_of,
    podautoscaler_of,
    private_service,
    public_endpoints,
    public_service,
    serverless_service_of,
)


def leave(legacy: Legacy, put: Put) -> list[Object]:
    """All objects of a Service, as they were stored. Service and Configuration once for each of its
    Revisions, so that they are of the generation that made the last one.
    """
    kept: list[Object] = []

    def store(obj: Object) -> Object:
        kept.append(put(obj))
        return kept[-1]

    service, configuration = EMPTY, EMPTY
    for past in legacy.revisions:
        service = put(_service(legacy, past))
        configuration = put(_configuration(legacy, past, service))
        _leave_revision(legacy, past, store(_revision(legacy, past, configuration)), store)
    kept += [service, configuration]
    route = store(_route(legacy, service))
    store(ingress_of(legacy, route))
    for tag in ["", *tags_of(legacy)]:
        store(placeholder_of(legacy, tag, route))
    return kept


def _leave_revision(legacy: Legacy, past: Past, revision: Object, store: Put) -> None:
    store(deployment_of(past, revision))
    scaler = store(podautoscaler_of(past, revision))
    store(metric_of(scaler))
    between = store(serverless_service_of(scaler))
    store(public_service(between))
    store(private_service(between, revision))
    store(public_endpoints(between))


def _service(legacy: Legacy, past: Past) -> Object:
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Service",
        "metadata": {
            "name": legacy.name,
            "namespace": legacy.namespace,
            "annotations": dict(CREATOR),
        },
        # As admission spells a template since it was last changed.
        "spec": {"template": _template(legacy, past), "traffic": user_traffic(legacy)},
        "status": {
            **ready_by("ConfigurationsReady", "Ready", "RoutesReady", generation=past.generation),
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
    annotations = {**CREATOR, "serving.knative.dev/routes": legacy.name}
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Configuration",
        "metadata": child_of(service, legacy.name, labels, annotations),
        "spec": {"template": template},
        "status": {**ready_by("Ready", generation=past.generation), **_latest(legacy)},
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
        "serving.knative.dev/routingStateModified": WHEN,
    }
    active = condition_of("Active", severity="Info") if past.replicas else NO_TRAFFIC
    conditions = [active, *map(condition_of, ("ContainerHealthy", "Ready", "ResourcesAvailable"))]
    status = {"name": "user-container"}
    if past.digest:
        status["imageDigest"] = past.digest
    return {
        "apiVersion": f"{SERVING}/v1",
        "kind": "Revision",
        "metadata": child_of(configuration, legacy.revision_name(past), labels, annotations),
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
    metadata = child_of(
        service, legacy.name, {"serving.knative.dev/service": legacy.name}, dict(CREATOR)
    )
    followed = {"configurationName": legacy.name}
    traffic = [
        {**entry, **({} if "revisionName" in entry else followed)} for entry in user_traffic(legacy)
    ]
    no_tls = condition_of("CertificateProvisioned")
    no_tls |= {"reason": "TLSNotEnabled", "message": "external-domain-tls is not enabled"}
    conditions = [
        condition_of("AllTrafficAssigned"),
        no_tls,
        condition_of("IngressReady"),
        condition_of("Ready"),
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


def _latest(legacy: Legacy) -> Object:
    name = legacy.revision_name(legacy.revisions[-1])
    return {"latestCreatedRevisionName": name, "latestReadyRevisionName": name}


def _reached(legacy: Legacy) -> Object:
    latest = legacy.revision_name(legacy.revisions[-1])
    entries = []
    for entry in user_traffic(legacy):
        shown = {"revisionName": latest, **entry}
        if "tag" in entry:
            shown["url"] = f"http://{legacy.host(entry['tag'])}"
        entries.append(shown)
    inside = f"http://{legacy.name}.{legacy.namespace}.svc.cluster.local"
    return {"url": f"http://{legacy.host()}", "address": {"url": inside}, "traffic": entries}
