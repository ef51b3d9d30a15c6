"""The Deployment controller: from one template to the next, by ReplicaSets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pilotlight.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.index import OwnerIndex, key_of
from pilotlight_local.controllers.objects import (
    Object,
    controller_of,
    controller_reference,
    is_over,
    is_terminating,
)
from pilotlight_local.controllers.progress import Observed, deployment_status
from pilotlight_local.controllers.replicaset import without_version
from pilotlight_local.controllers.rollout import (
    REVISION_ANNOTATION,
    SetSize,
    copied_annotations,
    forgotten,
    limits,
    next_revision,
    recreate_sizes,
    replica_set_of,
    revision,
    rolling_sizes,
    split,
)
from pilotlight_local.controllers.workqueue import Controller, Key
from pilotlight_local.events import NORMAL, WARNING, Happening, Recorder

_MERGE = "application/merge-patch+json"
_RETRY_S = 1.0


class Deployments:
    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self.controller = Controller("deployment", self._reconcile)
        self._sets = OwnerIndex(cluster, REPLICA_SETS, "Deployment", self.controller.enqueue)
        self._pods = OwnerIndex(cluster, PODS, "ReplicaSet", self._on_pod_of)
        self._unsubscribe = cluster.subscribe(DEPLOYMENTS, self._on_event)
        for deployment in cluster.list(DEPLOYMENTS):
            self.controller.enqueue(key_of(deployment))

    def close(self) -> None:
        self._unsubscribe()
        self._sets.unsubscribe()
        self._pods.unsubscribe()

    def _on_event(self, _type: str, obj: Object, _old: Object | None) -> None:
        self.controller.enqueue(key_of(obj))

    def _on_pod_of(self, key: Key) -> None:
        """A pod has changed: that matters to those who wait until the last old one is gone."""
        replica_set = self._cluster.get(REPLICA_SETS, *key)
        owner = controller_of(replica_set) if replica_set is not None else None
        if owner is not None:
            deployment = self._cluster.get(DEPLOYMENTS, key[0], owner["name"])
            if deployment is not None and _is_recreated(deployment):
                self.controller.enqueue((key[0], owner["name"]))

    async def _reconcile(self, key: Key) -> float | None:
        deployment = self._cluster.get(DEPLOYMENTS, *key)
        if deployment is None or is_terminating(deployment):
            return None
        seen = await self._roll(deployment)
        status, again = deployment_status(seen, time.time())
        current = self._cluster.get(DEPLOYMENTS, *key)
        if current is not None and status != (current.get("status") or {}):
            await self._cluster.update_status(DEPLOYMENTS, without_version(current, status))
        return _RETRY_S if seen.failure else again

    async def _roll(self, deployment: Object) -> Observed:
        owned = self._sets.of(deployment["metadata"]["uid"])
        new, old = split(deployment, owned)
        created = False
        if new is None and not deployment["spec"].get("paused"):
            try:
                new = await self._create(deployment, owned)
            except ApiError as error:
                self._event(deployment, WARNING, "ReplicaSetCreateError", error.message)
                return Observed(deployment, None, old, failure=error.message)
            created = True
        elif new is not None:
            await self._refresh(deployment, new, old)
        if new is not None:
            await self._mark_revision(deployment, new)
        await self._resize(deployment, new, old)
        await self._forget(deployment, old)
        _, old = split(deployment, self._sets.of(deployment["metadata"]["uid"]))
        return Observed(deployment, self._again(new), old, created)

    def _again(self, obj: Object | None) -> Object | None:
        return obj and self._cluster.get(REPLICA_SETS, *key_of(obj))

    async def _create(self, deployment: Object, owned: Sequence[Object]) -> Object:
        """The new ReplicaSet, with as many pods at once as the room allows."""
        reference = controller_reference(deployment)
        made = replica_set_of(deployment, owned, 0, reference)
        new = SetSize(made["metadata"]["name"], 0, 0, 0)
        sizes = self._sizes(deployment, new, [self._size_of(s) for s in owned])
        made["spec"]["replicas"] = sizes.get(new.name, 0)
        created = await self._cluster.create(REPLICA_SETS, made)
        self._scaled(deployment, new.name, 0, made["spec"]["replicas"])
        return created

    def _size_of(self, replica_set: Object) -> SetSize:
        """With the pods that still run, those on their way out included."""
        pods = [p for p in self._pods.of(replica_set["metadata"]["uid"]) if not is_over(p)]
        return replace(SetSize.of(replica_set), pods=len(pods))

    def _sizes(self, deployment: Object, new: SetSize, old: Sequence[SetSize]) -> dict[str, int]:
        room = limits(deployment["spec"])
        if _is_recreated(deployment):
            return recreate_sizes(room, new, old)
        return rolling_sizes(room, new, old)

    async def _resize(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> None:
        if new is None:
            return
        if deployment["spec"].get("paused") and any(s["spec"].get("replicas") for s in old):
            return
        every = {s["metadata"]["name"]: s for s in (new, *old)}
        sizes = self._sizes(deployment, SetSize.of(new), [self._size_of(s) for s in old])
        for name, size in sizes.items():
            await self._cluster.patch(
                REPLICA_SETS, *key_of(every[name]), {"spec": {"replicas": size}}, _MERGE
            )
            self._scaled(deployment, name, every[name]["spec"].get("replicas", 1), size)

    async def _refresh(self, deployment: Object, new: Object, old: Sequence[Object]) -> None:
        """Keep the current ReplicaSet's annotations and minReadySeconds as the Deployment's, and
        its revision the highest.
        """
        annotations = {
            **(new["metadata"].get("annotations") or {}),
            **copied_annotations(deployment),
        }
        if old and revision(new) < next_revision(old):
            annotations[REVISION_ANNOTATION] = str(next_revision(old))
        ready = deployment["spec"].get("minReadySeconds", 0)
        if annotations == (new["metadata"].get("annotations") or {}) and ready == new["spec"].get(
            "minReadySeconds", 0
        ):
            return
        patch = {"metadata": {"annotations": annotations}, "spec": {"minReadySeconds": ready}}
        await self._cluster.patch(REPLICA_SETS, *key_of(new), patch, _MERGE)

    async def _mark_revision(self, deployment: Object, new: Object) -> None:
        new = self._again(new) or new
        text = str(revision(new))
        if (deployment["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) != text:
            patch = {"metadata": {"annotations": {REVISION_ANNOTATION: text}}}
            await self._cluster.patch(DEPLOYMENTS, *key_of(deployment), patch, _MERGE)

    async def _forget(self, deployment: Object, old: Sequence[Object]) -> None:
        for name in forgotten(deployment, old):
            try:
                await self._cluster.delete(REPLICA_SETS, deployment["metadata"]["namespace"], name)
            except ApiError as error:
                if error.status != 404:
                    raise

    def _scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        if before != after:
            way = "up" if after > before else "down"
            text = f"Scaled {way} replica set {name} from {before} to {after}"
            self._event(deployment, NORMAL, "ScalingReplicaSet", text)

    def _event(self, deployment: Object, type_: str, reason: str, message: str) -> None:
        self._recorder.record(Happening(deployment, type_, reason, message), time.time())


def _is_recreated(deployment: Object) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
