from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pilotlight.kube.resources import (
    CONFIG_MAPS,
    CORE_SERVICES,
    ENDPOINT_SLICES,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    SECRETS,
    VALIDATING_WEBHOOKS,
    Resource,
)
from pilotlight_local.apiserver.cluster import Cluster, WriteOptions
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.webhooks import Webhooks
from tests.local.apiserver.harness import self_signed

Object = dict[str, Any]
Decide = Callable[[Object], Object]


class Hook:
    """A webhook that answers as a test tells it to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Object] = []
        self.connections: set[Any] = set()
        self.decide: Decide = lambda request: {"allowed": True}
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0

    async def serve(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        review = await request.json()
        self.requests.append(review["request"])
        await self.hold.wait()
        answer = {"uid": review["request"]["uid"], **self.decide(review["request"])}
        return web.json_response({**review, "request": None, "response": answer})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/admit"


async def _listen(hook: Hook, **options: Any) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/admit", hook.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, **options).start()
    hook.port = runner.addresses[0][1]
    return runner


async def _stop(runner: web.AppRunner) -> None:
    server = runner.server
    transports = [c.transport for c in server.connections] if server else []
    await runner.cleanup()
    for transport in transports:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    runner = await _listen(made)
    yield made
    made.hold.set()
    await _stop(runner)


@pytest.fixture
async def admitted(cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster that asks webhooks."""
    webhooks = Webhooks(cluster.state)
    cluster.state.admission = webhooks
    yield cluster
    await webhooks.close()


def _webhook(config: Object, **more: Any) -> Object:
    return {
        "name": "check.example.com",
        "clientConfig": config,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "resources": ["configmaps"],
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }


async def _configure(
    cluster: Cluster, resource: Resource, *webhooks: Object, name: str = "a"
) -> None:
    await cluster.create(resource, {"metadata": {"name": name}, "webhooks": list(webhooks)})


def _map(name: str = "m", **metadata: Any) -> Object:
    metadata = {"name": name, "namespace": "default", **metadata}
    return {"metadata": metadata, "data": {"k": "v"}}


def _patch(*operations: Object) -> Object:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


async def test_a_webhook_changes_an_object(admitted: Cluster, hook: Hook) -> None:
    hook.decide = lambda request: _patch(
        {"op": "add", "path": "/data/added", "value": "yes"},
        {"op": "replace", "path": "/metadata/uid", "value": "mine"},
    )
    await _configure(admitted, MUTATING_WEBHOOKS, _webhook({"url": hook.url}))
    made = await admitted.create(CONFIG_MAPS, _map())
    assert made["data"] == {"k": "v", "added": "yes"}
    assert made["metadata"]["uid"] != "mine"
    (request,) = hook.requests
    assert request["operation"] == "CREATE"
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (request["namespace"], request["name"]) == ("default", "m")
    assert request["oldObject"] is None
    assert request["object"]["apiVersion"] == "v1"
    assert request["userInfo"] == {
        "username": "kubernetes-admin",
        "groups": ["system:masters", "system:authenticated"],
    }


async def test_a_denial_is_told_in_its_own_words(admitted: Cluster, hook: Hook) -> None:
    hook.decide = lambda request: {
        "allowed": False,
        "status": {"code": 403, "message": "not on Fridays", "reason": "Forbidden"},
        "warnings": ["be careful"],
    }
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook({"url": hook.url}))
    options = WriteOptions()
    with pytest.raises(ApiError) as caught:
        await admitted.create(CONFIG_MAPS, _map(), options=options)
    assert caught.value.status == 403
    assert caught.value.message == (
        'admission webhook "check.example.com" denied the request: not on Fridays'
    )
    assert options.warnings == ["be careful"]
    assert admitted.get(CONFIG_MAPS, "default", "m") is None


