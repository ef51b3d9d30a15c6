"""What the API shows ends up in the routing table and the backends. A small API server on a real
socket stands for the API: it lists, and streams what changes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from pilotlight import names
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight_activator.objects import read_revision
from pilotlight_activator.pods import Voice, Word
from pilotlight_activator.routes import Scope
from pilotlight_activator.service import Service
from pilotlight_activator.settings import Settings
from pilotlight_activator.watch import EXPIRE_S, Place, Watch, read_master

from .conftest import LOCALHOST, answer, here, route_rule, until

Json = dict[str, Any]


class Api:
    """Lists and watches of whatever the tests put in."""

    def __init__(self) -> None:
        self.version = 1
        self.objects: dict[str, dict[tuple[str, str], Json]] = {}
        self.events: dict[str, list[Json]] = {}
        self.changed = asyncio.Event()
        self.stopping = False
        self.asked_for_key = 0
        self.hangs = False
        """Nothing is answered, while connections stand: such a server seems to be well."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        self.stopping = False
        app = web.Application()
        app.router.add_get("/{tail:.*}", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOCALHOST, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{LOCALHOST}:{bound}"

    async def stop(self) -> None:
        self.stopping = True
        self.changed.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def put(self, plural: str, obj: Json) -> None:
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        known = self.objects.setdefault(plural, {})
        type_ = "MODIFIED" if key in known else "ADDED"
        known[key] = self._stamp(obj)
        self._tell(plural, type_, known[key])

    def drop(self, plural: str, namespace: str, name: str) -> None:
        self._tell(plural, "DELETED", self._stamp(self.objects[plural].pop((namespace, name))))

    def _stamp(self, obj: Json) -> Json:
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        return {**obj, "metadata": metadata}

    def _tell(self, plural: str, type_: str, obj: Json) -> None:
        self.events.setdefault(plural, []).append({"type": type_, "object": obj})
        self.changed.set()
        self.changed = asyncio.Event()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        while self.hangs:
            await asyncio.sleep(0.01)
        plural = request.path.rpartition("/")[2]
        if plural == names.KEYS_SECRET:
            self.asked_for_key += 1
            found = self.objects.get("secrets", {}).get((names.SYSTEM_NAMESPACE, plural))
            return web.json_response(found or {"reason": "NotFound"}, status=200 if found else 404)
        selector = request.query.get("labelSelector", "")
        if request.query.get("watch") != "true":
            items = [o for o in self.objects.get(plural, {}).values() if selects(selector, o)]
            listed = {"items": items, "metadata": {"resourceVersion": str(self.version)}}
            return web.json_response(listed)
        stream = web.StreamResponse()
        await stream.prepare(request)
        since = int(request.query["resourceVersion"])
        # As API servers do from time to time: it tells the client that all is well.
        mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}}
        await stream.write(json.dumps(mark).encode() + b"\n")
        while not self.stopping:
            changed = self.changed
            for event in self.events.get(plural, ()):
                version = int(event["object"]["metadata"]["resourceVersion"])
                if version > since and selects(selector, event["object"]):
                    since = version
                    await stream.write(json.dumps(event).encode() + b"\n")
            await changed.wait()
        return stream


def selects(selector: str, obj: Json) -> bool:
    labels = obj["metadata"].get("labels") or {}
    key, _, value = selector.partition("=")
    return not selector or (key in labels and (not value or labels[key] == value))


def meta(name: str, *, namespace: str = "shop", **more: Any) -> Json:
    return {"namespace": namespace, "name": name, **more}


def ingress(name: str = "cart", class_: str = names.INGRESS_CLASS) -> Json:
    annotations = {names.INGRESS_CLASS_ANNOTATION: class_}
    spec = {"rules": [route_rule(f"{name}.shop.localhost", f"{name}-1")]}
    return {"metadata": meta(name, annotations=annotations), "spec": spec}


