"""Every name that more than one part must spell alike: API groups, labels, annotations, headers,
ports, environment variables, and the rules by which children are named.

Names under `knative.dev` are Knative Serving's public API; those under `pilotlight.dev` are ours.
"""

from __future__ import annotations

import hashlib
from typing import Final

# API groups
SERVING_GROUP: Final = "serving.knative.dev"
AUTOSCALING_GROUP: Final = "autoscaling.internal.knative.dev"
NETWORKING_GROUP: Final = "networking.internal.knative.dev"

# Classes
INGRESS_CLASS: Final = "pilotlight.ingress.networking.knative.dev"
KPA_CLASS: Final = "kpa.autoscaling.knative.dev"
HPA_CLASS: Final = "hpa.autoscaling.knative.dev"

# Field managers of server-side apply
OPERATOR_MANAGER: Final = "pilotlight-operator"
AUTOSCALER_MANAGER: Final = "pilotlight-autoscaler"

# The system namespace and what lies in it
SYSTEM_NAMESPACE: Final = "knative-serving"
CLUSTER_DOMAIN: Final = "cluster.local"
OPERATOR: Final = "operator"
ACTIVATOR: Final = "activator"
AUTOSCALER: Final = "autoscaler"
QUEUE_PROXY: Final = "queue-proxy"
USER_CONTAINER: Final = "user-container"
ACTIVATOR_SERVICE: Final = "activator-service"
GATEWAY_SERVICE: Final = "pilotlight-gateway"
ACTIVATOR_REPORTS_SERVICE: Final = "activator-reports"
AUTOSCALER_REPORTS_SERVICE: Final = "autoscaler-reports"
WEBHOOK_SERVICE: Final = "webhook"
WEBHOOK_CERTS_SECRET: Final = "webhook-certs"
SERVING_CERTS_SECRET: Final = "serving-certs"
CERTIFICATES_PATH: Final = "/var/lib/knative/certs"
KEYS_SECRET: Final = "pilotlight-keys"
KEYS_SECRET_FIELD: Final = "master"
OPERATOR_LEASE: Final = "operator"
AUTOSCALER_LEASE: Final = "autoscaler"
REVISION_KEY_FIELD: Final = "key"

CONFIG_AUTOSCALER: Final = "config-autoscaler"
CONFIG_DEFAULTS: Final = "config-defaults"
CONFIG_DEPLOYMENT: Final = "config-deployment"
CONFIG_DOMAIN: Final = "config-domain"
CONFIG_FEATURES: Final = "config-features"
CONFIG_GC: Final = "config-gc"
CONFIG_LEADER_ELECTION: Final = "config-leader-election"
CONFIG_LOGGING: Final = "config-logging"
CONFIG_NETWORK: Final = "config-network"
CONFIG_OBSERVABILITY: Final = "config-observability"

# Webhooks
DEFAULTING_WEBHOOK: Final = "webhook.serving.knative.dev"
VALIDATION_WEBHOOK: Final = "validation.webhook.serving.knative.dev"
CONFIG_WEBHOOK: Final = "config.webhook.serving.knative.dev"

# Ports
GATEWAY_PORT: Final = 8080
QUEUE_HTTP_PORT: Final = 8012
QUEUE_H2C_PORT: Final = 8013
QUEUE_TLS_PORT: Final = 8112
QUEUE_ADMIN_PORT: Final = 8022
QUEUE_AUTOMETRIC_PORT: Final = 9090
QUEUE_METRICS_PORT: Final = 9091
QUEUE_PROFILING_PORT: Final = 8008
ACTIVATOR_HTTP_PORT: Final = 8012
REPORT_PORT: Final = 8014
WEBHOOK_PORT: Final = 8443
ADMIN_PORT: Final = 9090
DEFAULT_USER_PORT: Final = 8080

# Names of ports
USER_PORT_NAME: Final = "user-port"
QUEUE_PORT_NAME: Final = "queue-port"
H2C: Final = "h2c"
HTTP1: Final = "http1"

