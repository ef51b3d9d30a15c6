"""The kubelet: every pod of the cluster is run on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from pilotlight.kube.resources import CONFIG_MAPS, PODS, SECRETS
from pilotlight_local.kubelet.node import Node
from pilotlight_local.kubelet.pod import Pod
from pilotlight_local.network import NetworkError

_log: Final = logging.getLogger("kubelet")
_KILL_S: Final = 5.0


class Kubelet:
    """Takes up each pod as it appears, and lets go of it when it is gone."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pods: dict[str, Pod] = {}
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        cluster = self._node.cluster
        self._unsubscribe = [
            cluster.subscribe(PODS, self._on_pod),
            cluster.subscribe(CONFIG_MAPS, self._on_configuration),
            cluster.subscribe(SECRETS, self._on_configuration),
        ]
        for pod in cluster.list(PODS):
            self._on_pod("ADDED", pod, None)

    async def stop(self) -> None:
        """Kill what still runs. Whoever wants pods to end in peace deletes them before."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        pods = list(self._pods.values())
        await asyncio.wait_for(asyncio.gather(*(pod.kill() for pod in pods)), _KILL_S)

    @property
    def pods(self) -> list[Pod]:
        return list(self._pods.values())

    def find(self, namespace: str, name: str) -> Pod | None:
        return next(
            (p for p in self._pods.values() if (p.namespace, p.name) == (namespace, name)), None
        )

    def _on_pod(self, type_: str, obj: dict[str, Any], _old: dict[str, Any] | None) -> None:
        uid = obj["metadata"]["uid"]
        pod = self._pods.get(uid)
        if type_ == "DELETED":
            if pod is not None:
                pod.gone()
            return
        if pod is not None:
            pod.update(obj)
            return
        assigned = obj["spec"].get("nodeName")
        if assigned and assigned != self._node.name:
            return
        self._take_up(uid, obj)

    def _take_up(self, uid: str, obj: dict[str, Any]) -> None:
        try:
            pod = Pod(obj, self._node, self._forget)
        except NetworkError as error:
            _log.error("pod cannot be run", extra={"error": str(error)})
            return
        self._pods[uid] = pod
        pod.start()

    def _forget(self, pod: Pod) -> None:
        self._pods.pop(pod.uid, None)

    def _on_configuration(
        self, _type: str, obj: dict[str, Any], _old: dict[str, Any] | None
    ) -> None:
        for pod in self._pods.values():
            if pod.namespace == obj["metadata"]["namespace"]:
                pod.reconsider()
