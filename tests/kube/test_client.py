"""The client and the informer, on local mode's API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pilotlight.kube.client import KEEPALIVE_S, KubeClient, Object
from pilotlight.kube.config import KubeConfig
from pilotlight.kube.errors import ApiError
from pilotlight.kube.informer import Informer
from pilotlight.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, Resource
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.server import ApiServer, ServerOptions

TOKEN = "let-me-in"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer(Cluster(), ServerOptions(token=TOKEN))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(KubeConfig(server=server.url, token=TOKEN)) as client:
        yield client


def config_map(name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


def deployment(name: str) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "dev.local/c:1"}]},
            },
        },
    }


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs the kernel's table")
async def test_a_watch_notices_that_its_server_has_vanished(
    client: KubeClient, server: ApiServer
) -> None:
    """Without a word from a machine that is gone, only the kernel's keepalive can tell."""
    opened = asyncio.Event()

    async def watch() -> None:
        listed = await client.list(CONFIG_MAPS)
        version = listed["metadata"]["resourceVersion"]
        async for _ in client.watch(CONFIG_MAPS, version, on_open=opened.set):
            pass

    watching = asyncio.create_task(watch())
    await asyncio.wait_for(opened.wait(), 5)
    table = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    rows = [line.split() for line in table.splitlines()[1:]]
    timers = [row[5] for row in rows if row[2].endswith(f":{server.port:04X}") and row[3] == "01"]
    assert timers
    for timer in timers:
        kind, _, when = timer.partition(":")
        assert kind == "02"
        assert 0 < int(when, 16) <= KEEPALIVE_S * 100
    watching.cancel()


async def test_an_object_is_created_read_replaced_patched_and_deleted(client: KubeClient) -> None:
    created = await client.create(CONFIG_MAPS, config_map("a", x="1"), manager="tests")
    assert await client.get(CONFIG_MAPS, "default", "a") == created
    replaced = await client.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})
    assert replaced["data"] == {"x": "2"}
    key = ("default", "a")
    merged = await client.patch(CONFIG_MAPS, key, {"data": {"y": "3"}})
    assert merged["data"] == {"x": "2", "y": "3"}
    changed = await client.patch(
        CONFIG_MAPS, key, [{"op": "remove", "path": "/data/x"}], type="json"
    )
    assert changed["data"] == {"y": "3"}
    await client.delete(CONFIG_MAPS, "default", "a", uid=created["metadata"]["uid"])
    with pytest.raises(ApiError) as gone:
        await client.get(CONFIG_MAPS, "default", "a")
    assert gone.value.not_found
    assert gone.value.message == 'configmaps "a" not found'


async def test_apply_owns_what_it_names_and_takes_away_what_it_no_longer_names(
    client: KubeClient,
) -> None:
    await client.apply(CONFIG_MAPS, config_map("a", mine="1", old="1"), "one")
    await client.patch(CONFIG_MAPS, ("default", "a"), {"data": {"theirs": "2"}})
    applied = await client.apply(CONFIG_MAPS, config_map("a", mine="3"), "one")
    assert applied["data"] == {"mine": "3", "theirs": "2"}
    again = await client.apply(CONFIG_MAPS, config_map("a", mine="3"), "one")
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


async def test_scale_writes_the_replicas_and_nothing_else(client: KubeClient) -> None:
    await client.create(DEPLOYMENTS, deployment("d"))
    scaled = await client.scale(DEPLOYMENTS, "default", "d", 0)
    assert scaled["kind"] == "Scale"
    assert (await client.get(DEPLOYMENTS, "default", "d"))["spec"]["replicas"] == 0


