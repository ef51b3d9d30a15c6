"""The whole autoscaler against a real API server, with reporters on real connections."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.config.leader_election import LeaderElection
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight.kube.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    POD_AUTOSCALERS,
    PODS,
    SECRETS,
)
from pilotlight.load import wire
from pilotlight.load.client import Reporter, ReporterSpec
from pilotlight.load.keys import revision_key
from pilotlight.load.wire import Greeting, PodState
from pilotlight_autoscaler.app import App, Options
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.server import ApiServer, ServerOptions

CRD = Path(__file__).parents[2] / "crds" / "podautoscalers.yaml"
SYSTEM = "knative-serving"
MASTER = os.urandom(32)
UID = "11111111-2222-3333-4444-555555555555"
REVISION = "hello-00001"
KEY = f"default/{REVISION}"
DEPLOYMENT = "hello-00001-deployment"
LABELS = {"serving.knative.dev/revision": REVISION, "app": REVISION}

Object = dict[str, Any]


@dataclass
class World:
    """An API server, a client of it, and an autoscaler."""

    server: ApiServer
    client: KubeClient
    app: App
    answers: list[wire.Frame] = field(default_factory=list)
    reporters: list[Reporter] = field(default_factory=list)

    async def revision(self, replicas: int = 1, **annotations: str) -> None:
        """Make what the operator makes for a Revision."""
        await self.client.create(DEPLOYMENTS, deployment(replicas))
        await self.client.create(POD_AUTOSCALERS, pod_autoscaler(annotations))
        await until(lambda: KEY in self.app.control.engine)

    async def pod(self, name: str) -> None:
        container = {"name": "user-container", "image": "x"}
        await self.client.create(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "labels": LABELS},
                "spec": {"containers": [container]},
            },
        )

    async def queue_proxy(self, pod: str) -> Reporter:
        greeting = Greeting("queue-proxy", "default", REVISION, UID, pod, "127.0.0.1:8012")
        key = revision_key(MASTER, "default", REVISION, UID)
        reporter = await self.reporter(greeting, key)
        reporter.broadcast(wire.encode_state(wire.State(PodState.READY, 1.0, 2.0)))
        return reporter

    async def activator(self) -> Reporter:
        return await self.reporter(Greeting("activator", "", "", "", "a-1", "127.0.0.1:1"), MASTER)

    async def reporter(self, greeting: Greeting, key: bytes) -> Reporter:
        async def here(_: str) -> list[str]:
            return ["127.0.0.1"]

        reporter = Reporter(
            ReporterSpec(
                f"autoscaler:{self.app.reports_port}",
                greeting,
                key,
                lambda: wire.encode_name(1, KEY),
                lambda _, frame: self.answers.append(frame),
                here,
            )
        )
        self.reporters.append(reporter)
        reporter.start()
        await until(lambda: bool(reporter.connected))
        return reporter

    async def replicas(self) -> int:
        found = await self.client.get(DEPLOYMENTS, "default", DEPLOYMENT)
        return int(found["spec"]["replicas"])

    async def becomes(self, replicas: int, within: float = 5) -> None:
        async with asyncio.timeout(within):
            while await self.replicas() != replicas:
                await asyncio.sleep(0.01)

    async def active(self, status: str, reason: str = "", within: float = 5) -> Object:
        """Wait until the condition Active is so, and return the PodAutoscaler's status."""
        async with asyncio.timeout(within):
            while True:
                found = await self.client.get(POD_AUTOSCALERS, "default", REVISION)
                conditions = (found.get("status") or {}).get("conditions") or ()
                for condition in conditions:
                    if (condition["type"], condition["status"], condition.get("reason", "")) == (
                        "Active",
                        status,
                        reason,
                    ):
                        return dict(found["status"])
                await asyncio.sleep(0.01)


def deployment(replicas: int) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT, "namespace": "default", "labels": LABELS},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"containers": [{"name": "user-container", "image": "x"}]},
            },
        },
    }


def pod_autoscaler(annotations: dict[str, str]) -> Object:
    notes = {"autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"}
    notes |= {f"autoscaling.knative.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    owner = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "name": REVISION,
        "uid": UID,
    }
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": REVISION,
            "namespace": "default",
            "annotations": notes,
            "ownerReferences": [owner],
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": DEPLOYMENT,
            },
            "protocolType": "http1",
            "reachability": "Reachable",
        },
    }


