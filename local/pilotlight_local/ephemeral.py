"""What of an earlier life must not be believed when an instance starts again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight import names
from pilotlight.kube.resources import DEPLOYMENTS, EVENTS, LEASES, PODS, REPLICA_SETS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.controllers.objects import controller_of
from pilotlight_local.install import remove_webhooks


async def forget(cluster: Cluster) -> None:
    """Remove pods that a controller will make again, leases whose holders are gone, events, and
    webhooks; take back what statuses say of pods. Pods of nobody are kept, and run again.

    The components' ReplicaSets go too: an installation that has changed must not begin with a
    rollout from pods that do not run.
    """
    await remove_webhooks(cluster)
    for pod in cluster.list(PODS):
        if controller_of(pod) is not None:
            metadata = pod["metadata"]
            await cluster.delete(PODS, metadata["namespace"], metadata["name"], grace=0)
    for resource, namespace in (
        (LEASES, names.SYSTEM_NAMESPACE),
        (REPLICA_SETS, names.SYSTEM_NAMESPACE),
        (EVENTS, None),
    ):
        for found in cluster.list(resource, namespace):
            metadata = found["metadata"]
            await cluster.delete(resource, metadata["namespace"], metadata["name"])
    for resource in (DEPLOYMENTS, REPLICA_SETS):
        for found in cluster.list(resource):
            await cluster.update_status(resource, without_pods(found))


def without_pods(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A workload as it is when none of its pods is there."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    conditions = [
        c for c in (obj.get("status") or {}).get("conditions") or [] if c["type"] != "Available"
    ]
    status: dict[str, Any] = {"replicas": 0, "observedGeneration": 0}
    return {
        **obj,
        "metadata": metadata,
        "status": status | ({"conditions": conditions} if conditions else {}),
    }