# Labels and annotations of serving.knative.dev
CONFIGURATION_LABEL: Final = "serving.knative.dev/configuration"
CONFIGURATION_GENERATION_LABEL: Final = "serving.knative.dev/configurationGeneration"
CONFIGURATION_UID_LABEL: Final = "serving.knative.dev/configurationUID"
SERVICE_LABEL: Final = "serving.knative.dev/service"
SERVICE_UID_LABEL: Final = "serving.knative.dev/serviceUID"
REVISION_LABEL: Final = "serving.knative.dev/revision"
REVISION_UID_LABEL: Final = "serving.knative.dev/revisionUID"
ROUTE_LABEL: Final = "serving.knative.dev/route"
ROUTE_NAMESPACE_LABEL: Final = "serving.knative.dev/routeNamespace"
ROUTING_STATE_LABEL: Final = "serving.knative.dev/routingState"
DEPLOYMENT_HASH_LABEL: Final = "serving.knative.dev/deployment-hash"
ROUTING_STATE_MODIFIED_ANNOTATION: Final = "serving.knative.dev/routingStateModified"
ROUTES_ANNOTATION: Final = "serving.knative.dev/routes"
LAST_PINNED_ANNOTATION: Final = "serving.knative.dev/lastPinned"
NO_GC_ANNOTATION: Final = "serving.knative.dev/no-gc"
CREATOR_ANNOTATION: Final = "serving.knative.dev/creator"
LAST_MODIFIER_ANNOTATION: Final = "serving.knative.dev/lastModifier"
ROLLOUT_DURATION_ANNOTATION: Final = "serving.knative.dev/rollout-duration"
ROLLOUT_DURATION_ANNOTATION_ALT: Final = "serving.knative.dev/rolloutDuration"
PROGRESS_DEADLINE_ANNOTATION: Final = "serving.knative.dev/progress-deadline"
APP_LABEL: Final = "app"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
LAST_APPLIED_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
DEFAULT_CONTAINER_ANNOTATION: Final = "kubectl.kubernetes.io/default-container"
POD_DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
ENDPOINT_SLICE_SERVICE_LABEL: Final = "kubernetes.io/service-name"

# Annotations of autoscaling.knative.dev, with the older spelling that is still read
AUTOSCALING_PREFIX: Final = "autoscaling.knative.dev/"
CLASS_ANNOTATION: Final = "autoscaling.knative.dev/class"
METRIC_ANNOTATION: Final = "autoscaling.knative.dev/metric"
TARGET_ANNOTATION: Final = "autoscaling.knative.dev/target"
TARGET_UTILIZATION_ANNOTATION: Final = "autoscaling.knative.dev/target-utilization-percentage"
TARGET_UTILIZATION_ANNOTATION_ALT: Final = "autoscaling.knative.dev/targetUtilizationPercentage"
TARGET_BURST_CAPACITY_ANNOTATION: Final = "autoscaling.knative.dev/target-burst-capacity"
TARGET_BURST_CAPACITY_ANNOTATION_ALT: Final = "autoscaling.knative.dev/targetBurstCapacity"
MIN_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/min-scale"
MIN_SCALE_ANNOTATION_ALT: Final = "autoscaling.knative.dev/minScale"
MAX_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/max-scale"
MAX_SCALE_ANNOTATION_ALT: Final = "autoscaling.knative.dev/maxScale"
INITIAL_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/initial-scale"
INITIAL_SCALE_ANNOTATION_ALT: Final = "autoscaling.knative.dev/initialScale"
ACTIVATION_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/activation-scale"
SCALE_DOWN_DELAY_ANNOTATION: Final = "autoscaling.knative.dev/scale-down-delay"
SCALE_DOWN_DELAY_ANNOTATION_ALT: Final = "autoscaling.knative.dev/scaleDownDelay"
POD_RETENTION_ANNOTATION: Final = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
POD_RETENTION_ANNOTATION_ALT: Final = "autoscaling.knative.dev/scaleToZeroPodRetentionPeriod"
WINDOW_ANNOTATION: Final = "autoscaling.knative.dev/window"
PANIC_WINDOW_ANNOTATION: Final = "autoscaling.knative.dev/panic-window-percentage"
PANIC_WINDOW_ANNOTATION_ALT: Final = "autoscaling.knative.dev/panicWindowPercentage"
PANIC_THRESHOLD_ANNOTATION: Final = "autoscaling.knative.dev/panic-threshold-percentage"
PANIC_THRESHOLD_ANNOTATION_ALT: Final = "autoscaling.knative.dev/panicThresholdPercentage"
AGGREGATION_ANNOTATION: Final = "autoscaling.knative.dev/metric-aggregation-algorithm"
AGGREGATION_ANNOTATION_ALT: Final = "autoscaling.knative.dev/metricAggregationAlgorithm"

