"""The operator's process against a running API server."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import Any

import pytest

from pilotlight import names
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import (
    CONFIG_MAPS,
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    EVENTS,
    INGRESSES,
    MUTATING_WEBHOOKS,
    POD_AUTOSCALERS,
    REVISIONS,
    ROUTES,
    SECRETS,
    SERVICES,
    Resource,
)
from tests.operator.conftest import Bench, eventually

Object = dict[str, Any]
WRITES = "pilotlight_operator_api_writes_total"


def hello(name: str = "hello", **spec: Any) -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "example/hello"}]}}, **spec},
    }


def ready(bench: Bench, name: str = "hello", status: str = "True") -> Any:
    def check() -> Object | None:
        obj = bench.cluster.get(SERVICES, "default", name) or {}
        state: Object = obj.get("status") or {}
        for condition in state.get("conditions") or ():
            if condition["type"] == "Ready" and condition["status"] == status:
                current = state.get("observedGeneration") == obj["metadata"]["generation"]
                return condition if current else None
        return None

    return check


async def make_ready(bench: Bench) -> None:
    await bench.client.create(SERVICES, hello())
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")
    await eventually(ready(bench), "the Service is ready")


async def test_a_service_becomes_ready_and_goes(bench: Bench) -> None:
    await bench.start_operator()
    await make_ready(bench)
    service = bench.cluster.get(SERVICES, "default", "hello")
    assert service is not None
    assert service["status"]["url"] == "http://hello.default.localhost"
    assert service["metadata"]["annotations"][names.CREATOR_ANNOTATION]
    assert "finalizers" not in service["metadata"]
    assert not [key for key in service["metadata"]["annotations"] if "kopf" in key]
    writes = await bench.metric(WRITES)
    assert writes <= 16
    # Nothing to do: nothing is written, though events still arrive.
    await bench.client.patch(SERVICES, ("default", "hello"), {"metadata": {"finalizers": []}})
    assert await bench.metric(WRITES) == writes

    await bench.client.delete(SERVICES, "default", "hello")
    for resource in (CONFIGURATIONS, ROUTES, REVISIONS, DEPLOYMENTS, POD_AUTOSCALERS, INGRESSES):
        await eventually(partial(_is_gone, bench, resource), f"{resource.plural} go")

    async def is_quiet() -> bool:
        return await bench.metric("pilotlight_operator_queue_keys") == 0

    await eventually(is_quiet, "the queue is empty")
    assert await bench.metric("pilotlight_operator_objects") == 0


async def test_what_is_wrong_is_refused(bench: Bench) -> None:
    await bench.start_operator()
    wrong = hello(traffic=[{"percent": 50, "latestRevision": True}])
    with pytest.raises(ApiError) as caught:
        await bench.client.create(SERVICES, wrong)
    assert caught.value.status == 400
    assert caught.value.message == (
        'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
        "validation failed: Traffic targets sum to 50, want 100: spec.traffic"
    )
    assert bench.cluster.list(SERVICES, "default") == []


async def test_a_restart_changes_nothing(bench: Bench) -> None:
    await bench.start_operator()
    await make_ready(bench)
    webhooks = (bench.cluster.get(MUTATING_WEBHOOKS, None, names.DEFAULTING_WEBHOOK) or {})[
        "webhooks"
    ]
    keys = bench.cluster.get(SECRETS, names.SYSTEM_NAMESPACE, names.KEYS_SECRET)
    assert await bench.end_operator() == 0
    # What happens meanwhile is caught up with.
    await _without_webhooks(bench)
    patch = {"metadata": {"labels": {"team": "blue"}}}
    await bench.client.patch(SERVICES, ("default", "hello"), patch)
    await bench.start_operator()
    await eventually(
        lambda: (bench.cluster.get(CORE_SERVICES, "default", "hello") or {})["metadata"][
            "labels"
        ].get("team"),
        "the label arrives",
    )
    await eventually(ready(bench), "the Service is ready")
    # The Configuration, the Route, the Ingress and the placeholder carry the label.
    assert await bench.metric(WRITES) <= 4
    again = bench.cluster.get(MUTATING_WEBHOOKS, None, names.DEFAULTING_WEBHOOK)
    assert again is not None
    assert again["webhooks"] == webhooks
    assert bench.cluster.get(SECRETS, names.SYSTEM_NAMESPACE, names.KEYS_SECRET) == keys


async def test_a_kill_leaves_nothing_behind(bench: Bench) -> None:
    await bench.start_operator()
    await bench.client.create(SERVICES, hello())
    await bench.end_operator(signal.SIGKILL)
    await bench.start_operator()
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")
    await eventually(ready(bench), "the Service is ready")


async def test_ready_waits_for_the_gateway(bench: Bench) -> None:
    bench.gateway.behind = True
    await bench.start_operator()
    await bench.client.create(SERVICES, hello())
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")
    condition = await eventually(ready(bench, status="Unknown"), "it is known to wait")
    while condition["reason"] != "Uninitialized":
        condition = await eventually(ready(bench, status="Unknown"), "it is known to wait")
        await asyncio.sleep(0.01)
    bench.gateway.behind = False
    await eventually(ready(bench), "the Service is ready")


async def test_settings_apply_live_and_bad_ones_do_not(bench: Bench) -> None:
    await bench.start_operator()
    await make_ready(bench)
    key = (names.SYSTEM_NAMESPACE, names.CONFIG_NETWORK)

    def url() -> str:
        service = bench.cluster.get(SERVICES, "default", "hello") or {}
        return str(service["status"]["url"])

    template = "{{.Name}}-{{.Namespace}}.{{.Domain}}"
    await bench.client.patch(CONFIG_MAPS, key, {"data": {"domain-template": template}})
    await eventually(lambda: url() == "http://hello-default.localhost", "the new host")
    await eventually(ready(bench), "the Service is ready")
    await bench.client.patch(CONFIG_MAPS, key, {"data": {"domain-template": "{{.Nobody}}"}})

    async def is_told() -> bool:
        return await bench.metric("pilotlight_operator_config_invalid") == 1

    await eventually(is_told, "the metric tells")
    assert url() == "http://hello-default.localhost"


async def test_an_operator_that_starts_with_a_bad_config_map_works_with_its_defaults(
    bench: Bench,
) -> None:
    key = (names.SYSTEM_NAMESPACE, names.CONFIG_AUTOSCALER)
    await bench.client.patch(CONFIG_MAPS, key, {"data": {"stable-window": "1s"}})
    await bench.start_operator()
    await make_ready(bench)
    assert await bench.metric("pilotlight_operator_config_invalid") == 1


async def test_a_foreign_object_stays_as_it_is(bench: Bench) -> None:
    await bench.start_operator()
    foreign: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"ports": [{"port": 1, "targetPort": 1}], "selector": {"a": "b"}},
    }
    await bench.client.create(CORE_SERVICES, foreign)
    await bench.client.create(SERVICES, hello())
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")
    condition = await eventually(ready(bench, status="False"), "it is told")
    assert condition["reason"] == "NotOwned"
    kept = bench.cluster.get(CORE_SERVICES, "default", "hello")
    assert kept is not None
    assert kept["spec"]["selector"] == {"a": "b"}
    # The name is free again.
    await bench.client.delete(CORE_SERVICES, "default", "hello")
    await eventually(ready(bench), "the Service is ready")


async def test_a_label_that_is_watched_by_comes_back(bench: Bench) -> None:
    """To a watch the object is gone then, and its name is in use."""
    await bench.start_operator()
    await make_ready(bench)
    for resource, name, label in (
        (CORE_SERVICES, "hello", names.MANAGED_BY_LABEL),
        (CORE_SERVICES, "hello-00001-private", names.MANAGED_BY_LABEL),
        (DEPLOYMENTS, "hello-00001-deployment", names.REVISION_UID_LABEL),
    ):
        patch = {"metadata": {"labels": {label: None}}}
        before = await bench.client.patch(resource, ("default", name), patch)

        def is_back(resource: Resource = resource, name: str = name, label: str = label) -> bool:
            found = bench.cluster.get(resource, "default", name) or {}
            return label in found["metadata"]["labels"]

        await eventually(is_back, f"{label} of {name}")
        after = bench.cluster.get(resource, "default", name) or {}
        assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_a_name_that_is_free_again_is_used(bench: Bench) -> None:
    await bench.start_operator()
    foreign: Object = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"traffic": [{"configurationName": "nobody", "percent": 100}]},
    }
    await bench.client.create(ROUTES, foreign)
    await bench.client.create(SERVICES, hello())
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")
    await eventually(ready(bench, status="False"), "it is told")
    await bench.client.delete(ROUTES, "default", "hello")
    await eventually(ready(bench), "the Service is ready")


async def test_what_happens_is_told_in_events(bench: Bench) -> None:
    await bench.start_operator()
    await make_ready(bench)

    def reasons() -> set[str]:
        return {event["reason"] for event in bench.cluster.list(EVENTS, "default")}

    expected = {"RevisionReady", "ConfigurationReady", "RouteReady", "ServiceReady"}
    await eventually(lambda: expected <= reasons(), "the Events")

    def told() -> set[tuple[str, str, str]]:
        return {
            (event["involvedObject"]["kind"], event["reason"], event["message"])
            for event in bench.cluster.list(EVENTS, "default")
        }

    created = {
        ("Service", "Created", 'Created Configuration "hello"'),
        ("Service", "Created", 'Created Route "hello"'),
        ("Configuration", "Created", 'Created Revision "hello-00001"'),
        ("Configuration", "LatestReadyUpdate", 'LatestReadyRevisionName updated to "hello-00001"'),
        ("Route", "Created", 'Created Ingress "hello"'),
        ("Route", "Created", 'Created Service "hello"'),
    }
    await eventually(lambda: created <= told(), "what was made is told")
    assert not {event for event in told() if event[:2] == ("Revision", "Created")}


def _is_gone(bench: Bench, resource: Resource) -> bool:
    return not bench.cluster.list(resource, "default")


async def _without_webhooks(bench: Bench) -> None:
    """As a person does who must change something while the operator is away."""
    for resource, name in (
        (MUTATING_WEBHOOKS, names.DEFAULTING_WEBHOOK),
        (
            MUTATING_WEBHOOKS._replace(
                plural="validatingwebhookconfigurations", kind="ValidatingWebhookConfiguration"
            ),
            names.VALIDATION_WEBHOOK,
        ),
    ):
        found = await bench.client.get(resource, None, name)
        found["webhooks"] = [{**hook, "rules": []} for hook in found["webhooks"]]
        await bench.client.replace(resource, found)


async def test_trees_tell_each_other(bench: Bench) -> None:
    """A Route made by hand follows the Service's Configuration, and comes after it."""
    await bench.start_operator()
    by_hand = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "side", "namespace": "default"},
        "spec": {"traffic": [{"configurationName": "hello", "percent": 100}]},
    }
    await bench.client.create(ROUTES, by_hand)
    await bench.client.create(SERVICES, hello())
    await eventually(bench.scaled("hello-00001"), "a PodAutoscaler")

    def is_ready() -> bool:
        route = bench.cluster.get(ROUTES, "default", "side") or {}
        conditions = (route.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    await eventually(is_ready, "the Route is ready")

    def routes() -> str:
        revision = bench.cluster.get(REVISIONS, "default", "hello-00001") or {}
        return str(revision["metadata"]["annotations"].get(names.ROUTES_ANNOTATION))

    await eventually(lambda: routes() == "hello,side", "the Revision tells both Routes")


async def test_the_revision_before_goes_to_the_reserve(bench: Bench) -> None:
    await bench.start_operator()
    await make_ready(bench)
    patch = {"spec": {"template": {"spec": {"timeoutSeconds": 10}}}}
    await bench.client.patch(SERVICES, ("default", "hello"), patch)
    await eventually(bench.scaled("hello-00002"), "a PodAutoscaler")

    def state() -> str:
        revision = bench.cluster.get(REVISIONS, "default", "hello-00001") or {}
        return str(revision["metadata"]["labels"][names.ROUTING_STATE_LABEL])

    await eventually(lambda: state() == "reserve", "the first Revision is in reserve")
    await eventually(ready(bench), "the Service is ready")
