"""What is to be left behind, and the parts that its objects are made of."""

from __future__ import annotations

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
EMPTY: Final[Object] = {}
WEBHOOK: Final = "webhook.serving.knative.dev"
WHEN: Final = "2026-01-02T03:04:05Z"
CREATOR: Final = {
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


def user_traffic(legacy: Legacy) -> list[Object]:
    given = legacy.traffic or ({"percent": 100},)
    return [{"latestRevision": "revisionName" not in entry, **entry} for entry in given]


def tags_of(legacy: Legacy) -> list[str]:
    return sorted({entry["tag"] for entry in legacy.traffic if entry.get("tag")})


def child_of(parent: Object, name: str, labels: Object, annotations: Object) -> Object:
    return {
        "name": name,
        "namespace": parent["metadata"]["namespace"],
        "labels": dict(labels),
        "annotations": dict(annotations),
        "ownerReferences": [
            {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": name_of(parent),
                "uid": uid_of(parent),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def of_serverless_service(between: Object, name: str, kind: str) -> Object:
    labels = {
        **between["metadata"]["labels"],
        "networking.internal.knative.dev/serverlessservice": name_of(between),
        "networking.internal.knative.dev/serviceType": kind,
    }
    return child_of(between, name, labels, between["metadata"]["annotations"])


def below(revision: Object) -> tuple[Object, Object]:
    """The labels and annotations of a Deployment and its pods."""
    metadata = revision["metadata"]
    labels = {
        key: value
        for key, value in metadata["labels"].items()
        if key != "serving.knative.dev/routingState"
    }
    labels |= {
        "app": name_of(revision),
        "serving.knative.dev/revision": name_of(revision),
        "serving.knative.dev/revisionUID": uid_of(revision),
    }
    kept = {
        key: value
        for key, value in metadata["annotations"].items()
        if not key.startswith(("autoscaling.knative.dev/", "serving.knative.dev/rout"))
    }
    return labels, kept


def port_of(name: str, port: int, target: int | str) -> Object:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target}


def condition_of(kind: str, *, severity: str = "") -> Object:
    condition = {"type": kind, "status": "True", "lastTransitionTime": WHEN}
    return {**condition, "severity": severity} if severity else condition


def ready_by(*kinds: str, generation: int = 1) -> Object:
    return {"observedGeneration": generation, "conditions": [condition_of(kind) for kind in kinds]}


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def uid_of(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


NO_TRAFFIC: Final[Object] = {
    "type": "Active",
    "status": "False",
    "reason": "NoTraffic",
    "message": "The target is not receiving traffic.",
    "severity": "Info",
    "lastTransitionTime": WHEN,
}
