"""PodAutoscaler of `autoscaling.internal.knative.dev/v1alpha1`: what the operator tells the
autoscaler of a Revision, and what the autoscaler answers."""

from __future__ import annotations

from typing import Annotated

from pilotlight.api.meta import Resource, Status
from pilotlight.api.model import ATOMIC_MAP, Int32, Int64, Model, optional, required


class ScaleTarget(Model):
    """The object that is scaled."""

    api_version: str | None = optional("API version of the object.")
    kind: str | None = optional("Kind of the object.")
    name: str | None = optional("Name of the object.")


class PodAutoscalerSpec(Model):
    """What is scaled and what counts as load."""

    scale_target_ref: Annotated[ScaleTarget, ATOMIC_MAP] = required("What is scaled.")
    protocol_type: str = required("Protocol of the pods: http1 or h2c.")
    container_concurrency: Int64 | None = optional("Most requests at once in a pod; 0 is no limit.")
    reachability: str | None = optional(
        "Whether requests can come: Reachable, Unreachable, or nothing when it is not known."
    )


class PodAutoscalerStatus(Status):
    """What was decided."""

    service_name: str = required("Service through which the pods are reached.")
    metrics_service_name: str = required("Service through which the pods are measured.")
    desired_scale: Int32 | None = optional("Pods that are wanted.")
    actual_scale: Int32 | None = optional("Pods that are ready.")


class PodAutoscaler(Resource):
    """The scaling of one Revision; made by the operator, read by the autoscaler."""

    spec: PodAutoscalerSpec | None = optional("What is wanted.")
    status: PodAutoscalerStatus | None = optional("What is.")