def revision(name: str = "cart-1", **spec: Any) -> Json:
    labels = {names.SERVICE_LABEL: "cart"}
    return {"metadata": meta(name, uid="uid-1", labels=labels), "spec": spec}


def endpoint_slice(port: int, *, name: str = "s1", service: str = "cart-1-private") -> Json:
    labels = {names.REVISION_LABEL: "cart-1", names.ENDPOINT_SLICE_SERVICE_LABEL: service}
    return {
        "metadata": meta(name, labels=labels),
        "ports": [{"name": "http-usermetric", "port": 9091}, {"name": "http", "port": port}],
        "endpoints": [
            {
                "addresses": [LOCALHOST],
                "conditions": {"ready": False},
                "targetRef": {"kind": "Pod", "name": "pod-1"},
            }
        ],
    }


def activator_slice(*addresses: str) -> Json:
    labels = {names.ENDPOINT_SLICE_SERVICE_LABEL: names.ACTIVATOR_SERVICE}
    return {
        "metadata": meta("activators", namespace=names.SYSTEM_NAMESPACE, labels=labels),
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


def secret(key: bytes) -> Json:
    data = {names.KEYS_SECRET_FIELD: base64.b64encode(key.hex().encode()).decode()}
    return {"metadata": meta(names.KEYS_SECRET, namespace=names.SYSTEM_NAMESPACE), "data": data}


@dataclass
class World:
    api: Api
    watch: Watch
    service: Service
    deleted: list[str] = field(default_factory=list)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    api = Api()
    await api.start()
    service = Service(settings, here)
    async with KubeClient(KubeConfig(api.url)) as client:
        place = Place(names.SYSTEM_NAMESPACE, LOCALHOST)
        watch = Watch(client, service.gateway.table, service.backends, place)
        world = World(api, watch, service)
        watch.on_deleted = world.deleted.append
        running = asyncio.create_task(watch.run())
        yield world
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.prober.close()
        service.gateway.close()
    await api.stop()


async def test_ingresses_of_our_class_are_served(world: World) -> None:
    api, table = world.api, world.service.gateway.table
    api.put("ingresses", ingress())
    api.put("ingresses", ingress("other", "kourier.ingress.networking.knative.dev"))
    await until(lambda: len(table) == 1)
    rules = table.find("cart.shop.localhost", Scope.EXTERNAL)
    assert rules is not None
    assert rules.digest.decode() == ingress_hash(ingress())
    await until(lambda: world.watch.has_synced)
    api.put("ingresses", ingress("other"))
    await until(lambda: len(table) == 2)
    api.put("ingresses", ingress("other", "kourier.ingress.networking.knative.dev"))
    await until(lambda: len(table) == 1)
    api.drop("ingresses", "shop", "cart")
    await until(lambda: len(table) == 0)


async def test_revisions_bring_their_limits(world: World) -> None:
    containers = [{"image": "x", "startupProbe": {"tcpSocket": {"port": 1}}}]
    world.api.put(
        "revisions", revision(containerConcurrency=7, timeoutSeconds=12, containers=containers)
    )
    await until(lambda: world.service.backends.get("shop/cart-1"))
    backend = world.service.backends.get("shop/cart-1")
    assert backend is not None
    assert backend.spec is not None
    assert (backend.throttle.concurrency, backend.timeouts.total_s) == (7, 12.0)
    assert backend.spec.kubelet_decides
    assert backend.throttle.limits.wait_s == 12.0
    await until(lambda: world.watch.has_synced)
    world.api.drop("revisions", "shop", "cart-1")
    await until(lambda: world.service.backends.get("shop/cart-1") is None)
    assert world.deleted == ["shop/cart-1"]


async def test_pods_of_endpoint_slices_are_probed_and_used(world: World) -> None:
    from pilotlight.http import Server

    server = Server(answer(b"queue"))
    port = await server.listen(LOCALHOST, 0)
    api = world.api
    api.put("revisions", revision())
    api.put("endpointslices", endpoint_slice(port))
    # Behind a Revision's public Service stand the activators.
    api.put("endpointslices", endpoint_slice(1, name="s2", service="cart-1"))
    backend = None

    def used() -> bool:
        nonlocal backend
        backend = world.service.backends.get("shop/cart-1")
        return backend is not None and bool(backend.throttle.usable())

    await until(used)
    assert backend is not None
    assert backend.throttle.usable() == {f"pod-1@{LOCALHOST}:{port}"}
    await until(lambda: world.watch.has_synced)
    api.drop("endpointslices", "shop", "s1")
    await until(lambda: not used())
    server.close()


async def test_other_activators_change_what_is_preferred(world: World) -> None:
    world.api.put("endpointslices", activator_slice("127.0.0.0", LOCALHOST))
    await until(lambda: world.service.backends.share() == (1, 2))


async def test_the_master_key_is_read_when_it_comes(world: World) -> None:
    await until(lambda: world.watch.has_synced)
    assert world.watch.master is None
    world.api.put("secrets", {**secret(b""), "data": None})
    asked = world.api.asked_for_key
    await until(lambda: world.api.asked_for_key >= asked + 2)
    assert world.watch.master is None
    world.api.put("secrets", secret(b"k" * 32))
    assert await asyncio.wait_for(world.watch.key_known(), 5) == b"k" * 32


async def test_while_the_api_is_away_everything_stays(world: World) -> None:
    world.api.put("ingresses", ingress())
    await until(lambda: world.watch.has_synced and world.watch.connected)
    port = int(world.api.url.rpartition(":")[2])
    await world.api.stop()
    await until(lambda: not world.watch.connected)
    assert world.watch.has_synced
    assert len(world.service.gateway.table) == 1
    world.api.put("ingresses", ingress("new"))
    await world.api.start(port)
    await until(lambda: len(world.service.gateway.table) == 2, seconds=10)
    await until(lambda: world.watch.connected, seconds=10)


async def test_only_an_api_that_answers_can_have_left_a_pod_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotlight_activator.pods.CONFIRM_S", 0.1)
    world.api.put("revisions", revision())
    await until(lambda: world.watch.has_synced and world.service.backends.get("shop/cart-1"))
    world.api.hangs = True
    backend = world.service.backends.get("shop/cart-1")
    assert backend is not None
    world.service.backends.greeted("shop/cart-1", Voice(1, "pod-1", f"{LOCALHOST}:1", "uid-1"))
    world.service.backends.said("shop/cart-1", 1, "pod-1", Word.READY)
    await asyncio.sleep(2 * EXPIRE_S + 0.5)
    assert backend.throttle.has_pods()
    world.api.hangs = False
    await until(lambda: not backend.throttle.has_pods())


@pytest.mark.parametrize("data", [None, {}, {"other": "x"}, {"master": ""}])
def test_a_key_that_is_not_there_yet(data: Json | None) -> None:
    assert read_master({"data": data}) is None


def test_a_key_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="fromhex"):
        read_master({"data": {"master": base64.b64encode(b"no hex").decode()}})


@pytest.mark.parametrize(
    ("containers", "h2c"),
    [
        pytest.param([{"ports": [{"name": "h2c", "containerPort": 80}]}], True, id="h2c"),
        pytest.param([{"ports": [{"name": "http1"}]}], False, id="http1"),
        pytest.param([{"ports": [{"containerPort": 80}]}], False, id="no name"),
        pytest.param([{}, {"ports": [{"name": "h2c"}]}], True, id="beside a sidecar"),
        pytest.param([{}], False, id="no port"),
    ],
)
def test_the_ports_name_says_what_pods_speak(containers: list[dict[str, Any]], h2c: bool) -> None:
    spec = read_revision({"metadata": {"name": "r"}, "spec": {"containers": containers}})
    assert spec.h2c is h2c
