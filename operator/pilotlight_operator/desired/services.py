"""Kubernetes Services: the public and the private one of a Revision, and the placeholders of a
Route, under whose names callers inside the cluster reach it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight import names
from pilotlight_operator.desired.metadata import (
    child_metadata,
    revision_child_annotations,
    revision_child_labels,
)
from pilotlight_operator.desired.pod import protocol
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    labels_of,
    name_of,
    uid_of,
    without,
)

PUBLIC = "Public"
PRIVATE = "Private"
HTTP_SERVICE_PORT = 80
H2C_SERVICE_PORT = 81


def service_port(revision: Obj) -> int:
    """The port of the public Service that an Ingress sends the Revision's requests to."""
    return H2C_SERVICE_PORT if protocol(revision) == names.H2C else HTTP_SERVICE_PORT


def public_service(revision: Obj) -> Obj:
    """Without a selector: requests reach a Revision only through an activator, never its pods."""
    if protocol(revision) == names.H2C:
        data = _port("http2", H2C_SERVICE_PORT, names.QUEUE_H2C_PORT)
        data["appProtocol"] = "kubernetes.io/h2c"
    else:
        data = _port("http", HTTP_SERVICE_PORT, names.QUEUE_HTTP_PORT)
    return _revision_service(revision, name_of(revision), PUBLIC, {"ports": [data]})


def public_endpoints(revision: Obj, activators: Sequence[Obj]) -> Obj:
    """What is behind the public Service: the activators. They are Endpoints, and no EndpointSlice,
    because that is where implementations of Ingress look; Kubernetes mirrors them.
    """
    service = public_service(revision)
    (data,) = service["spec"]["ports"]
    port = {"name": data["name"], "port": names.ACTIVATOR_HTTP_PORT, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": service["metadata"],
        "subsets": [{"addresses": list(activators), "ports": [port]}],
    }


def private_service(revision: Obj) -> Obj:
    """Headless: it exists for its EndpointSlices, and so no node has to route a virtual address.

    Pods that are not ready yet are listed there as such; activators ask those themselves.
    """
    if protocol(revision) == names.H2C:
        data = _port("http2", HTTP_SERVICE_PORT, names.QUEUE_H2C_PORT)
    else:
        data = _port("http", HTTP_SERVICE_PORT, names.QUEUE_HTTP_PORT)
    metrics = _port("http-usermetric", names.QUEUE_METRICS_PORT, names.QUEUE_METRICS_PORT)
    spec: Obj = {
        "clusterIP": "None",
        "selector": {names.REVISION_UID_LABEL: uid_of(revision)},
        "ports": [data, metrics],
    }
    return _revision_service(revision, names.private_service_name(name_of(revision)), PRIVATE, spec)


def placeholder(route: Obj, name: str, target: str) -> Obj:
    """`target` is the name in DNS that leads to the gateway."""
    labels = without(labels_of(route), (names.VISIBILITY_LABEL,))
    labels[names.ROUTE_LABEL] = name_of(route)
    labels[names.MANAGED_BY_LABEL] = names.OPERATOR_MANAGER
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(
            route,
            name,
            labels,
            without(annotations_of(route), (names.LAST_APPLIED_ANNOTATION,)),
        ),
        "spec": {
            "type": "ExternalName",
            "externalName": target,
            "sessionAffinity": "None",
            "ports": [_port("http2", HTTP_SERVICE_PORT, HTTP_SERVICE_PORT)],
        },
    }


def _revision_service(revision: Obj, name: str, kind: str, spec: Obj) -> Obj:
    labels = {
        **revision_child_labels(revision),
        names.SERVICE_TYPE_LABEL: kind,
        names.MANAGED_BY_LABEL: names.OPERATOR_MANAGER,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(revision, name, labels, revision_child_annotations(revision)),
        "spec": {"type": "ClusterIP", **spec},
    }


def _port(name: str, port: int, target: int) -> Obj:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target}