async def test_a_denial_without_a_code_is_a_bad_request(admitted: Cluster, hook: Hook) -> None:
    hook.decide = lambda request: {"allowed": False}
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook({"url": hook.url}))
    with pytest.raises(ApiError, match="denied the request without explanation") as caught:
        await admitted.create(CONFIG_MAPS, _map())
    assert caught.value.status == 400


async def test_updates_and_deletions_are_asked_about(admitted: Cluster, hook: Hook) -> None:
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook({"url": hook.url}))
    await admitted.create(CONFIG_MAPS, _map())
    await admitted.patch(CONFIG_MAPS, "default", "m", {"data": {"k": "w"}})
    await admitted.delete(CONFIG_MAPS, "default", "m")
    created, updated, deleted = hook.requests
    assert [r["operation"] for r in (created, updated, deleted)] == ["CREATE", "UPDATE", "DELETE"]
    assert (updated["oldObject"]["data"], updated["object"]["data"]) == ({"k": "v"}, {"k": "w"})
    assert deleted["object"] is None
    assert deleted["oldObject"]["data"] == {"k": "w"}
    # One connection is kept for all of them.
    assert len(hook.connections) == 1


async def test_what_does_not_match_is_not_asked_about(admitted: Cluster, hook: Hook) -> None:
    rule = _webhook({"url": hook.url})["rules"][0]
    hooks: list[Object] = [
        {"rules": [{**rule, "operations": ["UPDATE"]}]},
        {"rules": [{**rule, "resources": ["secrets"]}]},
        {"rules": [{**rule, "resources": ["configmaps/status"]}]},
        {"rules": [{**rule, "apiGroups": ["apps"]}]},
        {"rules": [{**rule, "scope": "Cluster"}]},
        {"objectSelector": {"matchLabels": {"watched": "yes"}}},
        {"namespaceSelector": {"matchLabels": {"watched": "yes"}}},
        {"matchConditions": [{"name": "x", "expression": "request.name == 'other'"}]},
    ]
    for position, more in enumerate(hooks):
        webhook = _webhook({"url": hook.url}, **more)
        await _configure(admitted, VALIDATING_WEBHOOKS, webhook, name=f"w{position}")
    await admitted.create(CONFIG_MAPS, _map())
    await admitted.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    assert [r["resource"]["resource"] for r in hook.requests] == ["secrets"]
    await admitted.patch(NAMESPACES, None, "default", {"metadata": {"labels": {"watched": "yes"}}})
    await admitted.create(CONFIG_MAPS, _map("other", labels={"watched": "yes"}))
    assert len(hook.requests) == 4


async def test_mutations_build_on_each_other(admitted: Cluster, hook: Hook) -> None:
    def count(request: Object) -> Object:
        number = int(request["object"]["data"].get("n", "0"))
        return _patch({"op": "add", "path": "/data/n", "value": str(number + 1)})

    hook.decide = count
    first = _webhook({"url": hook.url}, name="b.example.com", reinvocationPolicy="IfNeeded")
    second = _webhook({"url": hook.url}, name="a.example.com")
    await _configure(admitted, MUTATING_WEBHOOKS, first, name="a")
    await _configure(admitted, MUTATING_WEBHOOKS, second, name="b")
    made = await admitted.create(CONFIG_MAPS, _map())
    assert made["data"]["n"] == "3"


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_a_webhook_that_is_not_there(admitted: Cluster, hook: Hook, policy: str) -> None:
    config = {"service": {"name": "none", "namespace": "default", "path": "/x"}}
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook(config, failurePolicy=policy))
    if policy == "Ignore":
        await admitted.create(CONFIG_MAPS, _map())
        return
    with pytest.raises(ApiError) as caught:
        await admitted.create(CONFIG_MAPS, _map())
    assert caught.value.status == 500
    assert caught.value.message.startswith(
        'Internal error occurred: failed calling webhook "check.example.com": '
    )
    assert 'no endpoints available for service "none"' in caught.value.message


