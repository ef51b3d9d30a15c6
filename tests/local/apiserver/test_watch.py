from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.store import Store
from pilotlight_local.apiserver.watch import Watcher

MAPS = ("", "configmaps")


def _obj(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "d", "labels": labels, "uid": name}}


def _everything(_obj: Any) -> bool:
    return True


async def test_a_slow_watcher_is_dropped_and_the_store_goes_on() -> None:
    store = Store()
    slow, fast = (Watcher(store, MAPS, _everything, limit=n) for n in (5, 100))
    for number in range(50):
        store.put(MAPS, _obj(f"o{number}"))
    with pytest.raises(ApiError) as caught:
        await slow.take(1)
    assert (caught.value.status, caught.value.reason) == (410, "Expired")
    assert len(await fast.take(1)) == 50
    assert store.table(MAPS).subscribers == [fast._offer]


async def test_taking_waits_for_an_event() -> None:
    store = Store()
    watcher = Watcher(store, MAPS, _everything)
    assert await watcher.take(0.01) == []
    task = asyncio.create_task(watcher.take(5))
    await asyncio.sleep(0)
    store.put(MAPS, _obj("a"))
    assert [(kind, record.obj["metadata"]["name"]) for kind, record in await task] == [
        ("ADDED", "a")
    ]
    watcher.close()
    watcher.close()
    assert store.table(MAPS).subscribers == []


async def test_ending_lets_pending_events_through() -> None:
    store = Store()
    watcher = Watcher(store, MAPS, _everything)
    store.put(MAPS, _obj("a"))
    watcher.end()
    store.put(MAPS, _obj("b"))
    assert len(await watcher.take(1)) == 1
    assert await watcher.take(1) == []
    assert watcher.ended


async def test_an_object_that_ceases_to_match_is_shown_as_it_was() -> None:
    store = Store()
    watcher = Watcher(store, MAPS, lambda obj: "in" in obj["metadata"]["labels"])
    store.put(MAPS, _obj("a", **{"in": ""}))
    store.put(MAPS, _obj("a"))
    (_, (kind, record)) = await watcher.take(1)
    assert kind == "DELETED"
    assert record.obj["metadata"]["labels"] == {"in": ""}
    assert record.obj["metadata"]["resourceVersion"] == str(store.version)


def test_the_history_is_bounded_and_says_so() -> None:
    store = Store(history_limit=10)
    for _ in range(30):
        store.put(MAPS, _obj("a"))
    assert len(store.since(MAPS, store.version - 10)) == 10
    assert store.since(MAPS, store.version) == []
    for version in (store.version - 11, store.version + 1, 0):
        with pytest.raises(ApiError, match="too old resource version"):
            store.since(MAPS, version)


def test_an_unsubscribed_callback_hears_nothing_more() -> None:
    store = Store()
    heard: list[str] = []
    end = store.subscribe(MAPS, lambda change: heard.append(change.type))
    store.put(MAPS, _obj("a"))
    end()
    end()
    store.remove(MAPS, _obj("a"))
    assert heard == ["ADDED"]
    assert store.table(MAPS).spaces == {}
