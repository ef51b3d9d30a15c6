from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.kube.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    Resource,
)
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.garbage import EVENT_LIMIT

Object = dict[str, Any]
Eventually = Callable[..., Any]
LAMPS = Resource("example.com", "v1", "lamps", "Lamp")


def _owned(name: str, *owners: Object, blocks: bool = False) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }
        for owner in owners
    ]
    metadata = {"name": name, "namespace": "default", "ownerReferences": references}
    return {"metadata": metadata}


def _names(cluster: Cluster) -> list[str]:
    return [obj["metadata"]["name"] for obj in cluster.list(CONFIG_MAPS)]


async def test_a_chain_of_dependents_goes(collected: Cluster, eventually: Eventually) -> None:
    top = await collected.create(CONFIG_MAPS, _owned("top"))
    middle = await collected.create(CONFIG_MAPS, _owned("middle", top))
    await collected.create(CONFIG_MAPS, _owned("bottom", middle))
    await collected.create(CONFIG_MAPS, _owned("free"))
    await collected.delete(CONFIG_MAPS, "default", "top")
    await eventually(lambda: _names(collected) == ["free"])


async def test_one_of_two_owners_is_enough(collected: Cluster, eventually: Eventually) -> None:
    one = await collected.create(CONFIG_MAPS, _owned("one"))
    two = await collected.create(CONFIG_MAPS, _owned("two"))
    await collected.create(SECRETS, _owned("both", one, two))
    await collected.delete(CONFIG_MAPS, "default", "one")

    def left() -> bool:
        (found,) = collected.list(SECRETS)
        return [o["name"] for o in found["metadata"]["ownerReferences"]] == ["two"]

    await eventually(left)
    await collected.delete(CONFIG_MAPS, "default", "two")
    await eventually(lambda: not collected.list(SECRETS))


async def test_orphans_stay(collected: Cluster, eventually: Eventually) -> None:
    top = await collected.create(CONFIG_MAPS, _owned("top"))
    await collected.create(CONFIG_MAPS, _owned("child", top))
    await collected.delete(CONFIG_MAPS, "default", "top", propagation="Orphan")
    await eventually(lambda: _names(collected) == ["child"])
    child = collected.get(CONFIG_MAPS, "default", "child")
    assert child is not None
    assert "ownerReferences" not in child["metadata"]


async def test_foreground_waits_for_dependents(collected: Cluster, eventually: Eventually) -> None:
    top = await collected.create(CONFIG_MAPS, _owned("top"))
    child = _owned("child", top, blocks=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await collected.create(CONFIG_MAPS, child)
    await collected.delete(CONFIG_MAPS, "default", "top", propagation="Foreground")

    def waiting() -> bool:
        found = collected.get(CONFIG_MAPS, "default", "child")
        return bool(found and found["metadata"].get("deletionTimestamp"))

    await eventually(waiting)
    assert _names(collected) == ["child", "top"]
    await collected.patch(CONFIG_MAPS, "default", "child", {"metadata": {"finalizers": None}})
    await eventually(lambda: not _names(collected))


async def test_an_owner_that_never_was(collected: Cluster, eventually: Eventually) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "g", "uid": "none"}}
    await collected.create(CONFIG_MAPS, _owned("child", ghost))
    await eventually(lambda: not _names(collected))


async def test_an_owner_of_a_foreign_kind_is_believed(
    collected: Cluster, eventually: Eventually
) -> None:
    foreign = {"apiVersion": "x.io/v1", "kind": "What", "metadata": {"name": "g", "uid": "none"}}
    await collected.create(CONFIG_MAPS, _owned("child", foreign))
    marker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "uid": "no"}}
    await collected.create(SECRETS, _owned("marker", marker))
    await eventually(lambda: not collected.list(SECRETS))
    assert _names(collected) == ["child"]


async def test_a_namespace_takes_its_contents_along(
    collected: Cluster, eventually: Eventually, pod: Callable[..., Object]
) -> None:
    await collected.create(PODS, pod("a", "other"))
    await collected.patch(PODS, "other", "a", {"spec": {"nodeName": "local"}})
    await collected.create(SECRETS, {"metadata": {"name": "s", "namespace": "other"}})
    going = await collected.delete(NAMESPACES, None, "other")
    assert going["status"]["phase"] == "Terminating"
    await eventually(lambda: not collected.list(SECRETS))
    with pytest.raises(ApiError) as caught:
        await collected.create(SECRETS, {"metadata": {"name": "late", "namespace": "other"}})
    error = caught.value
    assert (error.status, error.causes[0].reason) == (403, "NamespaceTerminating")
    assert error.message == (
        'secrets "late" is forbidden: unable to create new content in namespace other because it'
        " is being terminated"
    )
    # The pod is still given its grace.
    assert collected.get(NAMESPACES, None, "other") is not None
    await collected.delete(PODS, "other", "a", grace=0)
    await eventually(lambda: collected.get(NAMESPACES, None, "other") is None)
    await collected.create(NAMESPACES, {"metadata": {"name": "other"}})


async def test_a_definition_takes_its_objects_along(
    collected: Cluster, eventually: Eventually, crd: Callable[..., Object]
) -> None:
    await collected.create(CUSTOM_RESOURCE_DEFINITIONS, crd({}))
    lamp = {"metadata": {"name": "a", "namespace": "default", "finalizers": ["example.com/hold"]}}
    await collected.create(LAMPS, lamp)
    await collected.delete(CUSTOM_RESOURCE_DEFINITIONS, None, "lamps.example.com")

    def going() -> bool:
        found = collected.get(LAMPS, "default", "a")
        return bool(found and found["metadata"].get("deletionTimestamp"))

    await eventually(going)
    await collected.patch(LAMPS, "default", "a", {"metadata": {"finalizers": None}})
    await eventually(lambda: not collected.list(CUSTOM_RESOURCE_DEFINITIONS))
    assert collected.registry.find(("example.com", "lamps")) is None
    await collected.create(CUSTOM_RESOURCE_DEFINITIONS, crd({}))
    assert collected.list(LAMPS) == []


async def test_old_events_go(collected: Cluster, eventually: Eventually) -> None:
    for number in range(EVENT_LIMIT + 1):
        name = f"e{number:05}"
        collected.store.put(
            ("", "events"), {"metadata": {"name": name, "namespace": "default", "uid": name}}
        )
    await eventually(lambda: len(collected.list(EVENTS)) == EVENT_LIMIT * 9 // 10)
    assert collected.get(EVENTS, "default", "e00000") is None
    assert collected.get(EVENTS, "default", f"e{EVENT_LIMIT:05}") is not None


async def test_some_namespaces_stay(collected: Cluster) -> None:
    with pytest.raises(ApiError, match="this namespace may not be deleted") as caught:
        await collected.delete(NAMESPACES, None, "default")
    assert caught.value.status == 403