async def test_a_webhook_that_hangs(admitted: Cluster, hook: Hook) -> None:
    hook.hold.clear()
    webhook = _webhook({"url": hook.url}, timeoutSeconds=1)
    await _configure(admitted, VALIDATING_WEBHOOKS, webhook)
    with pytest.raises(ApiError, match="context deadline exceeded"):
        await admitted.create(CONFIG_MAPS, _map())


NONSENSE: dict[str, Object] = {
    "wrong uid": {"uid": "x", "allowed": True},
    "not a patch": {"allowed": True, "patchType": "JSONPatch", "patch": "%%%"},
    "another type of patch": {"allowed": True, "patchType": "Merge", "patch": "e30="},
}


@pytest.mark.parametrize("response", NONSENSE.values(), ids=NONSENSE)
async def test_a_webhook_that_answers_nonsense(
    admitted: Cluster, hook: Hook, response: Object
) -> None:
    hook.decide = lambda request: response
    await _configure(admitted, MUTATING_WEBHOOKS, _webhook({"url": hook.url}))
    with pytest.raises(ApiError, match="failed calling webhook"):
        await admitted.create(CONFIG_MAPS, _map())


async def test_a_write_that_came_in_between_is_not_lost(admitted: Cluster, hook: Hook) -> None:
    await admitted.create(CONFIG_MAPS, _map())
    rule = {**_webhook({})["rules"][0], "operations": ["UPDATE"]}
    webhook = _webhook({"url": hook.url}, rules=[rule])
    await _configure(admitted, VALIDATING_WEBHOOKS, webhook)
    hook.hold.clear()

    async def patched(data: Object) -> None:
        await admitted.patch(CONFIG_MAPS, "default", "m", {"data": data})

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(patched({f"k{number}": "v"}))
        while len(hook.requests) < 4:
            await asyncio.sleep(0.001)
        hook.hold.set()
    made = admitted.get(CONFIG_MAPS, "default", "m")
    assert made is not None
    assert set(made["data"]) == {"k", "k0", "k1", "k2", "k3"}


async def test_a_service_leads_to_its_pods(admitted: Cluster, tmp_path: Path) -> None:
    authority, context = self_signed(tmp_path, "hooks.default.svc")
    secure = Hook()
    runner = await _listen(secure, ssl_context=context)
    ports = [{"name": "https", "port": 443, "targetPort": 8443}]
    service = {"metadata": {"name": "hooks", "namespace": "default"}, "spec": {"ports": ports}}
    await admitted.create(CORE_SERVICES, service)
    labels = {"kubernetes.io/service-name": "hooks"}
    piece = {
        "metadata": {"name": "hooks-1", "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
            {"addresses": ["127.0.0.9"], "conditions": {"ready": False}},
        ],
        "ports": [{"name": "https", "port": secure.port}],
    }
    await admitted.create(ENDPOINT_SLICES, piece)
    config = {
        "service": {"name": "hooks", "namespace": "default", "path": "/admit"},
        "caBundle": base64.b64encode(authority).decode(),
    }
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook(config))
    await admitted.create(CONFIG_MAPS, _map())
    assert len(secure.requests) == 1
    other, _ = self_signed(tmp_path, "hooks.default.svc")
    config["caBundle"] = base64.b64encode(other).decode()
    webhooks = [_webhook(config, name="b.example.com")]
    await admitted.patch(VALIDATING_WEBHOOKS, None, "a", {"webhooks": webhooks})
    with pytest.raises(ApiError, match="failed calling webhook"):
        await admitted.create(CONFIG_MAPS, _map("n"))
    await _stop(runner)


async def test_a_dry_run_is_one_for_webhooks_too(admitted: Cluster, hook: Hook) -> None:
    await _configure(admitted, VALIDATING_WEBHOOKS, _webhook({"url": hook.url}))
    await admitted.create(CONFIG_MAPS, _map(), options=WriteOptions(dry_run=True))
    assert hook.requests[0]["dryRun"] is True
