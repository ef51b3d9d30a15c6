"""One pod's life: volumes, init containers, containers, status, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pilotlight.kube.resources import PODS
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.events import NORMAL, WARNING, Happening
from pilotlight_local.kubelet.container import Container
from pilotlight_local.kubelet.environment import ConfigurationError, Facts, Object
from pilotlight_local.kubelet.node import Node
from pilotlight_local.kubelet.ports import rewrite_ports
from pilotlight_local.kubelet.state import INITIALIZING, PodState, Terminated, pod_status
from pilotlight_local.kubelet.volumes import materialise, volume_files

_log: Final = logging.getLogger("kubelet")
_RETRY_VOLUMES_S: Final = 5.0
_RETRY_API_S: Final = 1.0
_DEFAULT_GRACE_S: Final = 30


class Pod:
    """Runs a pod from its creation until it is gone from the API."""

    def __init__(self, pod: Object, node: Node, on_gone: Callable[[Pod], None]) -> None:
        self.pod = pod
        self.node = node
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self.restart_policy: str = pod["spec"].get("restartPolicy", "Always")
        self.directories: dict[str, Path] = {}
        address = node.network.take_address()
        self.facts = Facts(address, node.network.node_address, node.name, node.capacity)
        rewritten = rewrite_ports(pod["spec"], node.network.free_port)
        self.own_ports = frozenset(given for _, given in rewritten.ports.values())
        self.spec = rewritten.spec
        self._inits = [Container(c, self, init=True) for c in self.spec.get("initContainers") or []]
        self._containers = [Container(c, self) for c in self.spec["containers"]]
        if self._inits:
            for container in self._containers:
                container.state = container.state.waiting(INITIALIZING.reason)
        self._on_gone = on_gone
        self._started_at = time.time()
        self._dirty = asyncio.Event()
        self._wake = asyncio.Event()
        self._deadline: float | None = None  # of the loop's clock, once it is being stopped
        self._status: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopper: asyncio.Task[None] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        name = f"{self.namespace}/{self.name}"
        self._tasks = [
            loop.create_task(self._run(), name=f"pod {name}"),
            loop.create_task(self._publish_all(), name=f"status of pod {name}"),
        ]
        if self.pod["metadata"].get("deletionTimestamp"):
            self.update(self.pod)

    @property
    def containers(self) -> list[Container]:
        return [*self._inits, *self._containers]

    def changed(self) -> None:
        """A container's state has changed: the status is written as soon as the loop turns."""
        self._dirty.set()

    def event(self, type_: str, reason: str, message: str, container: str = "") -> None:
        field = f"spec.containers{{{container}}}" if container else ""
        self.node.recorder.record(
            Happening(_reference(self.pod), type_, reason, message, field), time.time()
        )

    def update(self, pod: Object) -> None:
        """The object in the API has changed."""
        self.pod = pod
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            grace = metadata.get("deletionGracePeriodSeconds", _DEFAULT_GRACE_S)
            self._stop(grace)

    def gone(self) -> None:
        """The object has been removed from the API, by force: end everything now."""
        self._stop(0)

    def reconsider(self) -> None:
        """A ConfigMap or a Secret of the namespace has changed."""
        self._wake.set()
        for container in self.containers:
            container.reconsider()

    async def kill(self) -> None:
        """End without any grace and without a word to the API."""
        tasks = [*self._tasks, *([self._stopper] if self._stopper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clean_up()

    def _stop(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        if self._deadline is None:
            self._deadline = deadline
            name = f"stop of pod {self.namespace}/{self.name}"
            self._stopper = loop.create_task(self._terminate(), name=name)
        self._deadline = min(self._deadline, deadline)

    async def _terminate(self) -> None:
        self._wake.set()
        deadline = lambda: self._deadline or 0.0  # noqa: E731 - read anew at each step
        async with asyncio.TaskGroup() as group:
            for container in self.containers:
                group.create_task(
                    container.terminate(deadline), name=f"stop of container {container.name}"
                )
        run, publish = self._tasks
        await asyncio.wait([run])
        publish.cancel()
        await asyncio.gather(publish, return_exceptions=True)
        await self._publish()
        await self._remove()
        self._clean_up()

    async def _remove(self) -> None:
        while True:
            try:
                await self.node.cluster.delete(
                    PODS, self.namespace, self.name, grace=0, precondition_uid=self.uid
                )
                return
            except ApiError as error:
                if error.status in (404, 409):
                    return  # gone already, or another pod has its name
                _log.warning("pod cannot be deleted", extra={"error": error.message})
                await asyncio.sleep(_RETRY_API_S)

    def _clean_up(self) -> None:
        self.node.network.give_back(self.facts.pod_ip)
        shutil.rmtree(self.node.directory / self.uid, ignore_errors=True)
        self.node.logs.remove(self.uid)
        self._on_gone(self)

    async def _run(self) -> None:
        """Everything up to the end of the last container; each part returns early when stopped."""
        await self._prepare_volumes()
        if not self._is_stopping and not await self._run_inits():
            return
        if self._is_stopping:
            return
        async with asyncio.TaskGroup() as group:
            for container in self._containers:
                group.create_task(container.run(), name=f"container {container.name}")
                await container.attempted.wait()

    @property
    def _is_stopping(self) -> bool:
        return self._deadline is not None

    async def _prepare_volumes(self) -> None:
        sources = self.node.sources(self.namespace)
        directory = self.node.directory / self.uid
        while not self._is_stopping:
            try:
                for volume in self.spec.get("volumes") or []:
                    files = volume_files(volume, self.pod, self.facts, sources)
                    self.directories[volume["name"]] = materialise(volume, files, directory)
                return
            except (ConfigurationError, OSError) as error:
                self.event(WARNING, "FailedMount", f"MountVolume.SetUp failed: {error}")
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _RETRY_VOLUMES_S)
            except TimeoutError:
                pass

    async def _run_inits(self) -> bool:
        """The init containers, one after the other. Whether the others may start."""
        for container in self._inits:
            await container.run()
            status = container.state.status
            if not isinstance(status, Terminated) or status.exit_code:
                return False
        return True

    async def _publish_all(self) -> None:
        self.event(
            NORMAL, "Scheduled", f"Successfully assigned {self._full_name} to {self.node.name}"
        )
        await self._bind()
        self._dirty.set()
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._publish()

    @property
    def _full_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    async def _bind(self) -> None:
        if self.pod["spec"].get("nodeName"):
            return
        try:
            await self.node.cluster.patch(
                PODS,
                self.namespace,
                self.name,
                {"spec": {"nodeName": self.node.name}},
                "application/merge-patch+json",
            )
        except ApiError as error:
            if error.status != 404:
                _log.warning("pod cannot be bound", extra={"error": error.message})

    async def _publish(self) -> None:
        """Write the status if it differs from what was written last."""
        states = PodState(
            [container.state for container in self._containers],
            [container.state for container in self._inits],
            self._started_at,
            self._status,
            self._is_stopping,
        )
        status = pod_status(self.pod["spec"], states, self.facts, time.time())
        current = self.node.cluster.get(PODS, self.namespace, self.name)
        if status == self._status or current is None or current["metadata"]["uid"] != self.uid:
            return
        metadata = {k: v for k, v in current["metadata"].items() if k != "resourceVersion"}
        obj = {**current, "metadata": metadata, "status": status}
        try:
            await self.node.cluster.update_status(PODS, obj)
            self._status = status
        except ApiError as error:
            if error.status == 404:
                return
            _log.warning("pod status cannot be written", extra={"error": error.message})
            await asyncio.sleep(_RETRY_API_S)
            self._dirty.set()


def _reference(pod: Object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}
