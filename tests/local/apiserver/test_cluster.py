from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.kube.resources import (
    CONFIG_MAPS,
    CORE_SERVICES,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    Resource,
)
from pilotlight_local.apiserver.cluster import Cluster, WriteOptions
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.values import copy_json

Object = dict[str, Any]
Make = Callable[..., Object]
LAMPS = Resource("example.com", "v1", "lamps", "Lamp")


def _map(name: str, **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_a_new_object_gets_what_the_server_gives(cluster: Cluster, deployment: Make) -> None:
    made = await cluster.create(DEPLOYMENTS, deployment())
    metadata = made["metadata"]
    assert metadata["generation"] == 1
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) == cluster.store.version
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == "25%"
    assert made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    assert metadata["managedFields"][0]["operation"] == "Update"


async def test_the_given_object_is_left_alone(cluster: Cluster, deployment: Make) -> None:
    given = deployment()
    before = copy_json(given)
    made = await cluster.create(DEPLOYMENTS, given)
    assert given == before
    await cluster.update(DEPLOYMENTS, made)
    assert cluster.get(DEPLOYMENTS, "default", "web") is made


async def test_generation_counts_changes_of_the_spec(cluster: Cluster, deployment: Make) -> None:
    await cluster.create(DEPLOYMENTS, deployment())

    async def patched(patch: Object, **more: Any) -> int:
        made = await cluster.patch(DEPLOYMENTS, "default", "web", patch, **more)
        return int(made["metadata"]["generation"])

    assert await patched({"metadata": {"labels": {"a": "b"}}}) == 1
    assert await patched({"spec": {"replicas": 3}}) == 2
    assert await patched({"status": {"replicas": 3}}) == 2
    assert await patched({"status": {"replicas": 3}}, subresource="status") == 2
    made = cluster.get(DEPLOYMENTS, "default", "web")
    assert made is not None
    assert made["status"] == {"replicas": 3}


async def test_status_and_spec_are_written_apart(cluster: Cluster, deployment: Make) -> None:
    made = await cluster.create(DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}})
    assert made["status"] == {}
    changed = {**copy_json(made), "status": {"replicas": 5}}
    changed["spec"]["replicas"] = 7
    updated = await cluster.update(DEPLOYMENTS, changed)
    assert (updated["spec"]["replicas"], updated["status"]) == (7, {})
    changed["spec"]["replicas"] = 8
    changed["metadata"]["resourceVersion"] = updated["metadata"]["resourceVersion"]
    updated = await cluster.update_status(DEPLOYMENTS, changed)
    assert (updated["spec"]["replicas"], updated["status"]) == (7, {"replicas": 5})


async def test_a_write_that_changes_nothing_keeps_the_version(cluster: Cluster) -> None:
    made = await cluster.create(CONFIG_MAPS, _map("a", x="1"))
    version = cluster.store.version
    assert await cluster.patch(CONFIG_MAPS, "default", "a", {"data": {"x": "1"}}) is made
    assert await cluster.update(CONFIG_MAPS, made) is made
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"y": "2"}}
    await cluster.patch(CONFIG_MAPS, "default", "a", config, "apply", manager="m")
    assert cluster.store.version == version + 1
    await cluster.patch(CONFIG_MAPS, "default", "a", config, "apply", manager="m")
    assert cluster.store.version == version + 1


async def test_a_stale_version_is_a_conflict(cluster: Cluster) -> None:
    made = await cluster.create(CONFIG_MAPS, _map("a", x="1"))
    await cluster.patch(CONFIG_MAPS, "default", "a", {"data": {"x": "2"}})
    with pytest.raises(ApiError) as caught:
        await cluster.update(CONFIG_MAPS, made)
    assert caught.value.reason == "Conflict"
    assert caught.value.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please'
        " apply your changes to the latest version and try again"
    )
    patch = {"metadata": {"resourceVersion": "1"}}
    with pytest.raises(ApiError, match="has been modified"):
        await cluster.patch(CONFIG_MAPS, "default", "a", patch)
    unpinned = {**copy_json(made), "data": {"x": "3"}}
    del unpinned["metadata"]["resourceVersion"]
    assert (await cluster.update(CONFIG_MAPS, unpinned))["data"] == {"x": "3"}
    with pytest.raises(ApiError, match="UID in precondition: wrong"):
        await cluster.patch(CONFIG_MAPS, "default", "a", {"metadata": {"uid": "wrong"}})


