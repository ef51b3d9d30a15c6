"""The metadata of children: their owner, and which labels and annotations they inherit."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.objects import (
    Labels,
    Obj,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
    without,
)

_REVISION_ONLY_LABELS = (names.ROUTE_LABEL, names.ROUTING_STATE_LABEL)
_REVISION_ONLY_ANNOTATIONS = (
    names.LAST_PINNED_ANNOTATION,
    names.NO_GC_ANNOTATION,
    names.ROUTING_STATE_MODIFIED_ANNOTATION,
    names.ROUTES_ANNOTATION,
    names.REPLACE_PODS_ANNOTATION,
)


def child_metadata(parent: Obj, name: str, labels: Labels, annotations: Labels) -> Obj:
    return {
        "name": name,
        "namespace": namespace_of(parent),
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner_reference(parent)],
    }


def revision_child_labels(revision: Obj) -> Labels:
    """Labels of everything below a Revision: its own, and who it is."""
    labels = without(labels_of(revision), _REVISION_ONLY_LABELS)
    labels[names.REVISION_LABEL] = name_of(revision)
    labels[names.REVISION_UID_LABEL] = uid_of(revision)
    labels.setdefault(names.APP_LABEL, name_of(revision))
    return labels


def revision_child_annotations(revision: Obj) -> Labels:
    """Annotations of a Deployment and its pods: those about scaling would restart the pods."""
    return without(
        annotations_of(revision), _REVISION_ONLY_ANNOTATIONS, prefix=names.AUTOSCALING_PREFIX
    )


def autoscaler_annotations(revision: Obj) -> Labels:
    return without(annotations_of(revision), _REVISION_ONLY_ANNOTATIONS)
