"""The merge rules of the built-in kinds: only what differs from "maps merge, lists are replaced".

The rules are those that the API reference of Kubernetes gives with each field as patch strategy,
patch merge key and list type.
"""

from __future__ import annotations

from typing import Final

from pilotlight_local.apiserver.shapes import ANY, LEAF, LIST_MAP, SET, Shape, list_map, struct

_SELECTOR: Final = LEAF
_CONDITIONS: Final = list_map(ANY, "type")

METADATA: Final = struct(finalizers=SET, ownerReferences=list_map(LEAF, "uid"))

_ENV: Final = struct(
    valueFrom=struct(fieldRef=LEAF, resourceFieldRef=LEAF, configMapKeyRef=LEAF, secretKeyRef=LEAF)
)
_RESOURCES: Final = struct(claims=list_map(ANY, "name"))
_CONTAINER: Final = struct(
    ports=list_map(ANY, "containerPort", "protocol", protocol="TCP"),
    env=list_map(_ENV, "name"),
    volumeMounts=list_map(ANY, "mountPath"),
    volumeDevices=list_map(ANY, "devicePath"),
    resources=_RESOURCES,
)
_VOLUME: Final = struct(
    secret=struct(items=LEAF),
    configMap=struct(items=LEAF),
    projected=struct(sources=LEAF),
)
_POD_SPEC: Final = struct(
    containers=list_map(_CONTAINER, "name"),
    initContainers=list_map(_CONTAINER, "name"),
    ephemeralContainers=list_map(_CONTAINER, "name"),
    volumes=Shape(LIST_MAP, item=_VOLUME, keys=("name",), merge_key="name", retain_keys=True),
    imagePullSecrets=list_map(ANY, "name"),
    hostAliases=list_map(ANY, "ip"),
    topologySpreadConstraints=list_map(
        struct(labelSelector=_SELECTOR), "topologyKey", "whenUnsatisfiable"
    ),
    nodeSelector=LEAF,
    resourceClaims=Shape(LIST_MAP, item=ANY, keys=("name",), merge_key="name", retain_keys=True),
    schedulingGates=list_map(ANY, "name"),
    securityContext=struct(supplementalGroups=LEAF),
)
_TEMPLATE: Final = struct(metadata=METADATA, spec=_POD_SPEC)
_POD_STATUS: Final = struct(
    conditions=_CONDITIONS,
    podIPs=list_map(ANY, "ip"),
    hostIPs=Shape(),
)
_STATUS: Final = struct(conditions=_CONDITIONS)


def _kind(**fields: Shape) -> Shape:
    return struct(metadata=METADATA, **fields)


_WORKLOAD: Final = _kind(
    spec=Shape(
        fields={
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "strategy": Shape(retain_keys=True),
        }
    ),
    status=_STATUS,
)
_SERVICE_PORTS: Final = list_map(ANY, "port", "protocol", protocol="TCP")
_WEBHOOKS: Final = _kind(
    webhooks=list_map(
        struct(
            namespaceSelector=_SELECTOR,
            objectSelector=_SELECTOR,
            matchConditions=list_map(ANY, "name"),
        ),
        "name",
    )
)

_KINDS: Final[dict[str, Shape]] = {
    "Pod": _kind(spec=_POD_SPEC, status=_POD_STATUS),
    "PodTemplate": _kind(template=_TEMPLATE),
    "ReplicationController": _kind(spec=struct(selector=LEAF, template=_TEMPLATE), status=_STATUS),
    "Deployment": _WORKLOAD,
    "ReplicaSet": _WORKLOAD,
    "StatefulSet": _WORKLOAD,
    "DaemonSet": _WORKLOAD,
    "Job": _WORKLOAD,
    "CronJob": _kind(spec=struct(jobTemplate=struct(metadata=METADATA, spec=_WORKLOAD))),
    "Service": _kind(
        spec=struct(
            ports=_SERVICE_PORTS,
            selector=LEAF,
            clusterIPs=LEAF,
            externalIPs=LEAF,
            ipFamilies=LEAF,
        ),
        status=struct(conditions=_CONDITIONS, loadBalancer=struct(ingress=LEAF)),
    ),
    "ServiceAccount": _kind(secrets=list_map(ANY, "name"), imagePullSecrets=Shape()),
    "Namespace": _kind(status=_STATUS),
    "Node": _kind(
        spec=struct(podCIDRs=SET),
        status=struct(conditions=_CONDITIONS, addresses=list_map(ANY, "type"), images=LEAF),
    ),
    "PersistentVolumeClaim": _kind(
        spec=struct(selector=_SELECTOR, dataSource=LEAF), status=_STATUS
    ),
    "EndpointSlice": _kind(endpoints=LEAF, ports=LEAF, addressType=LEAF),
    "Endpoints": _kind(subsets=LEAF),
    "HorizontalPodAutoscaler": _kind(
        spec=struct(scaleTargetRef=ANY, metrics=LEAF),
        status=struct(conditions=_CONDITIONS, currentMetrics=LEAF),
    ),
    "PodDisruptionBudget": _kind(spec=struct(selector=_SELECTOR), status=_STATUS),
    "NetworkPolicy": _kind(spec=struct(podSelector=_SELECTOR, ingress=LEAF, egress=LEAF)),
    "ClusterRole": _kind(aggregationRule=struct(clusterRoleSelectors=LEAF), rules=LEAF),
    "Role": _kind(rules=LEAF),
    "ClusterRoleBinding": _kind(subjects=LEAF, roleRef=LEAF),
    "RoleBinding": _kind(subjects=LEAF, roleRef=LEAF),
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
    "CustomResourceDefinition": _kind(
        spec=struct(versions=LEAF),
        status=struct(conditions=_CONDITIONS, storedVersions=LEAF),
    ),
    "Ingress": _kind(
        spec=struct(rules=LEAF, tls=LEAF), status=struct(loadBalancer=struct(ingress=LEAF))
    ),
}
_OTHER: Final = _kind(status=_STATUS)


def shape_of(kind: str) -> Shape:
    """The merge rules of a built-in kind's objects."""
    return _KINDS.get(kind, _OTHER)
