"""Logs of pods as the API serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pilotlight.kube.resources import PODS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.podlog import LogRequest
from pilotlight_local.kubelet.logs import LogOptions, LogStore


class PodLogs:
    """Finds the log of a container of a pod."""

    def __init__(self, cluster: Cluster, store: LogStore) -> None:
        self._cluster = cluster
        self._store = store

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """The pieces of the log. Raises ApiError when it cannot be had, before the first."""
        found = self._cluster.get(PODS, request.namespace, request.pod)
        if found is None:
            raise ApiError(404, "NotFound", f'pods "{request.pod}" not found')
        uid = found["metadata"]["uid"]
        if not self._store.has(uid, request.container, request.previous):
            where = f'container "{request.container}" in pod "{request.pod}"'
            text = f"{where} is waiting to start"
            if request.previous:
                text = f"previous terminated {where} not found"
            raise ApiError(400, "BadRequest", text)
        options = LogOptions(
            follow=request.follow,
            tail=request.tail,
            since_ns=int(request.since.timestamp() * 1e9) if request.since else None,
            timestamps=request.timestamps,
            previous=request.previous,
        )
        async for piece in self._store.read(uid, request.container, options):
            yield piece
