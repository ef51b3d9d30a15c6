"""All controllers together."""

from __future__ import annotations

import asyncio

from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.controllers.defaults import Namespaces
from pilotlight_local.controllers.deployment import Deployments
from pilotlight_local.controllers.endpointslice import EndpointSlices
from pilotlight_local.controllers.replicaset import ReplicaSets
from pilotlight_local.events import Recorder


class Controllers:
    """Runs every controller, each as one task."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._running: list[Namespaces | Deployments | ReplicaSets | EndpointSlices] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._running = [
            Namespaces(self._cluster),
            Deployments(self._cluster, self._recorder),
            ReplicaSets(self._cluster, self._recorder),
            EndpointSlices(self._cluster),
        ]
        self._tasks = [
            asyncio.create_task(part.controller.run(), name=f"controller {part.controller.name}")
            for part in self._running
        ]

    async def stop(self, *names: str) -> None:
        """Stop the controllers of these names, all without any."""
        kept: list[Namespaces | Deployments | ReplicaSets | EndpointSlices] = []
        tasks: list[asyncio.Task[None]] = []
        ended: list[asyncio.Task[None]] = []
        for part, task in zip(self._running, self._tasks, strict=True):
            if names and part.controller.name not in names:
                kept.append(part)
                tasks.append(task)
                continue
            part.close()
            task.cancel()
            ended.append(task)
        self._running, self._tasks = kept, tasks
        await asyncio.gather(*ended, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until every controller has nothing to do."""
        for part in self._running:
            await part.controller.idle()
