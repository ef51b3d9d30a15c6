"""A Service's whole life, carried out on a model of the API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pilotlight import names
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    INGRESSES,
    POD_AUTOSCALERS,
    REVISIONS,
    ROUTES,
    SERVICES,
)
from pilotlight.load.keys import revision_key
from pilotlight_operator.objects import Key, labels_of, uid_of
from pilotlight_operator.planner import DEFERRAL_S
from pilotlight_operator.refusal import Refusal, not_owned
from tests.operator.simulation import MASTER_KEY, Cluster, conditions, service, written

KEY = Key("default", "hello")


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.add(SERVICES, service())
    return cluster


def test_the_first_plan_makes_configuration_and_route(cluster: Cluster) -> None:
    assert [line for line in written(cluster.plan()) if "Create" in line] == [
        "Create Configuration hello",
        "Create Route hello",
    ]


def test_a_new_service_makes_everything_in_one_pass(cluster: Cluster) -> None:
    cluster.reconcile()
    revision = cluster.get(REVISIONS, "hello-00001")
    cluster.get(DEPLOYMENTS, "hello-00001-deployment")
    cluster.get(POD_AUTOSCALERS, "hello-00001")
    cluster.get(CORE_SERVICES, "hello-00001")
    cluster.get(CORE_SERVICES, "hello-00001-private")
    secret = cluster.secrets[Key("default", "hello-00001-key")]
    key = revision_key(MASTER_KEY, "default", "hello-00001", uid_of(revision))
    assert base64.b64decode(secret["data"][names.REVISION_KEY_FIELD]).decode() == key.hex()
    assert labels_of(revision)[names.ROUTING_STATE_LABEL] == "active"


def test_nothing_is_left_to_do_after_a_pass(cluster: Cluster) -> None:
    cluster.reconcile()
    assert written(cluster.plan()) == []


def test_going_back_to_a_named_revision_needs_no_new_one(cluster: Cluster) -> None:
    def apply(name: str, **container: Any) -> None:
        spec = service()["spec"]["template"]["spec"]
        spec["containers"][0] |= container
        template = {"metadata": {"name": name}, "spec": spec}
        cluster.change(SERVICES, KEY, {"spec": {"template": template}})
        cluster.reconcile()

    apply("hello-one")
    cluster.scaled("hello-one")
    apply("hello-two", image="example.com/other")
    first = cluster.get(REVISIONS, "hello-one")
    # Admission may spell it otherwise than it did then.
    apply("hello-one", resources={})
    assert uid_of(cluster.get(REVISIONS, "hello-one")) == uid_of(first)
    status = cluster.get(CONFIGURATIONS, "hello")["status"]
    assert status["latestCreatedRevisionName"] == "hello-one"
    assert conditions(cluster.get(CONFIGURATIONS, "hello"))["Ready"][0] == "True"


def test_ready_in_two_passes(cluster: Cluster) -> None:
    cluster.settle()
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["Ready"] == ("True", "", "")
    status = cluster.get(SERVICES, "hello")["status"]
    assert status["url"] == "http://hello.default.example.com"
    assert status["address"] == {"url": "http://hello.default.svc.cluster.local"}
    assert status["latestReadyRevisionName"] == "hello-00001"
    assert status["traffic"] == [
        {"revisionName": "hello-00001", "percent": 100, "latestRevision": True}
    ]
    assert written(cluster.plan()) == []


def test_ready_needs_the_gateways(cluster: Cluster) -> None:
    cluster.reconcile()
    cluster.scaled()
    planned = cluster.reconcile()
    assert [probe.ingress["metadata"]["name"] for probe in planned.probes] == ["hello"]
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["Ready"][:2] == ("Unknown", "Uninitialized")
    cluster.serve()
    cluster.reconcile()
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"


def test_few_writes_when_all_goes_fast(cluster: Cluster) -> None:
    """Statuses that only say "not yet" wait a moment for better news."""
    cluster.deferrals = True
    before = cluster._version
    planned = cluster.reconcile()
    assert planned.statuses == []
    assert planned.requeue_after_s == pytest.approx(DEFERRAL_S)
    cluster.serve()
    cluster.scaled()
    cluster.reconcile()
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"
    # One of them is the autoscaler's.
    assert cluster._version - before <= 16


def test_a_failure_does_not_wait(cluster: Cluster) -> None:
    cluster.deferrals = True
    cluster.reconcile()
    cluster.set_status(DEPLOYMENTS, "hello-00001-deployment", availableReplicas=0)
    cluster.add_pod("hello-00001", _waiting("ErrImagePull", "no such image"))
    cluster.reconcile()
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["Ready"] == ("Unknown", "ErrImagePull", "no such image")


def test_a_change_makes_the_next_revision_and_moves_the_traffic(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(SERVICES, KEY, {"spec": {"template": {"spec": {"timeoutSeconds": 10}}}})
    cluster.reconcile()
    status = cluster.get(SERVICES, "hello")["status"]
    assert status["latestCreatedRevisionName"] == "hello-00002"
    assert status["latestReadyRevisionName"] == "hello-00001"
    assert status["observedGeneration"] == 2
    assert status["traffic"][0]["revisionName"] == "hello-00001"
    cluster.scaled("hello-00002")
    cluster.reconcile()
    status = cluster.get(SERVICES, "hello")["status"]
    assert status["traffic"][0]["revisionName"] == "hello-00002"
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"
    # The first one is in reserve once no Route leads to it any more.
    cluster.reconcile()
    first = cluster.get(REVISIONS, "hello-00001")
    assert labels_of(first)[names.ROUTING_STATE_LABEL] == "reserve"
    assert names.ROUTES_ANNOTATION not in first["metadata"]["annotations"]
    assert cluster.get(POD_AUTOSCALERS, "hello-00001")["spec"]["reachability"] == "Unreachable"
    assert written(cluster.plan()) == []


def test_labels_and_annotations_come_and_go(cluster: Cluster) -> None:
    cluster.settle()
    added = {"labels": {"team": "blue"}, "annotations": {"note": "x"}}
    cluster.change(SERVICES, KEY, {"metadata": added})
    cluster.reconcile()
    children = [(CONFIGURATIONS, "hello"), (ROUTES, "hello"), (INGRESSES, "hello")]
    children.append((CORE_SERVICES, "hello"))
    for resource, name in children:
        metadata = cluster.get(resource, name)["metadata"]
        assert metadata["labels"]["team"] == "blue"
        assert metadata["annotations"]["note"] == "x"
    removed = {"labels": {"team": None}, "annotations": {"note": None}}
    cluster.change(SERVICES, KEY, {"metadata": removed})
    cluster.reconcile()
    for resource, name in children:
        metadata = cluster.get(resource, name)["metadata"]
        assert "team" not in metadata["labels"]
        assert "note" not in metadata["annotations"]
    assert written(cluster.plan()) == []


def test_a_split_with_tags(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(SERVICES, KEY, {"spec": {"template": {"spec": {"timeoutSeconds": 10}}}})
    cluster.reconcile()
    cluster.scaled("hello-00002")
    traffic = [
        {"revisionName": "hello-00001", "percent": 90, "latestRevision": False},
        {"percent": 10, "tag": "next", "latestRevision": True},
    ]
    cluster.change(SERVICES, KEY, {"spec": {"traffic": traffic}})
    cluster.reconcile()
    status = cluster.get(SERVICES, "hello")["status"]
    assert status["traffic"] == [
        {"revisionName": "hello-00001", "percent": 90, "latestRevision": False},
        {
            "revisionName": "hello-00002",
            "percent": 10,
            "latestRevision": True,
            "tag": "next",
            "url": "http://next-hello.default.example.com",
        },
    ]
    cluster.get(CORE_SERVICES, "next-hello")
    rules = cluster.get(INGRESSES, "hello")["spec"]["rules"]
    shares = {
        rule["hosts"][-1]: {
            split["serviceName"]: split["percent"] for split in rule["http"]["paths"][0]["splits"]
        }
        for rule in rules
    }
    assert shares == {
        "hello.default.svc.cluster.local": {"hello-00001": 90, "hello-00002": 10},
        "hello.default.example.com": {"hello-00001": 90, "hello-00002": 10},
        "next-hello.default.svc.cluster.local": {"hello-00002": 100},
        "next-hello.default.example.com": {"hello-00002": 100},
    }
    for name in ("hello-00001", "hello-00002"):
        assert labels_of(cluster.get(REVISIONS, name))[names.ROUTING_STATE_LABEL] == "active"
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"
    assert written(cluster.plan()) == []


def test_a_tag_that_goes_takes_its_placeholder_along(cluster: Cluster) -> None:
    cluster.settle()
    tagged = [{"percent": 100, "tag": "now", "latestRevision": True}]
    cluster.change(SERVICES, KEY, {"spec": {"traffic": tagged}})
    cluster.reconcile()
    cluster.get(CORE_SERVICES, "now-hello")
    cluster.change(SERVICES, KEY, {"spec": {"traffic": [{"percent": 100, "latestRevision": True}]}})
    cluster.reconcile()
    assert cluster.index.get(CORE_SERVICES, "default", "now-hello") is None
    assert written(cluster.plan()) == []


def test_a_target_that_does_not_exist_leaves_the_traffic_where_it_is(cluster: Cluster) -> None:
    cluster.settle()
    before = cluster.get(INGRESSES, "hello")["spec"]
    traffic = [{"revisionName": "nobody", "percent": 100, "latestRevision": False}]
    cluster.change(SERVICES, KEY, {"spec": {"traffic": traffic}})
    cluster.reconcile()
    message = 'Revision "nobody" referenced in traffic not found.'
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["RoutesReady"] == ("False", "RevisionMissing", message)
    assert found["Ready"] == ("False", "RevisionMissing", message)
    assert cluster.get(INGRESSES, "hello")["spec"] == before
    assert written(cluster.plan()) == []


@pytest.mark.parametrize(
    ("resource", "condition"),
    [(CONFIGURATIONS, "ConfigurationsReady"), (ROUTES, "RoutesReady")],
    ids=["configuration", "route"],
)
def test_a_name_that_is_taken(resource: object, condition: str) -> None:
    cluster = Cluster()
    kind = "Configuration" if resource is CONFIGURATIONS else "Route"
    foreign = {"apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata": {"name": "hello"}}
    cluster.add(CONFIGURATIONS if resource is CONFIGURATIONS else ROUTES, foreign)
    cluster.add(SERVICES, service())
    cluster.reconcile()
    message = f'There is an existing {kind} "hello" that we do not own.'
    assert conditions(cluster.get(SERVICES, "hello"))[condition] == ("False", "NotOwned", message)
    # Nothing tells this tree when the name is free again.
    assert cluster.plan().requeue_after_s


def test_a_foreign_configuration_is_not_led_to() -> None:
    cluster = Cluster()
    foreign = {"apiVersion": "serving.knative.dev/v1", "kind": "Configuration"}
    cluster.add(CONFIGURATIONS, {**foreign, "metadata": {"name": "hello"}})
    cluster.add(SERVICES, service())
    cluster.reconcile()
    assert cluster.index.get(ROUTES, "default", "hello") is None
    assert conditions(cluster.get(SERVICES, "hello"))["RoutesReady"][0] == "Unknown"


def test_a_foreign_ingress() -> None:
    cluster = Cluster()
    foreign = {"apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress"}
    cluster.add(INGRESSES, {**foreign, "metadata": {"name": "hello"}, "spec": {"rules": []}})
    cluster.add(SERVICES, service())
    cluster.settle()
    message = 'There is an existing Ingress "hello" that we do not own.'
    found = conditions(cluster.get(ROUTES, "hello"))
    assert found["IngressReady"] == ("False", "NotOwned", message)
    assert cluster.plan().requeue_after_s


def test_a_foreign_placeholder(cluster: Cluster) -> None:
    cluster.reconcile()
    cluster.serve()
    cluster.scaled()
    cluster.reconcile(refuse={(CORE_SERVICES, KEY): not_owned("Service", "hello")})
    message = 'There is an existing placeholder Service "hello" that we do not own.'
    assert conditions(cluster.get(ROUTES, "hello"))["IngressReady"] == (
        "False",
        "NotOwned",
        message,
    )


def test_a_tag_does_not_take_over_the_host_of_another(cluster: Cluster) -> None:
    cluster.settle()
    cluster.add(SERVICES, service("new-hello"))
    cluster.reconcile(name="new-hello")
    cluster.scaled("new-hello-00001")
    cluster.reconcile(name="new-hello")
    before = cluster.get(INGRESSES, "hello")["spec"]
    tagged = [{"percent": 100, "tag": "new", "latestRevision": True}]
    cluster.change(SERVICES, KEY, {"spec": {"traffic": tagged}})
    cluster.reconcile()
    assert cluster.get(INGRESSES, "hello")["spec"] == before
    message = 'There is an existing placeholder Service "new-hello" that we do not own.'
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["RoutesReady"] == ("False", "NotOwned", message)


def test_a_host_is_claimed_only_with_its_placeholder(cluster: Cluster) -> None:
    cluster.serve()
    cluster.reconcile()
    cluster.scaled()
    cluster.reconcile(refuse={(CORE_SERVICES, KEY): not_owned("Service", "hello")})
    assert cluster.index.get(INGRESSES, "default", "hello") is None


def test_a_deployment_that_the_api_refuses(cluster: Cluster) -> None:
    target = (DEPLOYMENTS, Key("default", "hello-00001-deployment"))
    text = 'deployments.apps "hello-00001-deployment" is forbidden: exceeded quota: few'
    cluster.reconcile(refuse={target: Refusal("Forbidden", text)})
    revision = conditions(cluster.get(REVISIONS, "hello-00001"))
    assert revision["ResourcesAvailable"] == ("False", "Forbidden", text)
    found = conditions(cluster.get(SERVICES, "hello"))
    message = f'Revision "hello-00001" failed with message: {text}.'
    assert found["ConfigurationsReady"] == ("False", "RevisionFailed", message)


def test_a_revision_name_that_is_taken() -> None:
    cluster = Cluster()
    other = service("other")
    cluster.add(SERVICES, other)
    cluster.reconcile(name="other")
    named = service()
    named["spec"]["template"]["metadata"] = {"name": "other-00001"}
    cluster.add(SERVICES, named)
    cluster.reconcile()
    found = conditions(cluster.get(SERVICES, "hello"))
    assert found["RoutesReady"][:2] == ("False", "RevisionNameTaken")
    assert found["ConfigurationsReady"][:2] == ("False", "RevisionFailed")
    assert cluster.index.get(ROUTES, "default", "hello") is None
    assert cluster.plan().requeue_after_s


def test_a_foreign_route_is_not_taken_over_when_the_revisions_name_is_taken_too() -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service("other"))
    cluster.reconcile(name="other")
    foreign = {"apiVersion": "serving.knative.dev/v1", "kind": "Route"}
    route = cluster.add(ROUTES, {**foreign, "metadata": {"name": "hello"}, "spec": {}})
    named = service()
    named["spec"]["template"]["metadata"] = {"name": "other-00001"}
    cluster.add(SERVICES, named)
    cluster.reconcile()
    assert cluster.get(ROUTES, "hello") == route


def test_going_back_to_a_revision_by_its_name_makes_no_new_one(cluster: Cluster) -> None:
    cluster.settle()
    template = cluster.get(SERVICES, "hello")["spec"]["template"]
    for name, timeout in (("hello-a", 10), ("hello-b", 20)):
        changed = {"metadata": {"name": name}, "spec": {"timeoutSeconds": timeout}}
        cluster.change(SERVICES, KEY, {"spec": {"template": changed}})
        cluster.reconcile()
        cluster.scaled(name)
        cluster.reconcile()
    back = {"metadata": {"name": "hello-a"}, "spec": {**template["spec"], "timeoutSeconds": 10}}
    cluster.change(SERVICES, KEY, {"spec": {"template": back}})
    cluster.reconcile()
    status = cluster.get(SERVICES, "hello")["status"]
    assert status["latestCreatedRevisionName"] == "hello-a"
    assert status["latestReadyRevisionName"] == "hello-a"
    assert status["traffic"][0]["revisionName"] == "hello-a"
    assert len(cluster.index.cache(REVISIONS)) == 3


def test_a_deleted_revision_is_not_made_anew(cluster: Cluster) -> None:
    cluster.settle()
    cluster.remove(REVISIONS, "hello-00001")
    cluster.reconcile()
    found = conditions(cluster.get(CONFIGURATIONS, "hello"))
    assert found["Ready"] == (
        "False",
        "RevisionDeleted",
        'Revision "hello-00001" was deleted.',
    )


def test_a_service_that_is_being_deleted_is_left_alone(cluster: Cluster) -> None:
    cluster.reconcile()
    cluster.change(SERVICES, KEY, {"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}})
    assert written(cluster.plan()) == []


def test_private_to_the_cluster(cluster: Cluster) -> None:
    cluster.change(
        SERVICES, KEY, {"metadata": {"labels": {names.VISIBILITY_LABEL: names.CLUSTER_LOCAL}}}
    )
    cluster.settle()
    url = cluster.get(SERVICES, "hello")["status"]["url"]
    assert url == "http://hello.default.svc.cluster.local"
    rules = cluster.get(INGRESSES, "hello")["spec"]["rules"]
    assert [rule["visibility"] for rule in rules] == ["ClusterLocal"]


def test_replicas_are_written_once(cluster: Cluster) -> None:
    cluster.settle()
    deployment = Key("default", "hello-00001-deployment")
    cluster.change(DEPLOYMENTS, deployment, {"spec": {"replicas": 7}})
    cluster.change(SERVICES, KEY, {"metadata": {"labels": {"a": "b"}}})
    cluster.reconcile()
    assert cluster.get(DEPLOYMENTS, deployment.name)["spec"]["replicas"] == 7


def _waiting(reason: str, message: str) -> dict[str, object]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "user-container", "state": state}]}
