from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilotlight.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, Resource
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.persistence import RESERVED, Persistence
from pilotlight_local.apiserver.server import ApiServer, ServerOptions

Object = dict[str, Any]
LAMPS = Resource("example.com", "v1", "lamps", "Lamp")


def _map(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"k": name}}


async def _started(path: Path) -> ApiServer:
    server = ApiServer(Cluster(), ServerOptions(sqlite_path=path))
    await server.start()
    return server


async def test_a_new_life_goes_on_where_the_last_one_ended(
    tmp_path: Path, crd: Callable[..., Object]
) -> None:
    path = tmp_path / "deep" / "state.db"
    first = await _started(path)
    await first.cluster.create(CONFIG_MAPS, _map("a"))
    await first.cluster.create(CONFIG_MAPS, _map("b"))
    await first.cluster.create(CUSTOM_RESOURCE_DEFINITIONS, crd({}))
    await first.cluster.create(LAMPS, {"metadata": {"name": "l", "namespace": "default"}})
    await first.cluster.delete(CONFIG_MAPS, "default", "b")
    kept = first.cluster.get(CONFIG_MAPS, "default", "a")
    version = first.cluster.store.version
    await first.stop()

    second = await _started(path)
    assert second.cluster.get(CONFIG_MAPS, "default", "a") == kept
    assert second.cluster.get(CONFIG_MAPS, "default", "b") is None
    assert second.cluster.get(LAMPS, "default", "l") is not None
    assert second.cluster.store.version == version
    made = await second.cluster.create(CONFIG_MAPS, _map("c"))
    assert int(made["metadata"]["resourceVersion"]) == version + 1
    await second.stop()


async def test_dependents_of_an_earlier_life_are_collected(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    path = tmp_path / "state.db"
    first = await _started(path)
    top = await first.cluster.create(CONFIG_MAPS, _map("top"))
    child = _map("child")
    child["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "top", "uid": top["metadata"]["uid"]}
    ]
    await first.cluster.create(CONFIG_MAPS, child)
    await first.stop()
    second = await _started(path)
    await second.cluster.delete(CONFIG_MAPS, "default", "top")
    await eventually(lambda: not second.cluster.list(CONFIG_MAPS))
    await second.stop()


async def test_after_a_crash_versions_do_not_go_backwards(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = await _started(path)
    await first.cluster.create(CONFIG_MAPS, _map("a"))
    await first.stop()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE facts SET value=0 WHERE name='closed'")
    connection.close()
    _, version = Persistence(path).load()
    assert version == first.cluster.store.version + RESERVED


async def test_a_write_is_in_the_file_soon(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    path = tmp_path / "state.db"
    server = await _started(path)
    await server.cluster.create(CONFIG_MAPS, _map("a"))
    reader = sqlite3.connect(path)
    question = "SELECT count(*) FROM objects WHERE plural='configmaps'"
    await eventually(lambda: reader.execute(question).fetchone() == (1,), 2)
    reader.close()
    await server.stop()


async def test_a_full_disk_loses_nothing_that_is_in_memory(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    path = tmp_path / "state.db"
    server = await _started(path)
    persistence = server._persistence
    assert persistence is not None
    blocker = sqlite3.connect(path)
    await eventually(lambda: not persistence._pending)
    blocker.execute("DROP TABLE facts")
    await server.cluster.create(CONFIG_MAPS, _map("a"))
    await eventually(lambda: persistence.failure)
    blocker.execute(
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
    )
    blocker.close()
    await server.cluster.create(CONFIG_MAPS, _map("b"))
    await server.stop()
    objects, _ = Persistence(path).load()
    names = [o["metadata"]["name"] for r, o in objects if r == ("", "configmaps")]
    assert sorted(names) == ["a", "b"]
