"""The Kubernetes resources that Pilotlight reads or writes."""

from __future__ import annotations

from typing import Final, NamedTuple

from pilotlight.names import AUTOSCALING_GROUP, NETWORKING_GROUP, SERVING_GROUP


class Resource(NamedTuple):
    """A kind of object as the API serves it. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of one object, or of the collection when `name` is None; over all
        namespaces when `namespace` is None.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        end = f"/{name}" if name else ""
        return f"{root}{middle}/{self.plural}{end}"


SERVICES: Final = Resource(SERVING_GROUP, "v1", "services", "Service")
CONFIGURATIONS: Final = Resource(SERVING_GROUP, "v1", "configurations", "Configuration")
REVISIONS: Final = Resource(SERVING_GROUP, "v1", "revisions", "Revision")
ROUTES: Final = Resource(SERVING_GROUP, "v1", "routes", "Route")
DOMAIN_MAPPINGS: Final = Resource(SERVING_GROUP, "v1beta1", "domainmappings", "DomainMapping")
POD_AUTOSCALERS: Final = Resource(AUTOSCALING_GROUP, "v1alpha1", "podautoscalers", "PodAutoscaler")
INGRESSES: Final = Resource(NETWORKING_GROUP, "v1alpha1", "ingresses", "Ingress")

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod")
CORE_SERVICES: Final = Resource("", "v1", "services", "Service")
ENDPOINTS: Final = Resource("", "v1", "endpoints", "Endpoints")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
EVENTS: Final = Resource("", "v1", "events", "Event")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
MUTATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
