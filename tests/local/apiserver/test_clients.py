"""The `kubernetes` client: what Python programs use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local.apiserver.harness import Secured

kubernetes = pytest.importorskip("kubernetes")

Object = dict[str, Any]


def _api(path: Path) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    config.load_kube_config(str(path), client_configuration=configuration)
    return client.ApiClient(configuration)


def _life(path: Path) -> None:
    from kubernetes import client

    with _api(path) as api:
        core = client.CoreV1Api(api)
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a"), data={"k": "v"})
        core.create_namespaced_config_map("default", body)
        with pytest.raises(client.ApiException) as caught:
            core.create_namespaced_config_map("default", body)
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        core.patch_namespaced_config_map("a", "default", {"data": {"k": "w"}})
        assert core.read_namespaced_config_map("a", "default").data == {"k": "w"}
        items = core.list_namespaced_config_map("default").items
        assert [item.metadata.name for item in items] == ["a"]
        core.delete_namespaced_config_map("a", "default")


async def test_typed_calls(secured: Secured) -> None:
    await asyncio.to_thread(_life, secured.config)


def _watch(path: Path, started: threading.Event, seen: list[tuple[str, str]]) -> None:
    from kubernetes import client, watch

    with _api(path) as api:
        core = client.CoreV1Api(api)
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, "default", timeout_seconds=10
        )
        started.set()
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                break


async def test_a_watch(secured: Secured) -> None:
    from pilotlight.kube.resources import CONFIG_MAPS

    cluster = secured.server.cluster
    started = threading.Event()
    seen: list[tuple[str, str]] = []
    watching = asyncio.create_task(asyncio.to_thread(_watch, secured.config, started, seen))
    await asyncio.to_thread(started.wait)
    await cluster.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    while not seen:
        await asyncio.sleep(0.01)
    await cluster.patch(CONFIG_MAPS, "default", "a", {"data": {"x": "y"}})
    await cluster.delete(CONFIG_MAPS, "default", "a")
    await watching
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def _dynamic(path: Path) -> None:
    from kubernetes import dynamic

    with _api(path) as api:
        client = dynamic.DynamicClient(api)
        lamps = client.resources.get(api_version="example.com/v1", kind="Lamp")
        body = {"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "a"}}
        lamps.create(body=body, namespace="default")
        applied = lamps.server_side_apply(
            body={**body, "spec": {"on": True}}, name="a", namespace="default", field_manager="m"
        )
        assert applied.spec.on is True
        assert lamps.get(name="a", namespace="default").metadata.name == "a"


async def test_the_dynamic_client(secured: Secured, crd: Callable[..., Object]) -> None:
    from pilotlight.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

    keep = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await secured.server.cluster.create(CUSTOM_RESOURCE_DEFINITIONS, crd({"spec": keep}))
    await asyncio.to_thread(_dynamic, secured.config)
