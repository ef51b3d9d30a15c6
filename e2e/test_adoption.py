"""Pilotlight comes to a cluster on which Knative Serving has been, takes over, and goes again.

The tests of this file are steps of one way and run in their order. Knative's objects are as it
leaves them, its own components and its queue-proxy are stand-ins.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from e2e import migration
from e2e.conftest import fresh_namespace
from e2e.harness import (
    CONFIG_MAP,
    CORE_SERVICE,
    CRD,
    DEPLOYMENT,
    ENDPOINTS,
    IMAGE,
    INGRESS,
    POD,
    READY_S,
    REVISION,
    ROUTE,
    SECRET,
    SERVICE,
    SYSTEM,
    Cluster,
    Deployed,
    Gateway,
    Kind,
    Object,
    condition_of,
    is_ready,
    wait_until,
)
from e2e.knative.past import INGRESS_FINALIZER, KOURIER, Legacy, Past
from e2e.knative.system import control_plane, definitions, webhooks
from e2e.knative.tree import leave
from e2e.kubectl import Kubectl
from e2e.local_harness import asking
from pilotlight import names
from pilotlight.api import queue_proxies

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kubectl,
    pytest.mark.alone,
    pytest.mark.timeout(300),
]

COMPONENT: Final = names.COMPONENT_LABEL
KNATIVE_POD: Final = f"app in (activator, autoscaler),!{COMPONENT}"
GONE_S: Final = 60.0
WINDOW: Final = {"autoscaling.knative.dev/window": "6s"}
LEAST: Final = "autoscaling.knative.dev/min-scale"
TARGET: Final = {"autoscaling.knative.dev/target": "2", LEAST: "1", **WINDOW}
NAMES: Final = ("asleep", "awake", "split", "steady")
REVISIONS: Final = ["asleep-00001", "awake-00001", "split-00001", "split-00002", "steady-00001"]


@dataclass
class World:
    """A cluster with what Knative has left on it."""

    cluster: Cluster
    kubectl: Kubectl
    gateway: Gateway
    namespace: str
    manifests: list[Object]
    left: list[Object] = field(default_factory=list)
    pod: Object = field(default_factory=dict)
    """The one that ran before."""

    def service(self, name: str) -> Deployed:
        return Deployed(self.cluster, self.gateway, self.namespace, name)

    def now(self, obj: Object) -> Object | None:
        return self.cluster.get(
            _kind(obj), obj["metadata"].get("namespace"), obj["metadata"]["name"]
        )

    def deployment(self, revision: str) -> Object:
        found = self.cluster.get(DEPLOYMENT, self.namespace, f"{revision}-deployment")
        assert found is not None
        return found

    def revisions(self) -> list[str]:
        found = self.cluster.list(REVISION, self.namespace)
        return sorted(revision["metadata"]["name"] for revision in found)

    def run(self, chapter: str, step: str, applied: list[Object] | None = None) -> None:
        """The commands of a step; in place of applying a release, `applied` is."""
        for command, *arguments in migration.steps(chapter)[step]:
            assert command == "kubectl"
            if arguments[0] == "apply":
                for obj in applied or ():
                    self.cluster.apply(obj)
            else:
                self.kubectl(*(word.replace("NAMESPACE", self.namespace) for word in arguments))


@pytest.fixture(scope="module", name="world")
def world_fixture(
    cluster: Cluster, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Pilotlight is taken away, and what Knative leaves takes its place; and back at the end."""
    manifests = migration.installed(cluster)
    classes = _ingress_class(cluster)
    with fresh_namespace(cluster) as namespace:
        kubectl = Kubectl(cluster.kubeconfig, "", tmp_path_factory.mktemp("home"))
        world = World(cluster, kubectl, gateway, namespace, manifests)
        try:
            _take_away(world)
            _set_ingress_class(cluster, KOURIER)
            _leave(world)
            yield world
        finally:
            _put_back(world, classes)


def _take_away(world: World) -> None:
    for obj in world.manifests:
        world.cluster.delete(_kind(obj), obj["metadata"].get("namespace"), obj["metadata"]["name"])
    wait_until(lambda: not _pods(world, COMPONENT), GONE_S, "our components are gone")


