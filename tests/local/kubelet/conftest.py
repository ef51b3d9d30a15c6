"""A node with a cluster around it, without controllers and without HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.kube.resources import EVENTS, NAMESPACES, PODS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.events import Recorder
from pilotlight_local.kubelet.images import ImageTable
from pilotlight_local.kubelet.kubelet import Kubelet
from pilotlight_local.kubelet.logs import LogStore
from pilotlight_local.kubelet.node import Node
from pilotlight_local.kubelet.processes import Supervisor
from pilotlight_local.network import Network

NAMESPACE = "test"
Object = dict[str, Any]


@dataclass
class Rig:
    """A running kubelet, and short words for what tests say often."""

    cluster: Cluster
    node: Node
    kubelet: Kubelet
    directory: Path
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for resource in (PODS, EVENTS):
            self.cluster.subscribe(resource, lambda *_: self._changed.set())

    def image(self, name: str, code: str, **entry: Any) -> str:
        """Make a Python program known as an image, and return the image's name."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / "main.py").write_text(code)
        path = self.directory / "images.yaml"
        known = yaml.safe_load(path.read_text()) if path.exists() else {}
        command = [sys.executable, "-S", "main.py"]
        known[name] = {"directory": name, "command": command, **entry}
        path.write_text(yaml.safe_dump(known))
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
        return name

    async def create(self, name: str, *containers: Object, **spec: Any) -> Object:
        annotations = spec.pop("annotations", {})
        return await self.cluster.create(
            PODS,
            {
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": {"app": name},
                    "annotations": annotations,
                },
                "spec": {"containers": list(containers), **spec},
            },
        )

    def pod(self, name: str) -> Object | None:
        return self.cluster.get(PODS, NAMESPACE, name)

    def container(self, name: str, index: int = 0) -> Object:
        """The status of a container of a pod, empty before there is one."""
        status = (self.pod(name) or {}).get("status") or {}
        found: list[Object] = status.get("containerStatuses") or []
        return found[index] if found else {}

    def state(self, name: str, index: int = 0) -> str:
        state: Object = self.container(name, index).get("state") or {}
        return next(iter(state), "")

    def reason(self, name: str, index: int = 0) -> str:
        state: Object = self.container(name, index).get("state") or {}
        return next((str(s.get("reason", "")) for s in state.values()), "")

    def is_ready(self, name: str) -> bool:
        conditions = ((self.pod(name) or {}).get("status") or {}).get("conditions") or []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def events(self, name: str) -> list[tuple[str, str]]:
        return [
            (e["reason"], e["message"])
            for e in self.cluster.list(EVENTS, NAMESPACE)
            if e["involvedObject"]["name"] == name
        ]

    async def until(self, holds: Callable[[], object], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def delete(self, name: str, grace: int | None = None) -> None:
        await self.cluster.delete(PODS, NAMESPACE, name, grace=grace)
        await self.until(lambda: self.pod(name) is None, 15)
        deadline = time.monotonic() + 5
        while any(pod.name == name for pod in self.kubelet.pods):
            assert time.monotonic() < deadline, "the kubelet still knows it"
            await asyncio.sleep(0.01)

    def output(self, name: str, container: str = "main", run: int = 0) -> str:
        """What a container has written so far."""
        uid = (self.pod(name) or {})["metadata"]["uid"]
        path = self.directory / "logs" / uid / container / f"{run}.log"
        text = path.read_text() if path.exists() else ""
        return "\n".join(line.split(" ", 3)[3] for line in text.splitlines())

    async def until_output(self, name: str, text: str, container: str = "main") -> None:
        deadline = time.monotonic() + 10
        while text not in self.output(name, container):
            assert time.monotonic() < deadline, self.output(name, container)
            await asyncio.sleep(0.01)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    cluster, network, supervisor = Cluster(), Network.claim(), Supervisor()
    await supervisor.start()
    recorder = Recorder(cluster, "kubelet", "local")
    events = asyncio.create_task(recorder.run())
    node = Node(
        name="local",
        capacity={"cpu": "2", "memory": "1Gi"},
        cluster=cluster,
        supervisor=supervisor,
        images=ImageTable([tmp_path / "images.yaml"]),
        logs=LogStore(tmp_path / "logs"),
        network=network,
        recorder=recorder,
        directory=tmp_path / "pods",
        environment={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        account_environment=lambda *_: {},
    )
    await cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    kubelet = Kubelet(node)
    kubelet.start()
    yield Rig(cluster, node, kubelet, tmp_path)
    await kubelet.stop()
    events.cancel()
    await asyncio.gather(events, return_exceptions=True)
    await supervisor.stop()
    network.close()
