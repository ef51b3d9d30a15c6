"""The resources of `serving.knative.dev/v1`: Service, Configuration, Revision, Route."""

from __future__ import annotations

from typing import Annotated

from pilotlight.api.containers import Container
from pilotlight.api.meta import Addressable, PreservedTemplateMeta, Resource, Status
from pilotlight.api.model import (
    ATOMIC_MAP,
    Anything,
    Int32,
    Int64,
    Model,
    StringMap,
    defaulted,
    gated,
    list_map,
    optional,
    required,
)
from pilotlight.api.volumes import Volume


class LocalObjectReference(Model):
    """An object of the same namespace."""

    name: str = defaulted("", "Name of the object.")


class PodSpec(Model):
    """The pod of a Revision, as far as it is the user's."""

    containers: list[Container] = required("The containers; one of them takes the requests.")
    volumes: Annotated[list[Volume], list_map("name")] | None = optional("Files for containers.")
    service_account_name: str | None = optional("Service account of the pods.")
    automount_service_account_token: bool | None = optional(
        "Whether the pods get the token of their service account; only false is allowed."
    )
    image_pull_secrets: (
        Annotated[list[Annotated[LocalObjectReference, ATOMIC_MAP]], list_map("name")] | None
    ) = optional("Secrets for pulling the images.")
    enable_service_links: bool | None = optional(
        "Whether Services of the namespace become environment variables."
    )
    init_containers: list[Anything] | None = gated("kubernetes.podspec-init-containers")
    affinity: Anything | None = gated("kubernetes.podspec-affinity")
    topology_spread_constraints: list[Anything] | None = gated(
        "kubernetes.podspec-topologyspreadconstraints"
    )
    node_selector: Annotated[StringMap, ATOMIC_MAP] | None = gated(
        "kubernetes.podspec-nodeselector"
    )
    tolerations: list[Anything] | None = gated("kubernetes.podspec-tolerations")
    host_aliases: list[Anything] | None = gated("kubernetes.podspec-hostaliases")
    runtime_class_name: str | None = gated("kubernetes.podspec-runtimeclassname")
    priority_class_name: str | None = gated("kubernetes.podspec-priorityclassname")
    scheduler_name: str | None = gated("kubernetes.podspec-schedulername")
    security_context: Anything | None = gated("kubernetes.podspec-securitycontext")
    share_process_namespace: bool | None = gated("kubernetes.podspec-shareprocessnamespace")
    dns_policy: str | None = gated("kubernetes.podspec-dnspolicy")
    dns_config: Anything | None = gated("kubernetes.podspec-dnsconfig")
    host_ipc: bool | None = gated("kubernetes.podspec-hostipc", alias="hostIPC")
    host_pid: bool | None = gated("kubernetes.podspec-hostpid", alias="hostPID")
    host_network: bool | None = gated("kubernetes.podspec-hostnetwork")


class RevisionSpec(PodSpec):
    """A pod, and how requests are given to it."""

    container_concurrency: Int64 | None = optional("Most requests at once in a pod; 0 is no limit.")
    timeout_seconds: Int64 | None = optional("Seconds that a request may take.")
    response_start_timeout_seconds: Int64 | None = optional(
        "Seconds that a request may take until its answer begins."
    )
    idle_timeout_seconds: Int64 | None = optional(
        "Seconds that an answer may pause while it is being sent."
    )


class RevisionTemplate(Model):
    """What Revisions are made from."""

    metadata: PreservedTemplateMeta | None = optional("Metadata of the Revisions.")
    spec: RevisionSpec | None = optional("Spec of the Revisions.")


class TrafficTarget(Model):
    """A part of the traffic and where it goes."""

    percent: Int64 | None = optional("Share of the traffic, 0 to 100; the shares sum to 100.")
    revision_name: str | None = optional("The Revision that gets it.")
    configuration_name: str | None = optional(
        "The Configuration whose latest ready Revision gets it; only in a Route."
    )
    latest_revision: bool | None = optional("Whether the latest ready Revision gets it.")
    tag: str | None = optional("Name of a URL of its own for this target.")
    url: str | None = optional("That URL; only in a status.")


class ConfigurationSpec(Model):
    """What a Configuration makes Revisions from."""

    template: RevisionTemplate | None = optional("What Revisions are made from.")


class ServiceSpec(ConfigurationSpec):
    """A program and the traffic to its Revisions."""

    traffic: list[TrafficTarget] | None = optional(
        "How traffic is split; left out, all goes to the latest ready Revision."
    )


class RouteSpec(Model):
    """How traffic is split."""

    traffic: list[TrafficTarget] | None = optional("The parts of the traffic.")


class ConfigurationStatus(Status):
    """The Revisions of a Configuration."""

    latest_created_revision_name: str | None = optional("The Revision that was made last.")
    latest_ready_revision_name: str | None = optional("The Revision that became ready last.")


class RouteStatus(Status):
    """Where a Route is reached and where its traffic goes."""

    url: str | None = optional("URL for clients.")
    address: Addressable | None = optional("URL inside the cluster.")
    traffic: list[TrafficTarget] | None = optional("Where the traffic goes now.")


class ServiceStatus(ConfigurationStatus):
    """The Revisions of a Service and where their traffic goes."""

    url: str | None = optional("URL for clients.")
    address: Addressable | None = optional("URL inside the cluster.")
    traffic: list[TrafficTarget] | None = optional("Where the traffic goes now.")


class ContainerStatus(Model):
    """The image that a container runs."""

    name: str | None = optional("Name of the container.")
    image_digest: str | None = optional("The image by its digest.")


class RevisionStatus(Status):
    """The state of a Revision and of its pods."""

    log_url: str | None = optional("Where the logs are.")
    container_statuses: list[ContainerStatus] | None = optional("Images of the containers.")
    init_container_statuses: list[ContainerStatus] | None = optional(
        "Images of the init containers."
    )
    actual_replicas: Int32 | None = optional("Pods that are ready.")
    desired_replicas: Int32 | None = optional("Pods that are wanted.")


class Service(Resource):
    """A program that runs when requests come: it makes a Configuration, hence Revisions, and a
    Route to them, and keeps all of them as the Service says."""

    spec: ServiceSpec | None = optional("What is wanted.")
    status: ServiceStatus | None = optional("What is.")


class Configuration(Resource):
    """The newest wanted state of a program. Each change of its template makes a Revision."""

    spec: ConfigurationSpec | None = optional("What is wanted.")
    status: ConfigurationStatus | None = optional("What is.")


class Revision(Resource):
    """A version of a program that does not change any more: code and its settings. It runs as
    many pods as its requests need, none without requests."""

    spec: RevisionSpec | None = optional("What is wanted.")
    status: RevisionStatus | None = optional("What is.")


class Route(Resource):
    """An address, and the Revisions that its traffic is split between."""

    spec: RouteSpec | None = optional("What is wanted.")
    status: RouteStatus | None = optional("What is.")