def _leave(world: World) -> None:
    cluster, namespace = world.cluster, world.namespace
    for definition in definitions():
        cluster.apply(definition)
    wait_until(lambda: _are_served(cluster, definitions()), READY_S, "Knative's own kinds")
    two = [Past(n, env={"NAME": str(n)}, annotations=WINDOW) for n in (1, 2)]
    halves = ({"revisionName": "split-00001", "percent": 50, "tag": "old"}, {"percent": 50})
    where = (namespace, IMAGE, _domain(cluster))
    for legacy in (
        Legacy("asleep", *where, [Past(annotations=WINDOW)]),
        Legacy("awake", *where, [Past(replicas=1, annotations=TARGET)]),
        Legacy("split", *where, two, halves),
        Legacy("steady", *where, [Past(replicas=1, annotations=TARGET)]),
    ):
        world.left += leave(legacy, cluster.put)
    awake = world.service("awake")
    (world.pod,) = wait_until(awake.ready_pods, READY_S, "the pod of before is ready")
    for obj in [*control_plane(IMAGE), *webhooks()]:
        cluster.put(obj)
    wait_until(lambda: len(_pods(world, KNATIVE_POD)) == 2, READY_S, "Knative's pods are there")


def _put_back(world: World, classes: str) -> None:
    """Whatever happened: the rest of the suite finds Pilotlight as it was."""
    cluster = world.cluster
    for obj in [*webhooks(), *control_plane(IMAGE)]:
        cluster.delete(_kind(obj), obj["metadata"].get("namespace"), obj["metadata"]["name"])
    labels = f"app in (activator, autoscaler, controller, webhook),!{COMPONENT}"
    world.kubectl("-n", SYSTEM, "delete", "replicaset", "-l", labels)
    world.kubectl("-n", SYSTEM, "delete", "replicaset", "-l", COMPONENT)
    _set_ingress_class(cluster, classes)
    for obj in world.manifests:
        cluster.apply(obj)
    for component in migration.COMPONENTS:
        world.kubectl("-n", SYSTEM, "rollout", "status", "deployment", component)
    for kind in (ROUTE, INGRESS):
        for obj in cluster.list(kind, world.namespace):
            nothing: Object = {"metadata": {"finalizers": []}}
            cluster.patch(kind, world.namespace, obj["metadata"]["name"], nothing)
    for definition in definitions():
        cluster.delete(CRD, None, definition["metadata"]["name"])


def test_what_was_there_is_taken_over(world: World) -> None:
    for step in ("2", "3", "4"):
        world.run("There", step, world.manifests)
    for name in NAMES:
        world.service(name).ready()
    for before in world.left:
        after, what = world.now(before), f"{before['kind']} {before['metadata']['name']}"
        assert after is not None, what
        assert after["metadata"]["uid"] == before["metadata"]["uid"], what
    assert world.revisions() == REVISIONS
    assert _same_pod(world)
    (deployment,) = (
        obj for obj in world.left if obj["metadata"]["name"] == "awake-00001-deployment"
    )
    assert _differences(deployment, world.now(deployment)) == set()
    wait_until(lambda: not _pods(world, KNATIVE_POD), GONE_S, "Knative's own pods are gone")


def test_a_front_door_of_knatives_leads_to_us(world: World) -> None:
    """The way of a request from its gateway: to the addresses of the public Service."""
    for name in ("awake", "asleep"):
        revision = f"{name}-00001"
        endpoints = world.cluster.get(ENDPOINTS, world.namespace, revision)
        assert endpoints is not None
        (subset,) = endpoints["subsets"]
        port = subset["ports"][0]["port"]
        assert {address["ip"] for address in subset["addresses"]} == {
            pod["status"]["podIP"] for pod in _pods(world, f"{COMPONENT}=activator")
        }
        door = Gateway(f"http://{subset['addresses'][0]['ip']}:{port}")
        headers = {names.REVISION_HEADER: revision, names.NAMESPACE_HEADER: world.namespace}
        assert door.ask(world.service(name).host, headers=headers).status == 200
    ingress = world.cluster.get(INGRESS, world.namespace, "awake")
    assert ingress is not None
    assert ingress["metadata"]["finalizers"] == [INGRESS_FINALIZER]
    assert _same_pod(world)


