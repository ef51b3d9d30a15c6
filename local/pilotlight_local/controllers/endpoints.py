"""Which EndpointSlices a Service has (pure)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from pilotlight import names
from pilotlight_local.controllers.objects import (
    Object,
    controller_reference,
    is_over,
    is_terminating,
    is_true,
    matches,
)

MANAGER: Final = "endpointslice-controller.k8s.io"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
_HEADLESS_LABEL: Final = "service.kubernetes.io/headless"


def endpoint_slices(service: Object, pods: Sequence[Object]) -> list[dict[str, Any]]:
    """One slice for all pods on which the Service's ports have the same numbers: ordinarily one,
    and one without endpoints when there is no pod. None without a selector.
    """
    selector = service["spec"].get("selector")
    if not selector or is_terminating(service) or service["spec"].get("type") == "ExternalName":
        return []
    groups: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        if not matches(selector, pod["metadata"].get("labels")) or is_over(pod):
            continue
        if (pod.get("status") or {}).get("podIP"):
            ports = _ports(service, pod)
            key = json.dumps(ports, sort_keys=True)
            groups.setdefault(key, (ports, []))[1].append(_endpoint(service, pod))
    if not groups:
        groups["[]"] = (_ports(service, None), [])
    return [_slice(service, ports, endpoints) for ports, endpoints in groups.values()]


def _slice(
    service: Object, ports: list[dict[str, Any]], endpoints: list[dict[str, Any]]
) -> dict[str, Any]:
    metadata = service["metadata"]
    labels = {
        **(metadata.get("labels") or {}),
        names.ENDPOINT_SLICE_SERVICE_LABEL: metadata["name"],
        MANAGED_BY_LABEL: MANAGER,
    }
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS_LABEL] = ""
    numbers = sorted((port["name"], port["protocol"], port["port"]) for port in ports)
    digest = hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:5]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name'][:57]}-{digest}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    terminating = is_terminating(pod)
    serving = is_true(pod, "Ready")
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: dict[str, Any] = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    return endpoint


def _ports(service: Object, pod: Object | None) -> list[dict[str, Any]]:
    ports = []
    for port in service["spec"].get("ports") or []:
        number = _number(port, pod)
        if number is None:
            continue
        entry = {
            "name": port.get("name", ""),
            "port": number,
            "protocol": port.get("protocol", "TCP"),
        }
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        ports.append(entry)
    return ports


def _number(port: Object, pod: Object | None) -> int | None:
    """The pod's port that a Service's port leads to; a name is looked up in its containers."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    if pod is None:
        return None
    for container in pod["spec"]["containers"]:
        for declared in container.get("ports") or []:
            if declared.get("name") == target:
                return int(declared["containerPort"])
    return None