# Labels and annotations of networking.knative.dev
VISIBILITY_LABEL: Final = "networking.knative.dev/visibility"
CLUSTER_LOCAL: Final = "cluster-local"
INGRESS_CLASS_ANNOTATION: Final = "networking.knative.dev/ingress.class"
INGRESS_CLASS_ANNOTATION_ALT: Final = "networking.knative.dev/ingress-class"
CERTIFICATE_CLASS_ANNOTATION: Final = "networking.knative.dev/certificate.class"
CERTIFICATE_CLASS_ANNOTATION_ALT: Final = "networking.knative.dev/certificate-class"
DISABLE_TLS_ANNOTATION: Final = "networking.knative.dev/disable-external-domain-tls"
DISABLE_TLS_ANNOTATION_ALTS: Final = (
    "networking.knative.dev/disable-auto-tls",
    "networking.knative.dev/disableAutoTLS",
)
HTTP_PROTOCOL_ANNOTATION: Final = "networking.knative.dev/http-protocol"
HTTP_PROTOCOL_ANNOTATION_ALT: Final = "networking.knative.dev/httpOption"
SERVICE_TYPE_LABEL: Final = "networking.internal.knative.dev/serviceType"
ROLLOUT_ANNOTATION: Final = "networking.internal.knative.dev/rollout"
TAG_TO_HOST_ANNOTATION: Final = "networking.internal.knative.dev/tag-to-host"

# Annotations of the queue-proxy's resources
QUEUE_RESOURCE_PREFIX: Final = "queue.sidecar.serving.knative.dev/"
POD_INFO_ANNOTATION: Final = "features.knative.dev/queueproxy-podinfo"
FULL_DUPLEX_ANNOTATION: Final = "features.knative.dev/http-full-duplex"

# Finalizers of Knative's own controllers
ROUTE_FINALIZER: Final = "routes.serving.knative.dev"
INGRESS_FINALIZER: Final = "ingresses.networking.internal.knative.dev"

# Ours
COMPONENT_LABEL: Final = "pilotlight.dev/component"
LOCAL_RUN_ANNOTATION: Final = "local.pilotlight.dev/run"
REPLACE_PODS_ANNOTATION: Final = "pilotlight.dev/replace-pods"

