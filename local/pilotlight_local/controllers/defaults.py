"""What every cluster has from the start: its namespaces, their default ServiceAccount, the node."""

from __future__ import annotations

import os
import platform
import time
from typing import Any, Final

from pilotlight import names
from pilotlight.kube.resources import NAMESPACES, NODES, SERVICE_ACCOUNTS, Resource
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.objects import Object, format_time, is_terminating
from pilotlight_local.controllers.workqueue import Controller, Key

NAMESPACE_NAMES: Final = ("default", "kube-system", "kube-public", names.SYSTEM_NAMESPACE)
NODE_NAME: Final = "local"
_MOST_PODS: Final = 1000


class Namespaces:
    """Gives each namespace its default ServiceAccount."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.controller = Controller("namespace", self._reconcile)
        self._unsubscribe = [
            cluster.subscribe(NAMESPACES, self._on_namespace),
            cluster.subscribe(SERVICE_ACCOUNTS, self._on_account),
        ]
        for namespace in cluster.list(NAMESPACES):
            self._on_namespace("ADDED", namespace, None)

    def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def _on_namespace(self, _type: str, obj: Object, _old: Object | None) -> None:
        self.controller.enqueue(("", obj["metadata"]["name"]))

    def _on_account(self, type_: str, obj: Object, _old: Object | None) -> None:
        if type_ == "DELETED":
            self.controller.enqueue(("", obj["metadata"]["namespace"]))

    async def _reconcile(self, key: Key) -> float | None:
        namespace = self._cluster.get(NAMESPACES, "", key[1])
        if namespace is not None and not is_terminating(namespace):
            account = {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": key[1]},
            }
            if self._cluster.get(SERVICE_ACCOUNTS, key[1], "default") is None:
                await self._cluster.create(SERVICE_ACCOUNTS, account)
        return None


async def create_defaults(cluster: Cluster, address: str) -> None:
    """Create the namespaces, and the node or its new state."""
    for name in NAMESPACE_NAMES:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await _ensure(cluster, NAMESPACES, namespace)
    made = node(address, time.time())
    stored = await _ensure(cluster, NODES, made)
    metadata = {k: v for k, v in stored["metadata"].items() if k != "resourceVersion"}
    await cluster.update_status(NODES, {**stored, "metadata": metadata, "status": made["status"]})


async def _ensure(cluster: Cluster, resource: Resource, obj: dict[str, Any]) -> Object:
    found = cluster.get(resource, "", obj["metadata"]["name"])
    if found is not None:
        return found
    try:
        return await cluster.create(resource, obj)
    except ApiError as error:
        found = cluster.get(resource, "", obj["metadata"]["name"])
        if error.status != 409 or found is None:
            raise
        return found


def node(address: str, now: float) -> dict[str, Any]:
    """This machine as a Node."""
    capacity = machine_capacity()
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods run as processes of this machine",
        "lastHeartbeatTime": format_time(now),
        "lastTransitionTime": format_time(now),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "labels": {
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": platform.system().lower(),
                "kubernetes.io/arch": _architecture(),
            },
        },
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [ready],
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": platform.release(),
                "osImage": platform.platform(),
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": "v1.34.0",
                "kubeProxyVersion": "",
                "operatingSystem": platform.system().lower(),
                "architecture": _architecture(),
            },
        },
    }


def machine_capacity() -> dict[str, str]:
    """Processors, memory and pods that the machine has room for, as quantities."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 4 << 30
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory >> 10}Ki",
        "ephemeral-storage": "0",
        "pods": str(_MOST_PODS),
    }


def _architecture() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
