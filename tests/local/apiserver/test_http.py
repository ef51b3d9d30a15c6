from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from pilotlight.kube.resources import CONFIG_MAPS
from pilotlight_local.apiserver import streaming
from tests.local.apiserver.harness import TOKEN, Running

Object = dict[str, Any]
Make = Callable[..., Object]
MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def _map(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"k": name},
    }


async def test_a_life(running: Running) -> None:
    made = await running.call("POST", MAPS, _map("a"), 201)
    assert made["metadata"]["namespace"] == "default"
    read = await running.call("GET", f"{MAPS}/a", status=200)
    assert read == made
    made["data"]["k"] = "b"
    await running.call("PUT", f"{MAPS}/a", made, 200)
    patch = {"data": {"x": "y"}}
    kind = "application/merge-patch+json"
    patched = await running.call("PATCH", f"{MAPS}/a", patch, 200, Content_Type=kind)
    assert patched["data"] == {"k": "b", "x": "y"}
    gone = await running.call("DELETE", f"{MAPS}/a", status=200)
    uid = made["metadata"]["uid"]
    assert gone["status"] == "Success"
    assert gone["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    error = await running.call("GET", f"{MAPS}/a", status=404)
    assert error == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "a" not found',
        "reason": "NotFound",
        "details": {"name": "a", "kind": "configmaps"},
        "code": 404,
    }


async def test_invalid_objects_name_each_field(running: Running, deployment: Make) -> None:
    bad = deployment()
    bad["spec"]["template"]["spec"]["containers"] = [{"name": "A_b"}]
    path = "/apis/apps/v1/namespaces/default/deployments"
    error = await running.call("POST", path, bad, 422)
    assert error["reason"] == "Invalid"
    assert error["details"]["group"] == "apps"
    assert error["details"]["kind"] == "Deployment"
    assert [cause["field"] for cause in error["details"]["causes"]] == [
        "spec.template.spec.containers[0].name",
        "spec.template.spec.containers[0].image",
    ]
    assert error["details"]["causes"][1] == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.template.spec.containers[0].image",
    }


@pytest.mark.parametrize("validation", ["Strict", "Warn", "Ignore"])
async def test_unknown_fields(running: Running, deployment: Make, validation: str) -> None:
    bad = deployment()
    bad["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    path = "/apis/apps/v1/namespaces/default/deployments"
    url = f"{path}?fieldValidation={validation}"
    text = 'unknown field "spec.template.spec.containers[0].imagee"'
    async with running.session.post(url, json=bad) as response:
        answer = await response.json()
        warnings = response.headers.getall("Warning", [])
    if validation == "Strict":
        assert response.status == 400
        assert answer["message"] == (
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
            + text
        )
    else:
        assert response.status == 201
        escaped = text.replace('"', '\\"')
        assert warnings == ([f'299 - "{escaped}"'] if validation == "Warn" else [])


async def test_values_of_wrong_types(running: Running, deployment: Make) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    error = await running.call("POST", path, deployment(replicas="three"), 400)
    assert error["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal'
        " string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/api/v1/lamps", 404, "NotFound"),
        ("GET", "/apis/nowhere.io/v1", 404, "NotFound"),
        ("GET", "/what", 404, "NotFound"),
        ("GET", "/api/v1/configmaps/a", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/namespaces/x", 404, "NotFound"),
        ("GET", f"{MAPS}/a/status", 404, "NotFound"),
        ("POST", f"{MAPS}/a", 405, "MethodNotAllowed"),
        ("PUT", MAPS, 405, "MethodNotAllowed"),
        ("GET", f"{MAPS}?labelSelector=a%20b", 400, "BadRequest"),
        ("GET", f"{MAPS}?fieldSelector=data.x%3Dy", 400, "BadRequest"),
        ("GET", f"{MAPS}?limit=x", 400, "BadRequest"),
        ("GET", f"{MAPS}?continue=x", 400, "BadRequest"),
        ("GET", f"{MAPS}?resourceVersion=99999", 504, "Timeout"),
        ("POST", f"{MAPS}?dryRun=Some", 400, "BadRequest"),
        ("POST", f"{MAPS}?fieldValidation=Harsh", 400, "BadRequest"),
        ("GET", "/api/v1/namespaces/default/configmaps/a/b/c", 404, "NotFound"),
    ],
)
async def test_requests_that_make_no_sense(
    running: Running, method: str, path: str, status: int, reason: str
) -> None:
    body = _map("a") if method in ("POST", "PUT") else None
    error = await running.call(method, path, body, status)
    assert (error["kind"], error["reason"], error["code"]) == ("Status", reason, status)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"kind":', b"\xff", b"[" * 100_000])
