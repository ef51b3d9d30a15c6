"""The controllers on a cluster whose pods become ready when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pilotlight.kube.resources import (
    CORE_SERVICES,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
)
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.controllers.defaults import create_defaults
from pilotlight_local.controllers.manager import Controllers
from pilotlight_local.events import Recorder

NAMESPACE = "default"
Object = dict[str, Any]


@dataclass
class World:
    """A cluster without a kubelet: the test plays it."""

    cluster: Cluster
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for resource in (PODS, DEPLOYMENTS, REPLICA_SETS, ENDPOINT_SLICES, EVENTS):
            self.cluster.subscribe(resource, lambda *_: self._changed.set())

    def pods(self) -> list[Object]:
        return [p for p in self.cluster.list(PODS, NAMESPACE) if not _is_leaving(p)]

    def images(self) -> list[str]:
        return sorted(p["spec"]["containers"][0]["image"] for p in self.pods())

    def deployment(self) -> Object:
        found = self.cluster.get(DEPLOYMENTS, NAMESPACE, "d")
        assert found is not None
        return found

    def condition(self, kind: str) -> Object:
        conditions = (self.deployment().get("status") or {}).get("conditions") or []
        return next((c for c in conditions if c["type"] == kind), {})

    def slices(self) -> list[Object]:
        return self.cluster.list(ENDPOINT_SLICES, NAMESPACE)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def ready(self, *pods: Object, status: str = "True") -> None:
        for number, pod in enumerate(pods or self.pods()):
            condition = {
                "type": "Ready",
                "status": status,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            made = {"phase": "Running", "podIP": f"127.9.0.{number + 2}", "conditions": [condition]}
            await self.cluster.patch(
                PODS, NAMESPACE, pod["metadata"]["name"], {"status": made}, subresource="status"
            )

    async def deploy(self, replicas: int = 2, image: str = "one", **spec: Any) -> None:
        template = {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": image}]},
        }
        obj = {
            "metadata": {"name": "d", "namespace": NAMESPACE},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "x"}},
                "template": template,
                **spec,
            },
        }
        await self.cluster.patch(
            DEPLOYMENTS, NAMESPACE, "d", {**obj, **TYPE}, "apply", manager="test"
        )


TYPE = {"apiVersion": "apps/v1", "kind": "Deployment"}


def _is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    cluster = Cluster()
    recorder = Recorder(cluster, "controller-manager", "local")
    events = asyncio.create_task(recorder.run())
    await create_defaults(cluster, "127.9.0.1")
    controllers = Controllers(cluster, recorder)
    controllers.start()
    yield World(cluster)
    await controllers.stop()
    events.cancel()
    await asyncio.gather(events, return_exceptions=True)


async def test_first_rollout(world: World) -> None:
    await world.deploy(3)
    await world.until(lambda: len(world.pods()) == 3)
    await world.until(lambda: world.condition("Progressing").get("reason") == "ReplicaSetUpdated")
    assert world.condition("Available")["status"] == "False"
    await world.ready()
    await world.until(lambda: world.condition("Progressing")["reason"] == "NewReplicaSetAvailable")
    status = world.deployment()["status"]
    assert status["availableReplicas"] == status["readyReplicas"] == status["replicas"] == 3
    assert status["observedGeneration"] == world.deployment()["metadata"]["generation"]
    (owner,) = world.pods()[0]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
    await world.until(
        lambda: any(e["reason"] == "ScalingReplicaSet" for e in world.cluster.list(EVENTS))
    )


async def test_rolling_update_waits_for_each_new_pod(world: World) -> None:
    room = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await world.deploy(2, strategy=room)
    await world.until(lambda: len(world.pods()) == 2)
    await world.ready()
    await world.until(lambda: world.condition("Available").get("status") == "True")
    await world.deploy(2, "two", strategy=room)
    await world.until(lambda: world.images() == ["one", "one", "two"])
    for expected in (["one", "two", "two"], ["two", "two"]):
        await world.ready()
        await world.until(lambda expected=expected: world.images() == expected)  # type: ignore[misc]
    await world.ready()
    await world.until(lambda: world.condition("Progressing")["reason"] == "NewReplicaSetAvailable")
    annotations = world.deployment()["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "2"
    assert len(world.cluster.list(REPLICA_SETS, NAMESPACE)) == 2


async def test_the_way_back_uses_the_old_replica_set(world: World) -> None:
    await world.deploy(1)
    await world.until(lambda: world.images() == ["one"])
    await world.ready()
    await world.deploy(1, "two")
    await world.until(lambda: "two" in world.images())
    await world.ready()
    await world.until(lambda: world.images() == ["two"])
    await world.deploy(1, "one")
    await world.until(lambda: "one" in world.images())
    assert len(world.cluster.list(REPLICA_SETS, NAMESPACE)) == 2
    await world.until(
        lambda: (
            world.deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            == "3"
        )
    )


async def test_no_history_is_kept_when_none_is_asked_for(world: World) -> None:
    await world.deploy(1, revisionHistoryLimit=0)
    await world.until(lambda: world.images() == ["one"])
    await world.ready()
    await world.deploy(1, "two", revisionHistoryLimit=0)
    await world.until(lambda: "two" in world.images())
    await world.ready()
    await world.until(lambda: len(world.cluster.list(REPLICA_SETS, NAMESPACE)) == 1)


async def test_scaling_gives_up_the_cheapest(world: World) -> None:
    await world.deploy(3)
    await world.until(lambda: len(world.pods()) == 3)
    await world.ready()
    dear = world.pods()[1]["metadata"]["name"]
    for pod in world.pods():
        cost = "100" if pod["metadata"]["name"] == dear else "1"
        annotations = {"controller.kubernetes.io/pod-deletion-cost": cost}
        await world.cluster.patch(
            PODS, NAMESPACE, pod["metadata"]["name"], {"metadata": {"annotations": annotations}}
        )
    await world.cluster.patch(
        DEPLOYMENTS, NAMESPACE, "d", {"spec": {"replicas": 1}}, subresource="scale"
    )
    await world.until(lambda: [p["metadata"]["name"] for p in world.pods()] == [dear])
    await world.deploy(0)
    await world.until(lambda: not world.pods())


async def test_deadline(world: World) -> None:
    await world.deploy(1, progressDeadlineSeconds=1, minReadySeconds=0)
    await world.until(lambda: world.condition("Progressing").get("reason") == "ReplicaSetUpdated")
    await world.until(
        lambda: world.condition("Progressing")["reason"] == "ProgressDeadlineExceeded"
    )
    assert world.condition("Progressing")["status"] == "False"


async def test_paused_does_nothing(world: World) -> None:
    await world.deploy(1)
    await world.until(lambda: world.images() == ["one"])
    await world.deploy(1, "two", paused=True)
    await world.until(lambda: world.condition("Progressing").get("reason") == "DeploymentPaused")
    assert world.images() == ["one"]
    await world.deploy(1, "two", paused=False)
    await world.until(lambda: "two" in world.images())


async def test_recreate_waits_until_the_old_pods_are_gone(world: World) -> None:
    await world.deploy(1, strategy={"type": "Recreate"})
    await world.until(lambda: world.images() == ["one"])
    await world.ready()
    old = world.pods()[0]["metadata"]["name"]
    await world.cluster.patch(PODS, NAMESPACE, old, {"spec": {"nodeName": "local"}})
    await world.deploy(1, "two", strategy={"type": "Recreate"})
    await world.until(lambda: world.pods() == [])
    async with asyncio.timeout(5):
        while len(world.cluster.list(REPLICA_SETS, NAMESPACE)) < 2:
            await asyncio.sleep(0)
    assert world.cluster.get(PODS, NAMESPACE, old) is not None, "it is ending"
    for _ in range(100):
        await asyncio.sleep(0)
        assert world.pods() == []
    await world.cluster.delete(PODS, NAMESPACE, old, grace=0)
    await world.until(lambda: world.images() == ["two"])


async def test_a_lost_pod_is_replaced(world: World) -> None:
    await world.deploy(1)
    await world.until(lambda: len(world.pods()) == 1)
    name = world.pods()[0]["metadata"]["name"]
    await world.cluster.delete(PODS, NAMESPACE, name, grace=0)
    await world.until(lambda: world.pods() and world.pods()[0]["metadata"]["name"] != name)


async def test_endpoint_slices_follow_pods(world: World) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8012}]
    service = {
        "metadata": {"name": "s", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "x"}, "ports": ports},
    }
    await world.cluster.create(CORE_SERVICES, service)
    await world.until(lambda: len(world.slices()) == 1)
    assert not world.slices()[0].get("endpoints")
    await world.deploy(2)
    await world.until(lambda: len(world.pods()) == 2)
    await world.ready(world.pods()[0])

    def addresses() -> list[str]:
        found = world.slices()[0].get("endpoints") or []
        return [e["addresses"][0] for e in found if e["conditions"]["ready"]]

    await world.until(lambda: addresses() == ["127.9.0.2"])
    await world.ready(world.pods()[0], status="False")
    await world.until(lambda: addresses() == [])
    (found,) = world.slices()
    await world.cluster.delete(ENDPOINT_SLICES, NAMESPACE, found["metadata"]["name"])
    await world.until(lambda: len(world.slices()) == 1)
    await world.cluster.patch(CORE_SERVICES, NAMESPACE, "s", {"spec": {"selector": {"app": "y"}}})
    await world.until(lambda: world.slices() and not world.slices()[0].get("endpoints"))


async def test_namespaces_have_an_account(world: World) -> None:
    await world.cluster.create(NAMESPACES, {"metadata": {"name": "mine"}})
    async with asyncio.timeout(5):
        while world.cluster.get(SERVICE_ACCOUNTS, "mine", "default") is None:
            await asyncio.sleep(0)
    for name in ("default", "kube-system", "kube-public", "knative-serving"):
        assert world.cluster.get(SERVICE_ACCOUNTS, name, "default") is not None