def test_our_gateway_takes_over(world: World) -> None:
    world.run("There", "5")
    wait_until(
        lambda: all(world.service(name).ask().status == 200 for name in NAMES),
        READY_S,
        "all answer",
    )
    for name in NAMES:
        ingress = world.cluster.get(INGRESS, world.namespace, name)
        assert ingress is not None
        assert is_ready(ingress)
        assert not ingress["metadata"].get("finalizers")
    assert _same_pod(world)
    split = world.service("split")
    assert world.gateway.ask(split.tag_host("old")).text == "1"
    assert {split.ask().text for _ in range(20)} == {"1", "2"}
    assert world.revisions() == REVISIONS


def test_load_in_pods_of_before_counts(world: World) -> None:
    awake = world.service("awake")
    answers: list[Any] = []
    load = threading.Thread(target=lambda: answers.append(awake.many("/sleep?ms=500", 160, 8)))
    load.start()
    try:
        wait_until(lambda: len(awake.ready_pods()) >= 3, READY_S, "three pods carry the load")
        assert not any(_has_our_queue_proxy(pod["spec"]) for pod in awake.pods())
    finally:
        load.join()
    (tally,) = answers
    assert tally.statuses == {200: 160}


def test_it_goes_to_zero_and_comes_back_as_ours(world: World) -> None:
    none: Object = {"metadata": {"annotations": {LEAST: "0"}}}
    world.cluster.patch(REVISION, world.namespace, "awake-00001", none)
    awake = world.service("awake").asleep()
    wait_until(
        lambda: _has_our_queue_proxy(world.deployment("awake-00001")["spec"]["template"]["spec"]),
        READY_S,
        "the Deployment is ours",
    )
    answer = awake.ask()
    assert answer.status == 200
    assert "announce" in answer.headers["Server-Timing"], "its pod has announced itself"
    assert all(_has_our_queue_proxy(pod["spec"]) for pod in awake.pods())
    assert world.revisions() == REVISIONS


def test_pods_are_replaced_when_somebody_asks(world: World) -> None:
    steady = world.service("steady")
    (before,) = steady.pods()
    assert not _has_our_queue_proxy(before["spec"])

    def is_replaced() -> bool:
        pods = steady.all_pods()
        return len(pods) == 1 and _has_our_queue_proxy(pods[0]["spec"])

    with asking(steady) as timeline:
        world.run("There", "6")
        wait_until(is_replaced, GONE_S, "one pod of ours is left")
    assert timeline.bad_after(0) == []


def test_a_change_makes_the_next_revision(world: World) -> None:
    container = {
        "name": "user-container",
        "image": IMAGE,
        "env": [{"name": "NAME", "value": "new"}],
    }
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    world.cluster.patch(SERVICE, world.namespace, "asleep", change)
    asleep = world.service("asleep").ready()
    assert asleep.object()["status"]["latestReadyRevisionName"] == "asleep-00002"
    wait_until(lambda: asleep.ask().text == "new", READY_S, "the next Revision answers")


def test_the_way_back(world: World) -> None:
    """What Knative's controllers would find, and refuse if it were not so."""
    _set_ingress_class(world.cluster, KOURIER)
    wait_until(
        lambda: {_class_of(world, name) for name in NAMES} == {KOURIER},
        READY_S,
        "the Ingresses have the other class",
    )
    world.run("Back", "2")
    for obj in [*control_plane(IMAGE), *webhooks()]:
        world.cluster.apply(obj)
    # Of a Service that nobody has changed since.
    left = [obj for obj in world.left if obj["metadata"]["name"].startswith(("split", "old-split"))]
    assert len(left) == 22
    differences = {line for before in left for line in _differences(before, world.now(before))}
    assert differences == EXPECTED_DIFFERENCES
    # Services that are there and that it does not own stop it; those of later Revisions are gone.
    for name in ("asleep-00002", "asleep-00002-private"):
        assert world.cluster.get(CORE_SERVICE, world.namespace, name) is None
    assert world.cluster.get(ENDPOINTS, world.namespace, "asleep-00002") is None
    # Its own components come up beside ours, which go on until they are asked to go.
    wait_until(lambda: len(_pods(world, KNATIVE_POD)) == 2, READY_S, "Knative's pods are there")
    assert len(_pods(world, f"{COMPONENT} in (activator, autoscaler)")) == 2
    world.run("Back", "4")
    wait_until(lambda: not _pods(world, COMPONENT), GONE_S, "ours are gone")
    secrets = world.cluster.list(SECRET, world.namespace, "serving.knative.dev/revisionUID")
    assert secrets
    assert {secret["metadata"]["ownerReferences"][0]["kind"] for secret in secrets} == {"Revision"}


