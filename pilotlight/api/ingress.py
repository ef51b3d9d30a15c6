"""Ingress of `networking.internal.knative.dev/v1alpha1`: what a Route tells the gateways."""

from __future__ import annotations

from pilotlight.api.meta import Resource, Status
from pilotlight.api.model import Int64, IntOrString, Model, StringMap, optional, required


class HeaderMatch(Model):
    """What a header has to be."""

    exact: str | None = optional("The value of the header.")


class BackendSplit(Model):
    """A part of the traffic and the Service that gets it."""

    service_namespace: str = required("Namespace of the Service; that of the Ingress.")
    service_name: str = required("Name of the Service: the Revision's.")
    service_port: IntOrString = required("Port of the Service.")
    percent: Int64 | None = optional("Share of the traffic, 0 to 100; alone, all of it.")
    append_headers: StringMap | None = optional("Headers that requests of this part get.")


class HTTPPath(Model):
    """Requests that look like this, and where they go."""

    path: str | None = optional("Start of the request's path; left out, every path.")
    rewrite_host: str | None = optional("Host that the request is given, in place of a split.")
    headers: dict[str, HeaderMatch] | None = optional("Headers that the request must carry.")
    splits: list[BackendSplit] | None = optional("Where the requests go.")
    append_headers: StringMap | None = optional("Headers that the requests get.")


class HTTPRule(Model):
    """The paths of a rule."""

    paths: list[HTTPPath] = required("The first path that fits decides.")


class IngressRule(Model):
    """Hosts and what happens to their requests."""

    hosts: list[str] | None = optional("The hosts.")
    http: HTTPRule | None = optional("What happens to their requests.")
    visibility: str | None = optional("ExternalIP, for all, or ClusterLocal.")


class IngressTLS(Model):
    """A certificate for hosts."""

    hosts: list[str] | None = optional("The hosts; left out, those of the certificate.")
    secret_name: str | None = optional("Name of the Secret with the certificate.")
    secret_namespace: str | None = optional("Namespace of that Secret.")


class IngressSpec(Model):
    """What a gateway does with requests."""

    http_option: str | None = optional(
        "What plain HTTP gets where there is TLS: Enabled, an answer; Redirected, a redirection."
    )
    rules: list[IngressRule] | None = optional("The first rule whose host fits decides.")
    tls: list[IngressTLS] | None = optional("Certificates.")


class LoadBalancerIngress(Model):
    """A point at which a gateway takes requests."""

    ip: str | None = optional("Its IP address.")
    domain: str | None = optional("Its host name.")
    domain_internal: str | None = optional("Its host name inside the cluster.")
    mesh_only: bool | None = optional("Whether it is reached only through a mesh.")


class LoadBalancerStatus(Model):
    """The points at which a gateway takes requests."""

    ingress: list[LoadBalancerIngress] | None = optional("The points.")


class IngressStatus(Status):
    """Where the gateways are."""

    public_load_balancer: LoadBalancerStatus | None = optional("Gateways for the world.")
    private_load_balancer: LoadBalancerStatus | None = optional("Gateways for the cluster.")


class Ingress(Resource):
    """Hosts, paths and splits for the gateways; made by the operator from a Route."""

    spec: IngressSpec | None = optional("What is wanted.")
    status: IngressStatus | None = optional("What is.")