async def test_status_is_written_apart_from_the_spec(client: KubeClient) -> None:
    created = await client.create(DEPLOYMENTS, deployment("d"))
    created["spec"]["replicas"] = 5
    created["status"] = {"replicas": 1}
    answer = await client.replace_status(DEPLOYMENTS, created)
    assert answer["status"]["replicas"] == 1
    assert answer["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        pytest.param(
            lambda c: c.get(CONFIG_MAPS, "default", "nope"), 404, "NotFound", id="not there"
        ),
        pytest.param(
            lambda c: c.create(NAMESPACES, {"metadata": {"name": "default"}}),
            409,
            "AlreadyExists",
            id="there already",
        ),
        pytest.param(
            lambda c: c.replace(
                NAMESPACES, {"metadata": {"name": "default", "resourceVersion": "1"}}
            ),
            409,
            "Conflict",
            id="changed meanwhile",
        ),
        pytest.param(
            lambda c: c.get(Resource("no.such", "v1", "things", "Thing"), "default", "x"),
            404,
            "",
            id="no such resource",
        ),
    ],
)
async def test_refusals_carry_status_and_reason(
    client: KubeClient,
    call: Callable[[KubeClient], asyncio.Future[Object]],
    status: int,
    reason: str,
) -> None:
    with pytest.raises(ApiError) as refused:
        await call(client)
    assert refused.value.status == status
    assert reason in {"", refused.value.reason}


async def test_an_unreachable_server_is_an_error_without_status() -> None:
    async with KubeClient(KubeConfig(server="http://127.0.0.1:9")) as client:
        with pytest.raises(ApiError) as failed:
            await client.get(CONFIG_MAPS, "default", "a")
    assert failed.value.status == 0
    assert failed.value.retryable
    assert "/configmaps/a" in failed.value.message


async def test_a_wrong_token_is_refused(server: ApiServer) -> None:
    async with KubeClient(KubeConfig(server=server.url, token="wrong")) as client:
        with pytest.raises(ApiError) as refused:
            await client.list(CONFIG_MAPS)
    assert refused.value.status == 401


class Followed:
    """An informer that runs, and what it told."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        self.changes: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        informer.on_event(self._on_event)

    def _on_event(self, change: str, obj: Object, _: Object | None) -> None:
        self.changes.append((change, obj["metadata"]["name"]))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def followed(client: KubeClient) -> AsyncIterator[Followed]:
    await client.create(CONFIG_MAPS, config_map("before"))
    followed = Followed(Informer(client, CONFIG_MAPS, namespace="default"))
    task = asyncio.create_task(followed.informer.run())
    await followed.informer.synced()
    yield followed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_informer_lists_and_then_follows(followed: Followed, client: KubeClient) -> None:
    assert ("default", "before") in followed.informer.items
    await client.create(CONFIG_MAPS, config_map("later"))
    await client.patch(CONFIG_MAPS, ("default", "later"), {"data": {"x": "1"}})
    await client.delete(CONFIG_MAPS, "default", "later")
    await followed.until(lambda: ("DELETED", "later") in followed.changes)
    assert [change for change, name in followed.changes if name == "later"] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
    ]
    assert ("default", "later") not in followed.informer.items
    assert followed.informer.connected


async def test_an_informer_keeps_its_cache_while_the_api_is_away_and_catches_up(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state.sqlite"
    first = ApiServer(Cluster(), ServerOptions(sqlite_path=state))
    await first.start()
    second = ApiServer(Cluster(), ServerOptions(port=first.port, sqlite_path=state))
    async with KubeClient(KubeConfig(server=first.url)) as client:
        await client.create(CONFIG_MAPS, config_map("old"))
        followed = Followed(Informer(client, CONFIG_MAPS, namespace="default"))
        task = asyncio.create_task(followed.informer.run())
        try:
            await followed.until(lambda: ("ADDED", "old") in followed.changes)
            await first.stop()
            async with asyncio.timeout(10):
                while followed.informer.connected:
                    await asyncio.sleep(0.01)
            assert ("default", "old") in followed.informer.items
            await second.start()
            await client.create(CONFIG_MAPS, config_map("fresh"))
            await client.delete(CONFIG_MAPS, "default", "old")
            await followed.until(lambda: ("ADDED", "fresh") in followed.changes)
            await followed.until(lambda: ("DELETED", "old") in followed.changes)
            assert followed.informer.connected
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await second.stop()