# Headers, as bytes in lower case where the request path compares them
REVISION_HEADER: Final = "Knative-Serving-Revision"
NAMESPACE_HEADER: Final = "Knative-Serving-Namespace"
TAG_HEADER: Final = "Knative-Serving-Tag"
DEFAULT_ROUTE_HEADER: Final = "Knative-Serving-Default-Route"
PROXY_HEADER: Final = "K-Proxy-Request"
ORIGINAL_HOST_HEADER: Final = "K-Original-Host"
PROBE_HEADER: Final = "K-Network-Probe"
HASH_HEADER: Final = "K-Network-Hash"
KUBELET_PROBE_HEADER: Final = "K-Kubelet-Probe"
BUSY_HEADER: Final = "K-Pilotlight-Busy"
LEG_HEADER: Final = "K-Pilotlight-Leg"
REPORTS_HEADER: Final = "K-Pilotlight-Reports"
SERVER_TIMING_HEADER: Final = "Server-Timing"
HASH_OVERRIDE: Final = "override"
PROBE_USER_AGENT_KUBELET: Final = "kube-probe/"
PROBE_USER_AGENT_ACTIVATOR: Final = "Knative-Activator-Probe"
PROBE_USER_AGENT_AUTOSCALER: Final = "Knative-Autoscaling-Probe"
PROBE_USER_AGENT_INGRESS: Final = "Knative-Ingress-Probe"
PROBE_USER_AGENT_QUEUE: Final = "Knative-Queue-Proxy-Probe"

# Environment
ENV_USER_SOCKET: Final = "PILOTLIGHT_USER_SOCKET"
ENV_BIND: Final = "PILOTLIGHT_BIND"
ENV_HOSTS: Final = "PILOTLIGHT_HOSTS"
ENV_GATEWAY: Final = "PILOTLIGHT_GATEWAY"
ENV_KEY: Final = "PILOTLIGHT_KEY"
ENV_REVISION_UID: Final = "PILOTLIGHT_REVISION_UID"
ENV_AUTOSCALER: Final = "PILOTLIGHT_AUTOSCALER"
ENV_ACTIVATOR: Final = "PILOTLIGHT_ACTIVATOR"
ENV_POD_NAME: Final = "POD_NAME"
ENV_POD_IP: Final = "POD_IP"
ENV_SYSTEM_NAMESPACE: Final = "SYSTEM_NAMESPACE"
ENV_LOG_LEVEL: Final = "PILOTLIGHT_LOG_LEVEL"
ENV_QUEUE_REQUESTS: Final = "PILOTLIGHT_QUEUE_REQUESTS"
ENV_QUEUE_BYTES: Final = "PILOTLIGHT_QUEUE_BYTES"
ENV_LINGER_SECONDS: Final = "PILOTLIGHT_LINGER_SECONDS"
ENV_DRAIN_SECONDS: Final = "PILOTLIGHT_DRAIN_SECONDS"

_LONGEST_NAME: Final = 63
_HASH_LENGTH: Final = 32
_HEAD_LENGTH: Final = _LONGEST_NAME - _HASH_LENGTH


def child_name(parent: str, suffix: str) -> str:
    """The name of a child object: `parent + suffix`, or, above 63 characters, the head of the
    parent, the MD5 of it and the suffix, so that the name is stable and still unique.

    Knative's own rule, so that objects that exist already are found again.
    """
    name = parent + suffix
    if len(name) <= _LONGEST_NAME:
        return name
    head = _HEAD_LENGTH - len(suffix)
    if head > 0:
        return _cut(parent[:head] + _md5(parent) + suffix)
    digest = _md5(parent + suffix)
    if len(parent) < _HEAD_LENGTH:
        return _cut(parent + digest + suffix[: _HEAD_LENGTH - len(parent)])
    return _cut(parent[:_HEAD_LENGTH] + digest)


def revision_name(configuration: str, generation: int) -> str:
    """The name of the Revision that a Configuration's generation makes: `hello-00001`."""
    return child_name(configuration, f"-{generation:05d}")


def deployment_name(revision: str) -> str:
    return child_name(revision, "-deployment")


def private_service_name(revision: str) -> str:
    return child_name(revision, "-private")


def key_secret_name(revision: str) -> str:
    """The Secret with which the queue-proxies of a Revision sign their greetings."""
    return child_name(revision, "-key")


def service_host(name: str, namespace: str, cluster_domain: str = CLUSTER_DOMAIN) -> str:
    """The DNS name of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{cluster_domain}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _cut(name: str) -> str:
    while name and not name[-1].isalnum():
        name = name[:-1]
    return name