async def test_bodies_that_are_no_objects(running: Running, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with running.session.post(MAPS, data=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["reason"] == "BadRequest"


async def test_bodies_are_bounded(running: Running) -> None:
    large = json.dumps({**_map("a"), "data": {"k": "x" * (3 * 1024 * 1024)}}).encode()
    headers = {"Content-Type": "application/json"}
    async with running.session.post(MAPS, data=io.BytesIO(large), headers=headers) as response:
        assert response.status == 413
        assert (await response.json())["reason"] == "RequestEntityTooLarge"


async def test_yaml_and_other_types(running: Running) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {d: '2026-01-01'}\n"
    headers = {"Content-Type": "application/yaml"}
    async with running.session.post(MAPS, data=text, headers=headers) as response:
        assert response.status == 201
    headers = {"Content-Type": "text/csv"}
    async with running.session.post(MAPS, data="a,b", headers=headers) as response:
        assert response.status == 415
        assert (await response.json())["reason"] == "UnsupportedMediaType"
    url = f"{MAPS}/y?fieldManager=m"
    date = "apiVersion: v1\nkind: ConfigMap\ndata:\n  e: 2026-01-01\n"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    async with running.session.patch(url, data=date, headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["data"]["e"] == "2026-01-01"


async def test_without_the_token_nobody_comes_in(running: Running) -> None:
    async with aiohttp.ClientSession(running.server.url) as stranger:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            async with stranger.get("/api/v1/secrets", headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["reason"] == "Unauthorized"
        async with stranger.get("/readyz") as response:
            assert await response.text() == "ok"


async def test_pages_show_one_moment(running: Running) -> None:
    for name in "abcde":
        await running.call("POST", MAPS, _map(name), 201)
    first = await running.call("GET", f"{MAPS}?limit=2", status=200)
    assert [i["metadata"]["name"] for i in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await running.call("DELETE", f"{MAPS}/d", status=200)
    await running.call("POST", MAPS, _map("cc"), 201)
    token = first["metadata"]["continue"]
    rest = await running.call("GET", f"{MAPS}?limit=9&continue={token}", status=200)
    assert [i["metadata"]["name"] for i in rest["items"]] == ["c", "d", "e"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    version = first["metadata"]["resourceVersion"]
    exact = f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact"
    assert len((await running.call("GET", exact, status=200))["items"]) == 5


async def test_a_token_can_be_too_old(running: Running) -> None:
    for name in "ab":
        await running.call("POST", MAPS, _map(name), 201)
    first = await running.call("GET", f"{MAPS}?limit=1", status=200)
    for turn in range(1100):
        patch = {"data": {"turn": str(turn)}}
        await running.cluster.patch(CONFIG_MAPS, "default", "a", patch)
    token = first["metadata"]["continue"]
    error = await running.call("GET", f"{MAPS}?continue={token}", status=410)
    assert error["reason"] == "Expired"


class Watch:
    """Lines of a watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> Any:
        async with asyncio.timeout(5):
            line = await self._response.content.readline()
        return json.loads(line) if line else None

    async def names(self, count: int) -> list[tuple[str, str]]:
        events = [await self.next() for _ in range(count)]
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]


async def test_a_watch_begins_with_what_is_there(running: Running) -> None:
    await running.call("POST", MAPS, _map("a"), 201)
    async with running.session.get(f"{MAPS}?watch=1") as response:
        watch = Watch(response)
        assert await watch.names(1) == [("ADDED", "a")]
        await running.call("POST", MAPS, _map("b"), 201)
        await running.call("DELETE", f"{MAPS}/a", status=200)
        assert await watch.names(2) == [("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_goes_on_from_a_version(running: Running) -> None:
    made = await running.call("POST", MAPS, _map("a"), 201)
    version = made["metadata"]["resourceVersion"]
    await running.call("POST", MAPS, _map("b"), 201)
    await running.call("DELETE", f"{MAPS}/a", status=200)
    url = f"{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=1&allowWatchBookmarks=true"
    async with running.session.get(url) as response:
        watch = Watch(response)
        assert await watch.names(2) == [("ADDED", "b"), ("DELETED", "a")]
        event = await watch.next()
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["resourceVersion"] == str(running.cluster.store.version)
        assert await watch.next() is None


async def test_a_watch_streams_its_initial_list(running: Running) -> None:
    await running.call("POST", MAPS, _map("a"), 201)
    url = (
        f"{MAPS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
        "&resourceVersionMatch=NotOlderThan&resourceVersion="
    )
    async with running.session.get(url) as response:
        watch = Watch(response)
        assert await watch.names(1) == [("ADDED", "a")]
        bookmark = await watch.next()
        annotations = bookmark["object"]["metadata"]["annotations"]
        assert annotations == {"k8s.io/initial-events-end": "true"}
        await running.call("POST", MAPS, _map("b"), 201)
        assert await watch.names(1) == [("ADDED", "b")]
    bad = f"{MAPS}?watch=true&sendInitialEvents=true"
    await running.call("GET", bad, status=422)


async def test_a_watch_of_selected_objects(running: Running) -> None:
    await running.call("POST", MAPS, _map("a", tier="x"), 201)
    async with running.session.get(f"{MAPS}?watch=true&labelSelector=tier%3Dx") as response:
        watch = Watch(response)
        assert await watch.names(1) == [("ADDED", "a")]
        kind = "application/merge-patch+json"
        for labels in ({"tier": "y"}, {"tier": "x"}, {"more": "z"}):
            patch = {"metadata": {"labels": labels}}
            await running.call("PATCH", f"{MAPS}/a", patch, 200, Content_Type=kind)
        await running.call("POST", MAPS, _map("b", tier="y"), 201)
        await running.call("DELETE", f"{MAPS}/a", status=200)
        assert [kind for kind, _ in await watch.names(4)] == [
            "DELETED",
            "ADDED",
            "MODIFIED",
            "DELETED",
        ]
    field = f"{MAPS}?watch=true&fieldSelector=metadata.name%3Db"
    async with running.session.get(field) as response:
        assert await Watch(response).names(1) == [("ADDED", "b")]


async def test_a_watch_from_a_forgotten_version(running: Running) -> None:
    made = await running.call("POST", MAPS, _map("a"), 201)
    for turn in range(1100):
        patch = {"data": {"turn": str(turn)}}
        await running.cluster.patch(CONFIG_MAPS, "default", "a", patch)
    for version in (made["metadata"]["resourceVersion"], "999999"):
        url = f"{MAPS}?watch=true&resourceVersion={version}"
        async with running.session.get(url) as response:
            event = await Watch(response).next()
            assert event["type"] == "ERROR"
            assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


async def test_a_watch_is_told_the_latest_version(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BOOKMARK_S", 0.05)
    async with running.session.get(f"{MAPS}?watch=true&allowWatchBookmarks=true") as response:
        watch = Watch(response)
        assert (await watch.next())["type"] == "BOOKMARK"
        await running.call("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}}, 201)
        while True:
            event = await watch.next()
            version = int(event["object"]["metadata"]["resourceVersion"])
            if version == running.cluster.store.version:
                break


async def test_watches_end_with_the_server_and_the_client(
    running: Running, eventually: Callable[..., Any]
) -> None:
    watchers = running.server._handlers.watchers
    async with running.session.get(f"{MAPS}?watch=true"):
        assert len(watchers) == 1
    await eventually(lambda: not watchers)
    async with running.session.get(f"{MAPS}?watch=true") as response:
        async with asyncio.timeout(3):
            await running.server.stop()
        assert await response.content.read() == b""


async def test_tables(running: Running, pod: Make) -> None:
    await running.call("POST", "/api/v1/namespaces/default/pods", pod(), 201)
    table = await running.call("GET", "/api/v1/namespaces/default/pods", None, 200, Accept=TABLE)
    assert table["kind"] == "Table"
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names[:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert table["rows"][0]["cells"][:4] == ["pod", "0/1", "Pending", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    url = "/api/v1/namespaces/default/pods?watch=true&includeObject=Object"
    async with running.session.get(url, headers={"Accept": TABLE}) as response:
        watch = Watch(response)
        event = await watch.next()
        assert event["object"]["kind"] == "Table"
        assert event["object"]["rows"][0]["object"]["kind"] == "Pod"


async def test_printer_columns(running: Running, crd: Make) -> None:
    columns = [
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
        {"name": "Tag", "type": "string", "jsonPath": ".metadata.labels.example\\.com/tag"},
        {"name": "Born", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    keep = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = crd(
        {"spec": keep, "status": keep},
        additionalPrinterColumns=columns,
        subresources={"status": {}},
    )
    await running.call(
        "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition, 201
    )
    lamps = "/apis/example.com/v1/namespaces/default/lamps"
    metadata = {"name": "a", "labels": {"example.com/tag": "t"}}
    lamp = {"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": metadata}
    await running.call("POST", lamps, {**lamp, "spec": {"on": True}}, 201)
    status = {"status": {"conditions": [{"type": "Other"}, {"type": "Ready", "status": "True"}]}}
    kind = "application/merge-patch+json"
    await running.call("PATCH", f"{lamps}/a/status", status, 200, Content_Type=kind)
    table = await running.call("GET", lamps, None, 200, Accept=TABLE)
    assert table["rows"][0]["cells"] == ["a", True, "True", "t", "0s"]


async def test_discovery(running: Running) -> None:
    assert (await running.call("GET", "/api"))["versions"] == ["v1"]
    groups = {g["name"] for g in (await running.call("GET", "/apis"))["groups"]}
    assert {"apps", "discovery.k8s.io", "apiextensions.k8s.io", "authorization.k8s.io"} <= groups
    resources = await running.call("GET", "/apis/apps/v1")
    names = {r["name"] for r in resources["resources"]}
    assert {"deployments", "deployments/scale", "deployments/status", "replicasets"} <= names
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    async with running.session.get("/apis", headers={"Accept": accept}) as response:
        assert response.headers["Content-Type"] == accept.partition(",")[0]
        found = await response.json()
    apps = next(i for i in found["items"] if i["metadata"]["name"] == "apps")
    deployments = next(
        r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments"
    )
    assert deployments["shortNames"] == ["deploy"]
    assert {s["subresource"] for s in deployments["subresources"]} == {"scale", "status"}
    assert (await running.call("GET", "/version"))["major"] == "1"


async def test_documents(running: Running, crd: Make) -> None:
    schema = {"spec": {"type": "object", "description": "What is wanted."}}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await running.call("POST", path, crd(schema), 201)
    paths = (await running.call("GET", "/openapi/v3"))["paths"]
    url = paths["apis/example.com/v1"]["serverRelativeURL"]
    document = await running.call("GET", url, status=200)
    lamp = document["components"]["schemas"]["com.example.v1.Lamp"]
    assert lamp["properties"]["spec"]["description"] == "What is wanted."
    gvk = {"group": "example.com", "version": "v1", "kind": "Lamp"}
    assert lamp["x-kubernetes-group-version-kind"] == [gvk]
    item = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/lamps/{name}"]
    assert "fieldValidation" in [p["name"] for p in item["patch"]["parameters"]]
    core = await running.call("GET", "/openapi/v3/api/v1", status=200)
    schemas = core["components"]["schemas"]
    containers = schemas["io.k8s.api.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    for reference in _references(core):
        assert reference.removeprefix("#/components/schemas/") in schemas
    old = await running.call("GET", "/openapi/v2", status=200)
    assert "com.example.v1.Lamp" in old["definitions"]
    await running.call("GET", "/openapi/v3", None, 406, Accept="application/x-other")


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    return []


async def test_partial_metadata(running: Running) -> None:
    await running.call("POST", MAPS, _map("a"), 201)
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    found = await running.call("GET", MAPS, None, 200, Accept=accept)
    assert found["kind"] == "PartialObjectMetadataList"
    assert "data" not in found["items"][0]


async def test_deleting_a_collection(running: Running) -> None:
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        await running.call("POST", MAPS, _map(name, tier=tier), 201)
    await running.call("DELETE", f"{MAPS}?labelSelector=tier%3Dx", status=200)
    left = await running.call("GET", MAPS)
    assert [i["metadata"]["name"] for i in left["items"]] == ["c"]


async def test_logs(running: Running, pod: Make) -> None:
    two = pod()
    two["spec"]["containers"].append({"name": "side", "image": "x"})
    await running.call("POST", "/api/v1/namespaces/default/pods", two, 201)
    base = "/api/v1/namespaces/default/pods/pod/log"
    error = await running.call("GET", base, status=400)
    assert error["message"] == (
        "a container name must be specified for pod pod, choose one of: [main side]"
    )
    url = f"{base}?container=side&tailLines=2&follow=true&sinceSeconds=10&timestamps=1&previous=1"
    async with running.session.get(url) as response:
        assert await response.text() == "two\nthree\n"
        assert response.headers["Content-Type"].startswith("text/plain")
    asked = running.logs.asked[-1]
    assert (asked.container, asked.tail, asked.follow) == ("side", 2, True)
    assert asked.timestamps
    assert asked.previous
    assert asked.since is not None
    async with running.session.get(f"{base}?container=main&limitBytes=5") as response:
        assert await response.text() == "one\nt"
    error = await running.call("GET", f"{base}?container=none", status=400)
    assert error["message"] == "container none is not valid for pod pod"


async def test_questions(running: Running) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    assert (await running.call("POST", path, review, 201))["status"] == {"allowed": True}
    account = {"metadata": {"name": "sa"}}
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await running.call("POST", accounts, account, 201)
    request = {"spec": {"expirationSeconds": 600}}
    token = await running.call("POST", f"{accounts}/sa/token", request, 201)
    given = {"Authorization": f"Bearer {token['status']['token']}"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    review = await running.call("POST", path, {"kind": "SelfSubjectReview"}, 201, **given)
    assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:sa"


async def test_events_in_both_groups(running: Running) -> None:
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "note": "hello",
        "regarding": {"kind": "Pod", "name": "p"},
        "type": "Normal",
        "reason": "Said",
        "action": "Say",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "me",
        "reportingInstance": "me-1",
    }
    made = await running.call(
        "POST", "/apis/events.k8s.io/v1/namespaces/default/events", event, 201
    )
    assert made["note"] == "hello"
    core = await running.call(
        "GET", "/api/v1/events?fieldSelector=involvedObject.name%3Dp", status=200
    )
    assert core["items"][0]["message"] == "hello"
    assert core["items"][0]["apiVersion"] == "v1"


async def test_server_side_apply_over_http(running: Running, deployment: Make) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    kind = "application/apply-patch+yaml"
    config = deployment(replicas=1)
    await running.call("PATCH", path, config, 422, Content_Type=kind)
    await running.call("PATCH", f"{path}?fieldManager=a", config, 201, Content_Type=kind)
    await running.call("PATCH", f"{path}?fieldManager=a", config, 200, Content_Type=kind)
    other = deployment(replicas=2)
    error = await running.call("PATCH", f"{path}?fieldManager=b", other, 409, Content_Type=kind)
    assert error["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "a"',
            "field": ".spec.replicas",
        }
    ]
    forced = f"{path}?fieldManager=b&force=true"
    made = await running.call("PATCH", forced, other, 200, Content_Type=kind)
    assert made["spec"]["replicas"] == 2
    assert made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    unknown = deployment(odd=1)
    error = await running.call("PATCH", forced, unknown, 400, Content_Type=kind)
    assert error["message"] == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment):"
        " .spec.odd: field not declared in schema"
    )
