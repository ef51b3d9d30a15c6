"""The ReplicaSet controller: as many pods as asked for."""

from __future__ import annotations

import time
from typing import Any

from pilotlight.kube.resources import PODS, REPLICA_SETS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.index import OwnerIndex, key_of
from pilotlight_local.controllers.objects import Object, controller_reference, is_terminating
from pilotlight_local.controllers.replicas import plan_replicas, pod_of, replica_set_status
from pilotlight_local.controllers.workqueue import Controller, Key
from pilotlight_local.events import NORMAL, WARNING, Happening, Recorder

_RETRY_S = 1.0


class ReplicaSets:
    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self.controller = Controller("replicaset", self._reconcile)
        self._pods = OwnerIndex(cluster, PODS, "ReplicaSet", self.controller.enqueue)
        self._unsubscribe = cluster.subscribe(REPLICA_SETS, self._on_event)
        for replica_set in cluster.list(REPLICA_SETS):
            self.controller.enqueue(key_of(replica_set))

    def close(self) -> None:
        self._unsubscribe()
        self._pods.unsubscribe()

    def _on_event(self, _type: str, obj: Object, _old: Object | None) -> None:
        self.controller.enqueue(key_of(obj))

    async def _reconcile(self, key: Key) -> float | None:
        replica_set = self._cluster.get(REPLICA_SETS, *key)
        if replica_set is None:
            return None
        failure = ""
        if not is_terminating(replica_set):
            failure = await self._scale(replica_set)
        pods = self._pods.of(replica_set["metadata"]["uid"])
        status, again = replica_set_status(replica_set, pods, failure, time.time())
        current = self._cluster.get(REPLICA_SETS, *key)
        if current is not None and status != (current.get("status") or {}):
            await self._cluster.update_status(REPLICA_SETS, without_version(current, status))
        return _RETRY_S if failure else again

    async def _scale(self, replica_set: Object) -> str:
        """Create or delete pods. Returns what the API refused, if anything."""
        pods = self._pods.of(replica_set["metadata"]["uid"])
        plan = plan_replicas(replica_set["spec"].get("replicas", 1), pods)
        try:
            for _ in range(plan.create):
                await self._create(replica_set)
            for name in plan.delete:
                await self._delete(replica_set, name)
        except ApiError as error:
            text = f"Error creating: {error.message}"
            self._event(replica_set, WARNING, "FailedCreate", text)
            return error.message
        return ""

    async def _create(self, replica_set: Object) -> None:
        reference = controller_reference(replica_set)
        pod = await self._cluster.create(PODS, pod_of(replica_set, reference))
        text = f"Created pod: {pod['metadata']['name']}"
        self._event(replica_set, NORMAL, "SuccessfulCreate", text)

    async def _delete(self, replica_set: Object, name: str) -> None:
        try:
            await self._cluster.delete(PODS, replica_set["metadata"]["namespace"], name)
        except ApiError as error:
            if error.status != 404:
                raise
        self._event(replica_set, NORMAL, "SuccessfulDelete", f"Deleted pod: {name}")

    def _event(self, replica_set: Object, type_: str, reason: str, message: str) -> None:
        self._recorder.record(Happening(replica_set, type_, reason, message), time.time())


def without_version(obj: Object, status: dict[str, Any]) -> dict[str, Any]:
    """The object with another status, to be written whatever has happened to the rest."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    return {**obj, "metadata": metadata, "status": status}