# By kind: what an object has otherwise than Knative has left it, status and spelling apart.
EXPECTED_DIFFERENCES: Final = {
    "Deployment metadata.labels.serving.knative.dev/deployment-hash",
    "Deployment spec.template",
    "Endpoints metadata.labels.app.kubernetes.io/managed-by",
    "Endpoints subsets",
    "Ingress metadata.annotations.networking.internal.knative.dev/rollout",
    "Ingress metadata.finalizers",
    # By a user's wish.
    "Revision metadata.annotations.pilotlight.dev/replace-pods",
    "Route metadata.finalizers",
    "Service metadata.labels.app.kubernetes.io/managed-by",
    "Service spec.externalName",
    "Service spec.ports",
}


def _differences(before: Object, after: Object | None) -> set[str]:
    kind = before["kind"]
    if after is None:
        return {f"{kind} is gone"}
    pairs = {
        "metadata.labels": True,
        "metadata.annotations": True,
        "metadata.finalizers": False,
        "metadata.ownerReferences": False,
        "spec": True,
        "subsets": False,
    }
    found: set[str] = set()
    for path, by_key in pairs.items():
        then, now = (_at(obj, path) for obj in (before, after))
        if then == now:
            continue
        if not by_key:
            found.add(f"{kind} {path}")
            continue
        for key in {*then, *now} - {"deployment.kubernetes.io/revision"}:
            if then.get(key) != now.get(key):
                found.add(f"{kind} {path}.{key}")
    return found


def _at(obj: Object, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part) or {}
    return obj


def _kind(obj: Object) -> Kind:
    return str(obj["apiVersion"]), str(obj["kind"])


def _pods(world: World, labels: str) -> list[Object]:
    found = world.cluster.list(POD, SYSTEM, labels)
    return [pod for pod in found if pod["status"].get("phase") == "Running"]


def _same_pod(world: World) -> bool:
    """Whether the pod of before is the only one, and nothing in it was started again."""
    (pod,) = world.service("awake").all_pods()
    restarts = [status["restartCount"] for status in pod["status"]["containerStatuses"]]
    return bool(pod["metadata"]["uid"] == world.pod["metadata"]["uid"] and restarts == [0, 0])


def _has_our_queue_proxy(pod: Object) -> bool:
    return queue_proxies.is_ours(pod["containers"])


def _domain(cluster: Cluster) -> str:
    found = cluster.get(CONFIG_MAP, SYSTEM, names.CONFIG_DOMAIN)
    assert found is not None
    return next(str(key) for key in found["data"] if not key.startswith("_"))


def _ingress_class(cluster: Cluster) -> str:
    found = cluster.get(CONFIG_MAP, SYSTEM, names.CONFIG_NETWORK)
    assert found is not None
    return str(found["data"]["ingress-class"])


def _set_ingress_class(cluster: Cluster, chosen: str) -> None:
    patch = {"data": {"ingress-class": chosen}}
    cluster.patch(CONFIG_MAP, SYSTEM, names.CONFIG_NETWORK, patch)


def _class_of(world: World, name: str) -> str:
    ingress = world.cluster.get(INGRESS, world.namespace, name)
    assert ingress is not None
    return str(ingress["metadata"]["annotations"][names.INGRESS_CLASS_ANNOTATION])


def _are_served(cluster: Cluster, definitions: list[Object]) -> bool:
    found = [cluster.get(CRD, None, obj["metadata"]["name"]) or {} for obj in definitions]
    return all(condition_of(obj, "Established").get("status") == "True" for obj in found)