async def test_the_server_owns_its_metadata(cluster: Cluster) -> None:
    made = await cluster.create(CONFIG_MAPS, _map("a"))
    patch = {"metadata": {"generation": 9, "creationTimestamp": "x", "deletionTimestamp": "y"}}
    assert await cluster.patch(CONFIG_MAPS, "default", "a", patch) is made


REFUSALS: dict[str, tuple[Resource, Object, int, str, str]] = {
    "exists": (
        NAMESPACES,
        {"metadata": {"name": "default"}},
        409,
        "AlreadyExists",
        'namespaces "default" already exists',
    ),
    "no namespace": (
        CONFIG_MAPS,
        {"metadata": {"name": "a", "namespace": "nowhere"}},
        404,
        "NotFound",
        'namespaces "nowhere" not found',
    ),
    "no name": (
        CONFIG_MAPS,
        {"metadata": {"namespace": "default"}},
        422,
        "Invalid",
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    "a name in capitals": (
        CONFIG_MAPS,
        {"metadata": {"name": "Big", "namespace": "default"}},
        422,
        "Invalid",
        'ConfigMap "Big" is invalid: metadata.name: Invalid value: "Big": a lowercase RFC 1123'
        " subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
        " and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
        " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ),
    "a label with a blank": (
        CONFIG_MAPS,
        {"metadata": {"name": "a", "namespace": "default", "labels": {"a": "b c"}}},
        422,
        "Invalid",
        'ConfigMap "a" is invalid: metadata.labels: Invalid value: "b c": a valid label must be an'
        " empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
        " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex"
        " used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ),
    "a version at creation": (
        CONFIG_MAPS,
        {"metadata": {"name": "a", "namespace": "default", "resourceVersion": "1"}},
        400,
        "BadRequest",
        "resourceVersion should not be set on objects to be created",
    ),
    "another kind": (
        CONFIG_MAPS,
        {"kind": "Secret", "metadata": {"name": "a", "namespace": "default"}},
        400,
        "BadRequest",
        "the object provided is of kind Secret, but the request is for ConfigMap",
    ),
    "a service without ports": (
        CORE_SERVICES,
        {"metadata": {"name": "a", "namespace": "default"}, "spec": {"selector": {"a": "b"}}},
        422,
        "Invalid",
        'Service "a" is invalid: spec.ports: Required value',
    ),
    "a pod without containers": (
        PODS,
        {"metadata": {"name": "a", "namespace": "default"}, "spec": {}},
        422,
        "Invalid",
        'Pod "a" is invalid: spec.containers: Required value',
    ),
}


@pytest.mark.parametrize(
    ("resource", "obj", "status", "reason", "message"), REFUSALS.values(), ids=REFUSALS
)
async def test_refusals(
    cluster: Cluster, resource: Resource, obj: Object, status: int, reason: str, message: str
) -> None:
    before = cluster.store.version
    with pytest.raises(ApiError) as caught:
        await cluster.create(resource, obj)
    error = caught.value
    assert (error.status, error.reason, error.message) == (status, reason, message)
    assert cluster.store.version == before


async def test_a_selector_has_to_match_its_template(cluster: Cluster, deployment: Make) -> None:
    wrong = deployment(selector={"matchLabels": {"app": "other"}})
    with pytest.raises(ApiError) as caught:
        await cluster.create(DEPLOYMENTS, wrong)
    assert caught.value.causes[0].text == (
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match'
        " template `labels`"
    )
    await cluster.create(DEPLOYMENTS, deployment())
    patch = {"spec": {"selector": {"matchLabels": {"x": "y"}}}}
    with pytest.raises(ApiError, match="field is immutable"):
        await cluster.patch(DEPLOYMENTS, "default", "web", patch)


async def test_names_are_generated(cluster: Cluster) -> None:
    given = {"metadata": {"generateName": "job-", "namespace": "default"}}
    names = {(await cluster.create(CONFIG_MAPS, given))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_a_dry_run_changes_nothing(cluster: Cluster) -> None:
    version = cluster.store.version
    options = WriteOptions(dry_run=True)
    assert (await cluster.create(CONFIG_MAPS, _map("a"), options=options))["metadata"]["uid"]
    assert cluster.get(CONFIG_MAPS, "default", "a") is None
    assert cluster.store.version == version


async def test_secrets_take_plain_texts(cluster: Cluster) -> None:
    secret = {"metadata": {"name": "a", "namespace": "default"}, "stringData": {"k": "v"}}
    made = await cluster.create(SECRETS, secret)
    assert made["data"] == {"k": "dg=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


async def test_services_get_addresses_of_their_own(cluster: Cluster) -> None:
    def service(name: str, **spec: Any) -> Object:
        return {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"port": 80}], **spec},
        }

    first = await cluster.create(CORE_SERVICES, service("a"))
    second = await cluster.create(CORE_SERVICES, service("b"))
    headless = await cluster.create(CORE_SERVICES, service("c", clusterIP="None"))
    assert first["spec"]["clusterIP"] != second["spec"]["clusterIP"]
    assert headless["spec"]["clusterIPs"] == ["None"]
    assert first["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    kept = {k: v for k, v in first["spec"].items() if not k.startswith("clusterIP")}
    updated = await cluster.update(CORE_SERVICES, {**first, "spec": kept})
    assert updated["spec"]["clusterIP"] == first["spec"]["clusterIP"]
    with pytest.raises(ApiError, match="may not change once set"):
        await cluster.patch(CORE_SERVICES, "default", "a", {"spec": {"clusterIP": "None"}})


async def test_pods_are_given_their_grace(cluster: Cluster, pod: Make) -> None:
    await cluster.create(PODS, pod())
    await cluster.patch(PODS, "default", "pod", {"spec": {"nodeName": "local"}})
    going = await cluster.delete(PODS, "default", "pod")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 30
    assert cluster.get(PODS, "default", "pod") is going
    assert await cluster.delete(PODS, "default", "pod", grace=60) is going
    sooner = await cluster.delete(PODS, "default", "pod", grace=5)
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    assert sooner["metadata"]["deletionTimestamp"] < going["metadata"]["deletionTimestamp"]
    await cluster.delete(PODS, "default", "pod", grace=0)
    assert cluster.get(PODS, "default", "pod") is None


async def test_pods_that_run_nowhere_go_at_once(cluster: Cluster, pod: Make) -> None:
    await cluster.create(PODS, pod())
    await cluster.delete(PODS, "default", "pod")
    assert cluster.get(PODS, "default", "pod") is None


async def test_finalizers_hold_an_object(cluster: Cluster) -> None:
    given = _map("a")
    given["metadata"]["finalizers"] = ["example.com/hold"]
    await cluster.create(CONFIG_MAPS, given)
    going = await cluster.delete(CONFIG_MAPS, "default", "a")
    assert going["metadata"]["deletionTimestamp"]
    patch = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        await cluster.patch(CONFIG_MAPS, "default", "a", patch)
    await cluster.patch(CONFIG_MAPS, "default", "a", {"metadata": {"finalizers": None}})
    assert cluster.get(CONFIG_MAPS, "default", "a") is None


async def test_a_deletion_can_have_a_precondition(cluster: Cluster) -> None:
    made = await cluster.create(CONFIG_MAPS, _map("a"))
    with pytest.raises(ApiError) as caught:
        await cluster.delete(CONFIG_MAPS, "default", "a", precondition_uid="other")
    assert caught.value.status == 409
    await cluster.delete(CONFIG_MAPS, "default", "a", precondition_uid=made["metadata"]["uid"])
    with pytest.raises(ApiError, match='configmaps "a" not found'):
        await cluster.delete(CONFIG_MAPS, "default", "a")


async def test_subscribers_see_every_change_in_order(cluster: Cluster) -> None:
    seen: list[tuple[str, str, bool]] = []
    unsubscribe = cluster.subscribe(
        CONFIG_MAPS,
        lambda kind, obj, old: seen.append((kind, obj["data"]["x"], old is not None)),
    )
    await cluster.create(CONFIG_MAPS, _map("a", x="1"))
    await cluster.patch(CONFIG_MAPS, "default", "a", {"data": {"x": "2"}})
    await cluster.delete(CONFIG_MAPS, "default", "a")
    unsubscribe()
    unsubscribe()
    await cluster.create(CONFIG_MAPS, _map("a", x="3"))
    assert seen == [("ADDED", "1", False), ("MODIFIED", "2", True), ("DELETED", "2", True)]


async def test_lists_by_label(cluster: Cluster, pod: Make) -> None:
    await cluster.create(PODS, pod("b", labels={"app": "x"}))
    await cluster.create(PODS, pod("a", labels={"app": "x"}))
    await cluster.create(PODS, pod("c", "other", labels={"app": "y"}))
    assert [p["metadata"]["name"] for p in cluster.list(PODS)] == ["a", "b", "c"]
    assert len(cluster.list(PODS, "default")) == 2
    assert len(cluster.list(PODS, labels={"app": "y"})) == 1
    assert len(cluster.list(PODS, labels="app in (x, y)")) == 3


async def test_concurrent_patches_are_all_kept(cluster: Cluster) -> None:
    await cluster.create(CONFIG_MAPS, _map("a"))
    patches = [{"data": {f"k{i}": "v"}} for i in range(20)]
    await asyncio.gather(*(cluster.patch(CONFIG_MAPS, "default", "a", p) for p in patches))
    made = cluster.get(CONFIG_MAPS, "default", "a")
    assert made is not None
    assert len(made["data"]) == 20


async def test_scale(cluster: Cluster, deployment: Make) -> None:
    await cluster.create(DEPLOYMENTS, deployment())
    scale = await cluster.patch(
        DEPLOYMENTS, "default", "web", {"spec": {"replicas": 4}}, subresource="scale"
    )
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 4}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    made = cluster.get(DEPLOYMENTS, "default", "web")
    assert made is not None
    assert (made["spec"]["replicas"], made["metadata"]["generation"]) == (4, 2)
    bad = {"spec": {"replicas": -1}}
    with pytest.raises(ApiError, match="must be greater than or equal to 0"):
        await cluster.patch(DEPLOYMENTS, "default", "web", bad, subresource="scale")


async def test_a_definition_is_served_at_once(cluster: Cluster, crd: Make) -> None:
    schema = {
        "spec": {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}}
    }
    made = await cluster.create(CUSTOM_RESOURCE_DEFINITIONS, crd(schema))
    assert {c["type"]: c["status"] for c in made["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    lamp = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"odd": 1}}
    assert (await cluster.create(LAMPS, lamp))["spec"] == {"on": True}
    options = WriteOptions(field_validation="Strict")
    with pytest.raises(ApiError) as caught:
        await cluster.create(LAMPS, lamp, options=options)
    assert caught.value.message == (
        'Lamp in version "v1" cannot be handled as a Lamp: strict decoding error: unknown field'
        ' "spec.odd"'
    )


async def test_two_versions_of_one_kind(cluster: Cluster, crd: Make) -> None:
    definition = crd({"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}})
    second = {**copy_json(definition["spec"]["versions"][0]), "name": "v2beta1", "storage": False}
    definition["spec"]["versions"].append(second)
    await cluster.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    beta = Resource("example.com", "v2beta1", "lamps", "Lamp")
    await cluster.create(LAMPS, {"metadata": {"name": "a", "namespace": "default"}, "spec": {}})
    await cluster.patch(beta, "default", "a", {"spec": {"x": 1}})
    made = cluster.get(LAMPS, "default", "a")
    assert made is not None
    assert made["spec"] == {"x": 1}
    assert made["apiVersion"] == "example.com/v1"


BAD_DEFINITIONS = {
    "name": (
        lambda crd: crd["metadata"].update(name="bulbs.example.com"),
        'metadata.name: Invalid value: "bulbs.example.com": must be'
        ' spec.names.plural+"."+spec.group',
    ),
    "storage": (
        lambda crd: crd["spec"]["versions"][0].update(storage=False),
        'spec.versions: Invalid value: ["v1"]: must have exactly one version marked as storage'
        " version",
    ),
    "schema": (
        lambda crd: crd["spec"]["versions"][0].pop("schema"),
        "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
    ),
    "untyped": (
        lambda crd: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(
            x={"properties": {}}
        ),
        "spec.versions[0].schema.openAPIV3Schema.properties[x].type: Required value: must not be"
        " empty for specified object fields",
    ),
    "scope": (
        lambda crd: crd["spec"].update(scope="Global"),
        'spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced"',
    ),
}


@pytest.mark.parametrize(("spoil", "text"), BAD_DEFINITIONS.values(), ids=BAD_DEFINITIONS)
async def test_bad_definitions(
    cluster: Cluster, crd: Make, spoil: Callable[[Object], object], text: str
) -> None:
    definition = crd({})
    spoil(definition)
    with pytest.raises(ApiError) as caught:
        await cluster.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    assert text in [cause.text for cause in caught.value.causes]


async def test_a_resource_that_is_not_served(cluster: Cluster) -> None:
    with pytest.raises(ApiError, match="could not find the requested resource"):
        cluster.list(LAMPS)
