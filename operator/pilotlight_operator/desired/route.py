"""The Route of a Service."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.desired.metadata import child_metadata
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    labels_of,
    name_of,
    spec_of,
    without,
)


def route(service: Obj) -> Obj:
    """Targets that follow the latest Revision become targets on the Service's Configuration."""
    labels = {**labels_of(service), names.SERVICE_LABEL: name_of(service)}
    annotations = without(annotations_of(service), (names.LAST_APPLIED_ANNOTATION,))
    return {
        "apiVersion": f"{names.SERVING_GROUP}/v1",
        "kind": "Route",
        "metadata": child_metadata(service, name_of(service), labels, annotations),
        "spec": {"traffic": traffic(service)},
    }


def traffic(service: Obj) -> list[Obj]:
    targets = spec_of(service).get("traffic") or [{"percent": 100, "latestRevision": True}]
    return [_target(target, name_of(service)) for target in targets]


def _target(target: Obj, configuration: str) -> Obj:
    if target.get("revisionName"):
        return {"latestRevision": False, **target}
    return {**target, "latestRevision": True, "configurationName": configuration}
