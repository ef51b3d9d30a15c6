"""What is installed, and how it is applied again."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.kube.resources import CONFIG_MAPS, DEPLOYMENTS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.assets import assets
from pilotlight_local.controllers.defaults import create_defaults
from pilotlight_local.install import (
    InstallError,
    Settings,
    adapt,
    apply_all,
    manifests,
    unavailable,
)

SETTINGS = Settings("9.9", (7, 8), {("config-autoscaler", "k"): "v"})
SYSTEM = "knative-serving"


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def test_manifests_are_set_to_this_machine() -> None:
    objects = manifests(assets(), SETTINGS)
    kinds = [o["kind"] for o in objects]
    assert kinds[0] == "CustomResourceDefinition"
    assert kinds[-1].endswith("WebhookConfiguration")
    for component in ("operator", "autoscaler", "activator"):
        spec = named(objects, "Deployment", component)["spec"]["template"]["spec"]
        assert spec["containers"][0]["image"] == f"pilotlight.dev/{component}:9.9"
    activator = named(objects, "Deployment", "activator")["spec"]["template"]["spec"]
    gateway = {"name": "PILOTLIGHT_GATEWAY", "value": "7,8"}
    assert gateway in activator["containers"][0]["env"]
    config = named(objects, "ConfigMap", "config-deployment")["data"]
    assert config["queue-sidecar-image"] == "pilotlight.dev/queue-proxy:9.9"
    assert named(objects, "ConfigMap", "config-autoscaler")["data"]["k"] == "v"
    with pytest.raises(InstallError, match="no ConfigMap 'config-none'"):
        manifests(assets(), Settings("1", (), {("config-none", "a"): "b"}))


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        (
            "config-autoscaler",
            "stable-window",
            "1s",
            "config-autoscaler cannot be set so: .*window",
        ),
        ("config-autoscaler", "enable-scale-to-zero", "perhaps", "scale-to-zero.*perhaps"),
        ("config-domain", "example.com", "[", "config-domain cannot be set so"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_starts(
    name: str, key: str, value: str, words: str
) -> None:
    with pytest.raises(InstallError, match=words):
        manifests(assets(), Settings("1", (), {(name, key): value}))


def test_the_manifests_own_values_are_good() -> None:
    objects = manifests(assets(), SETTINGS)
    every = {o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"}
    manifests(assets(), Settings("1", (), {(name, "no-such-key"): "" for name in every}))


def test_adapting_leaves_the_rest_alone() -> None:
    obj = {
        "kind": "ConfigMap",
        "metadata": {"name": "x"},
        "data": {"image": "example.com/queue-proxy:1"},
    }
    assert adapt(obj, SETTINGS) == obj
    assert adapt(obj, SETTINGS) is not obj


async def test_a_second_time_changes_nothing_and_keeps_edits() -> None:
    cluster = Cluster()
    await create_defaults(cluster, "127.9.0.1")
    objects = manifests(assets(), SETTINGS)
    assert await apply_all(cluster, objects) == len(objects)
    edit = {"data": {"stable-window": "7s"}}
    await cluster.patch(CONFIG_MAPS, SYSTEM, "config-autoscaler", edit)
    assert await apply_all(cluster, objects) == 0
    kept = cluster.get(CONFIG_MAPS, SYSTEM, "config-autoscaler")
    assert kept is not None
    assert kept["data"]["stable-window"] == "7s"
    other = manifests(assets(), Settings("9.9", (9,), SETTINGS.config))
    assert await apply_all(cluster, other) == 1, "only the activator knows the gateway"


async def test_availability_is_the_newest_generations() -> None:
    cluster = Cluster()
    await create_defaults(cluster, "127.9.0.1")
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    await apply_all(cluster, [obj])
    assert unavailable(cluster, [obj]) == ["d"]
    stored = cluster.get(DEPLOYMENTS, "default", "d")
    assert stored is not None
    status = {
        "observedGeneration": stored["metadata"]["generation"],
        "replicas": 1,
        "updatedReplicas": 1,
        "availableReplicas": 1,
        "conditions": [{"type": "Available", "status": "True"}],
    }
    await cluster.patch(DEPLOYMENTS, "default", "d", {"status": status}, subresource="status")
    assert unavailable(cluster, [obj]) == []
    await cluster.patch(DEPLOYMENTS, "default", "d", {"spec": {"replicas": 2}})
    assert unavailable(cluster, [obj]) == ["d"]
