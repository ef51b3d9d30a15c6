"""The Revision of a Configuration's present generation."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.desired.metadata import child_metadata
from pilotlight_operator.objects import (
    Labels,
    Obj,
    annotations_of,
    generation_of,
    labels_of,
    name_of,
    spec_of,
    uid_of,
)

ACTIVE = "active"
RESERVE = "reserve"
PENDING = "pending"


def template_name(configuration: Obj) -> str:
    """The name that the user gave to the template's Revision, or nothing."""
    template = spec_of(configuration).get("template") or {}
    return str((template.get("metadata") or {}).get("name") or "")


def revision_name(configuration: Obj) -> str:
    return template_name(configuration) or names.revision_name(
        name_of(configuration), generation_of(configuration)
    )


def revision(configuration: Obj, now: str) -> Obj:
    """`now` is an RFC 3339 time in UTC, with seconds."""
    template = spec_of(configuration).get("template") or {}
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": f"{names.SERVING_GROUP}/v1",
        "kind": "Revision",
        "metadata": child_metadata(
            configuration,
            revision_name(configuration),
            {**(metadata.get("labels") or {}), **_identity(configuration)},
            {**(metadata.get("annotations") or {}), **_annotations(configuration, now)},
        ),
        "spec": template.get("spec") or {},
    }


def _identity(configuration: Obj) -> Labels:
    labels = labels_of(configuration)
    routed = bool(annotations_of(configuration).get(names.ROUTES_ANNOTATION))
    identity = {
        names.CONFIGURATION_LABEL: name_of(configuration),
        names.CONFIGURATION_GENERATION_LABEL: str(generation_of(configuration)),
        names.CONFIGURATION_UID_LABEL: uid_of(configuration),
        names.ROUTING_STATE_LABEL: ACTIVE if routed else PENDING,
    }
    for label in (names.SERVICE_LABEL, names.SERVICE_UID_LABEL):
        if label in labels:
            identity[label] = labels[label]
    return identity


def _annotations(configuration: Obj, now: str) -> Labels:
    inherited = annotations_of(configuration)
    annotations = {names.ROUTING_STATE_MODIFIED_ANNOTATION: now}
    if names.LAST_MODIFIER_ANNOTATION in inherited:
        annotations[names.CREATOR_ANNOTATION] = inherited[names.LAST_MODIFIER_ANNOTATION]
    if inherited.get(names.ROUTES_ANNOTATION):
        annotations[names.ROUTES_ANNOTATION] = inherited[names.ROUTES_ANNOTATION]
    return annotations
