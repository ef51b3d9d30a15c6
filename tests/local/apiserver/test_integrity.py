"""Random lives of objects: what was stored is never changed afterwards, watchers end up with what
a list shows, and a persisted state is the same after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, Resource
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.persistence import Persistence
from pilotlight_local.apiserver.selectors import parse_labels
from pilotlight_local.apiserver.store import HISTORY_LIMIT
from pilotlight_local.apiserver.values import encode
from pilotlight_local.apiserver.watch import Watcher
from tests.local.apiserver.harness import make_deployment

Object = dict[str, Any]
LAMPS = Resource("example.com", "v1", "lamps", "Lamp")
SCHEMA = {
    "spec": {
        "type": "object",
        "default": {},
        "properties": {
            "watts": {"type": "integer", "default": 40},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "rooms": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "floor": {"type": "integer", "default": 0},
                    },
                },
            },
        },
    },
    "status": {
        "type": "object",
        "properties": {"lit": {"type": "boolean", "default": False}},
        "x-kubernetes-preserve-unknown-fields": True,
    },
}


class Life:
    """Random writes to a few objects of two kinds."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.dice = random.Random(seed)
        self.snapshots: list[tuple[Object, bytes]] = []
        for resource in (LAMPS, DEPLOYMENTS):
            cluster.subscribe(resource, self._remember)

    def _remember(self, _kind: str, obj: Object, _old: Object | None) -> None:
        self.snapshots.append((obj, encode(obj)))

    async def step(self) -> None:
        resource = self.dice.choice([LAMPS, DEPLOYMENTS])
        name = self.dice.choice("abc")
        action = self.dice.choice(
            [self._create, self._merge, self._merge, self._apply, self._status, self._delete]
        )
        with contextlib.suppress(ApiError):
            await action(resource, name)

    def _spec(self, resource: Resource) -> Object:
        dice = self.dice
        if resource is DEPLOYMENTS:
            spec: Object = make_deployment("x")["spec"]
            return {**spec, "replicas": dice.randrange(4)}
        rooms = [{"name": name} for name in "pqr" if dice.random() < 0.5]
        return {"rooms": rooms, "tags": dice.sample("xyz", 2)}

    def _body(self, resource: Resource, name: str) -> Object:
        labels = {"tier": self.dice.choice("mn")}
        metadata = {"name": name, "namespace": "default", "labels": labels}
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return {**kind, "metadata": metadata, "spec": self._spec(resource)}

    async def _create(self, resource: Resource, name: str) -> None:
        await self.cluster.create(resource, self._body(resource, name))

    async def _merge(self, resource: Resource, name: str) -> None:
        patch: Object = {"metadata": {"labels": {"tier": self.dice.choice("mn")}}}
        if resource is LAMPS:
            patch["spec"] = {"watts": self.dice.choice([None, 1, 2])}
        await self.cluster.patch(resource, "default", name, patch)

    async def _apply(self, resource: Resource, name: str) -> None:
        manager = self.dice.choice("uv")
        body = self._body(resource, name)
        await self.cluster.patch(
            resource, "default", name, body, "apply", manager=manager, force=True
        )

    async def _status(self, resource: Resource, name: str) -> None:
        patch = {"status": {"replicas": self.dice.randrange(3)}}
        await self.cluster.patch(resource, "default", name, patch, subresource="status")

    async def _delete(self, resource: Resource, name: str) -> None:
        await self.cluster.delete(resource, "default", name)


async def _views(watchers: dict[str, Watcher]) -> dict[str, dict[str, Object]]:
    views: dict[str, dict[str, Object]] = {}
    for text, watcher in watchers.items():
        view = views[text] = {}
        for kind, record in await watcher.take(0):
            name = record.obj["metadata"]["name"]
            if kind == "DELETED":
                del view[name]
            else:
                assert (name in view) == (kind == "MODIFIED")
                view[name] = record.obj
    return views


@pytest.mark.parametrize("seed", range(8))
async def test_random_lives(
    tmp_path: Path, cluster: Cluster, crd: Callable[..., Object], seed: int
) -> None:
    path = tmp_path / "state.db"
    persistence = Persistence(path)
    persistence.load()
    persistence.attach(cluster.store)
    definition = crd(SCHEMA, subresources={"status": {}})
    await cluster.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    selectors = ["", "tier=m", "tier!=m", "tier in (m, n)"]
    watchers = {
        text: Watcher(cluster.store, ("example.com", "lamps"), parse_labels(text))
        for text in selectors
    }
    life = Life(cluster, seed)
    for _ in range(HISTORY_LIMIT // 4):
        await life.step()
        if life.dice.random() < 0.1:
            await asyncio.sleep(0)
    for obj, text in life.snapshots:
        assert encode(obj) == text, "a stored object was changed"
    versions = [int(obj["metadata"]["resourceVersion"]) for obj, _ in life.snapshots]
    assert versions == sorted(set(versions))
    for selector, view in (await _views(watchers)).items():
        listed = cluster.list(LAMPS, "default", selector or None)
        assert view == {obj["metadata"]["name"]: obj for obj in listed}
    persistence.close()
    objects, version = Persistence(path).load()
    assert version == cluster.store.version
    stored = {
        (resource, obj["metadata"].get("namespace"), obj["metadata"]["name"]): obj
        for resource, obj in objects
        if resource[1] in ("lamps", "deployments")
    }
    live = {
        ((r.group, r.plural), "default", obj["metadata"]["name"]): obj
        for r in (LAMPS, DEPLOYMENTS)
        for obj in cluster.list(r)
    }
    assert stored == live
