"""The Configuration of a Service."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.desired.metadata import child_metadata
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    labels_of,
    name_of,
    spec_of,
    uid_of,
    without,
)

_SERVICE_ONLY = (
    names.LAST_APPLIED_ANNOTATION,
    names.ROLLOUT_DURATION_ANNOTATION,
    names.ROLLOUT_DURATION_ANNOTATION_ALT,
)


def configuration(service: Obj, routes: str) -> Obj:
    """It names its `routes` from the start, so that its Revisions are born active."""
    labels = {
        **labels_of(service),
        names.SERVICE_LABEL: name_of(service),
        names.SERVICE_UID_LABEL: uid_of(service),
    }
    annotations = without(annotations_of(service), _SERVICE_ONLY)
    annotations[names.ROUTES_ANNOTATION] = routes
    return {
        "apiVersion": f"{names.SERVING_GROUP}/v1",
        "kind": "Configuration",
        "metadata": child_metadata(service, name_of(service), labels, annotations),
        "spec": {"template": spec_of(service).get("template") or {}},
    }