async def until(condition: Callable[[], bool], within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.002)


async def install(client: KubeClient) -> None:
    """What the autoscaler finds on every cluster."""
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, yaml.safe_load(CRD.read_text()))
    await client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    )
    await client.create(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "pilotlight-keys", "namespace": SYSTEM},
            "data": {"master": base64.b64encode(MASTER.hex().encode()).decode()},
        },
    )
    await client.create(CONFIG_MAPS, config({}))


def config(data: dict[str, str], name: str = "config-autoscaler") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": SYSTEM},
        "data": data,
    }


@asynccontextmanager
async def running(
    client: KubeClient, identity: str = "one", *, leading: bool = True
) -> AsyncIterator[App]:
    options = Options(bind="127.0.0.1", reports_port=0, admin_port=0, identity=identity)
    app, stop = App(client, options), asyncio.Event()
    task = asyncio.get_running_loop().create_task(app.run(stop))
    try:
        await until(lambda: app.reports_port > 0 and app.trouble() is None)
        await until(lambda: app.control.engine.leading == leading)
        yield app
    finally:
        stop.set()
        await task


def lease(holder: str, seconds: int) -> Object:
    """As one holds it that will not be heard of again."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "autoscaler", "namespace": SYSTEM},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        },
    }


@asynccontextmanager
async def standing_by(seconds: int) -> AsyncIterator[World]:
    """An autoscaler that is not the leader for so long, and the leader does nothing."""
    server = ApiServer(Cluster(), ServerOptions())
    await server.start()
    try:
        async with KubeClient(KubeConfig(server.url)) as client:
            await install(client)
            await client.create(LEASES, lease("silent", seconds))
            async with running(client, leading=False) as app:
                world = World(server, client, app)
                yield world
                for reporter in world.reporters:
                    await reporter.close()
    finally:
        await server.stop()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = ApiServer(Cluster(), ServerOptions())
    await server.start()
    try:
        async with KubeClient(KubeConfig(server.url)) as client:
            await install(client)
            async with running(client) as app:
                world = World(server, client, app)
                yield world
                for reporter in world.reporters:
                    await reporter.close()
    finally:
        await server.stop()


async def test_a_new_revision_becomes_active_with_its_first_pod(world: World) -> None:
    await world.revision()
    status = await world.active("Unknown", "Queued")
    assert status["serviceName"] == REVISION
    assert status["actualScale"] == 0
    await world.queue_proxy("pod-1")
    status = await world.active("True")
    assert (status["actualScale"], status["observedGeneration"]) == (1, 1)
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Active": "True",
        "Ready": "True",
        "SKSReady": "True",
        "ScaleTargetInitialized": "True",
    }


async def test_a_waiting_request_starts_a_pod_at_once(world: World) -> None:
    await world.revision(replicas=0, initial_scale="1")
    activator = await world.activator()
    asked = world.app.clock()
    activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
    await world.becomes(1)
    await until(lambda: bool(world.answers))
    answer = world.answers[0]
    assert isinstance(answer, wire.Decided)
    assert asked <= answer.decided_at <= answer.patched_at
    assert answer.patched_at - asked < 1.0
    await world.active("Unknown", "Queued")


async def test_an_idle_revision_goes_to_zero_and_wakes_again(world: World) -> None:
    await world.revision(window="6s")
    await world.pod("pod-1")
    await world.queue_proxy("pod-1")
    await world.active("True")
    await world.becomes(0, within=14)
    status = await world.active("False", "NoTraffic")
    assert status["desiredScale"] == 0
    activator = await world.activator()
    activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
    await world.becomes(1)


async def test_load_scales_out_and_min_and_max_hold(world: World) -> None:
    await world.revision(min_scale="2", max_scale="5", target="10")
    await world.becomes(2)
    proxy = await world.queue_proxy("pod-1")
    for _ in range(4):
        proxy.broadcast(wire.encode_load(wire.Load(1, 900.0, 1.0, 900, 900)))
        await asyncio.sleep(0.5)
    await world.becomes(5)
    explained = world.app._explain(KEY)[1]
    assert explained["present"]["rule"] == "max-scale"


async def test_pods_are_named_before_they_are_taken_away(world: World) -> None:
    await world.revision(replicas=2, min_scale="2", window="6s")
    for pod, load in (("pod-1", 0.0), ("pod-2", 3.0)):
        await world.pod(pod)
        proxy = await world.queue_proxy(pod)
        proxy.broadcast(wire.encode_load(wire.Load(1, load, 1.0, 1, 1)))
    await world.active("True")
    autoscaler = await world.client.get(POD_AUTOSCALERS, "default", REVISION)
    autoscaler["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] = "1"
    await world.client.replace(POD_AUTOSCALERS, autoscaler)
    await world.becomes(1, within=20)
    costs = {}
    for pod in ("pod-1", "pod-2"):
        metadata = (await world.client.get(PODS, "default", pod))["metadata"]
        annotations = metadata.get("annotations") or {}
        costs[pod] = annotations.get("controller.kubernetes.io/pod-deletion-cost", "0")
    assert costs == {"pod-1": "-1000", "pod-2": "0"}


async def test_settings_are_taken_in_while_running(world: World) -> None:
    await world.revision()
    await world.client.replace(CONFIG_MAPS, config({"min-scale": "3"}))
    await world.becomes(3)
    await world.client.replace(CONFIG_MAPS, config({"min-scale": "many"}))
    await until(lambda: bool(world.app.watches.config_errors))
    assert "min-scale" in world.app.watches.config_errors["config-autoscaler"]
    assert world.app.control.engine.spec(KEY).min == 3
    await world.client.replace(CONFIG_MAPS, config({"min-scale": "4"}))
    await world.becomes(4)
    assert world.app.watches.config_errors == {}


async def test_other_classes_are_left_alone(world: World) -> None:
    await world.revision()
    autoscaler = await world.client.get(POD_AUTOSCALERS, "default", REVISION)
    autoscaler["metadata"]["annotations"]["autoscaling.knative.dev/class"] = (
        "hpa.autoscaling.knative.dev"
    )
    await world.client.replace(POD_AUTOSCALERS, autoscaler)
    await until(lambda: KEY not in world.app.control.engine)


async def test_a_deleted_revision_is_forgotten(world: World) -> None:
    await world.revision()
    await world.client.delete(POD_AUTOSCALERS, "default", REVISION)
    await until(lambda: KEY not in world.app.control.engine)
    assert world.app.control.targets == {}


async def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    await world.revision(min_scale="1")
    await world.queue_proxy("pod-1")
    await world.active("True")
    before = world.app.writer.statuses.sent, world.app.writer.replicas.sent
    await asyncio.sleep(4.5)
    assert (world.app.writer.statuses.sent, world.app.writer.replicas.sent) == before


async def test_an_autoscaler_that_starts_anew_keeps_what_is_there(world: World) -> None:
    """It knows nothing but what the API shows, and goes on as the pod that it was before."""
    await world.revision(replicas=4, initial_scale="4")
    for number in range(4):
        await world.pod(f"pod-{number}")
        await world.queue_proxy(f"pod-{number}")
    await world.active("True")
    async with KubeClient(KubeConfig(world.server.url)) as client, running(client) as fresh:
        await until(lambda: KEY in fresh.control.engine)
        ticks = fresh.clock()
        await until(lambda: fresh._ticked_at > ticks + 2, within=8)
        assert fresh.control.engine.leading
        assert fresh.writer.replicas.sent == 0


async def test_a_standby_wakes_what_sleeps_and_writes_nothing_else() -> None:
    async with standing_by(3600) as world:
        await world.revision(replicas=0, initial_scale="1", target="1")
        activator = await world.activator()
        asked = world.app.clock()
        activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
        await world.becomes(1, within=1.0)
        await until(lambda: bool(world.answers))
        answer = world.answers[0]
        assert isinstance(answer, wire.Decided)
        assert asked <= answer.decided_at <= answer.patched_at
        # Load that asks for much more, and a min-scale besides.
        autoscaler = await world.client.get(POD_AUTOSCALERS, "default", REVISION)
        autoscaler["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] = "3"
        await world.client.replace(POD_AUTOSCALERS, autoscaler)
        proxy = await world.queue_proxy("pod-1")
        for _ in range(3):
            proxy.broadcast(wire.encode_load(wire.Load(1, 900.0, 1.0, 900, 900)))
            await asyncio.sleep(1.0)
        assert world.app.control.engine.explain(KEY, world.app.clock()).desired > 1
        assert await world.replicas() == 1
        assert "status" not in await world.client.get(POD_AUTOSCALERS, "default", REVISION)
        assert world.app.writer.statuses.sent == 0


async def test_a_standby_that_comes_second_does_not_undo_what_the_first_did() -> None:
    async with standing_by(3600) as world:
        await world.revision(replicas=0)
        activator = await world.activator()
        control, looks = world.app.control, 0
        real = control.asleep

        def asleep(key: str) -> str | None:
            """What it knows is outdated once: another has been faster."""
            nonlocal looks
            looks += 1
            return "1" if looks == 1 else real(key)

        control.asleep = asleep  # type: ignore[method-assign]
        activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
        await world.client.scale(DEPLOYMENTS, "default", DEPLOYMENT, 3)
        await until(lambda: looks == 2 and KEY not in world.app.writer.replicas)
        assert await world.replicas() == 3
        assert world.app.writer.replicas.sent == 0
        assert world.app.writer.trouble is None
        assert world.answers == [], "who was faster answers"


async def test_a_standby_takes_over_and_moves_nothing() -> None:
    """It has heard the reporters all along, and catches up with what nobody has written."""
    async with standing_by(4) as world:
        world.app.watches.election = LeaderElection(4.0, 3.0, 0.2)
        await world.revision(replicas=3, initial_scale="3", target="10")
        proxies = []
        for number in range(3):
            await world.pod(f"pod-{number}")
            proxies.append(await world.queue_proxy(f"pod-{number}"))

        async def load() -> None:
            while True:
                for proxy in proxies:
                    proxy.broadcast(wire.encode_load(wire.Load(1, 6.5, 1.0, 6, 6)))
                await asyncio.sleep(1.0)

        task = asyncio.create_task(load())
        await until(lambda: world.app.control.engine.leading, within=8)
        status = await world.active("True")
        assert status["actualScale"] == 3
        taken = world.app.clock()
        await until(lambda: world.app._ticked_at > taken + 3, within=8)
        assert world.app.writer.replicas.sent == 0
        assert await world.replicas() == 3
        task.cancel()


async def test_a_leader_without_the_api_stands_by_and_still_wakes_when_it_is_back() -> None:
    cluster = Cluster()
    server = ApiServer(cluster, ServerOptions())
    await server.start()
    port = server.port
    async with KubeClient(KubeConfig(server.url)) as client:
        await install(client)
        election = {"lease-duration": "4s", "renew-deadline": "2s", "retry-period": "200ms"}
        await client.create(CONFIG_MAPS, config(election, "config-leader-election"))
        async with running(client) as app:
            world = World(server, client, app)
            await world.revision(replicas=0)
            activator = await world.activator()
            await server.stop()
            activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
            await until(lambda: not app.control.engine.leading)
            assert app._live() is None
            server = ApiServer(cluster, ServerOptions(port=port))
            await server.start()
            await world.becomes(1)
            await until(lambda: app.control.engine.leading)
            await until(lambda: bool(world.answers))
            await activator.close()
    await server.stop()


async def test_it_goes_on_when_the_api_comes_back() -> None:
    cluster = Cluster()
    server = ApiServer(cluster, ServerOptions())
    await server.start()
    port = server.port
    async with KubeClient(KubeConfig(server.url)) as client:
        await install(client)
        async with running(client) as app:
            world = World(server, client, app)
            await world.revision(replicas=0)
            activator = await world.activator()
            await server.stop()
            activator.broadcast(wire.encode_waiting(wire.Waiting(1, 1)))
            await until(lambda: app.writer.replicas.trouble is not None)
            assert app.trouble() is not None
            assert app._live() is None
            server = ApiServer(cluster, ServerOptions(port=port))
            await server.start()
            await world.becomes(1)
            await until(lambda: app.trouble() is None, within=10)
            await activator.close()
    await server.stop()
