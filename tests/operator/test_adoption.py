"""Taking over what Knative Serving has left, on a model of the API."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from typing import Any

import pytest

from e2e.knative.past import INGRESS_FINALIZER, KOURIER, ROUTE_FINALIZER, Legacy, Past
from e2e.knative.tree import leave
from pilotlight import names
from pilotlight.api import queue_proxies
from pilotlight.api.admission import Operation, default, validate
from pilotlight.config.network import Network
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    ENDPOINTS,
    INGRESSES,
    POD_AUTOSCALERS,
    REVISIONS,
    ROUTES,
    SERVICES,
    Resource,
)
from pilotlight_operator.index import KINDS
from pilotlight_operator.objects import Key, Obj, annotations_of, key_of, labels_of, spec_of, uid_of
from pilotlight_operator.plan import Root
from pilotlight_operator.planner import Plan
from pilotlight_operator.roots import roots_of
from tests.operator.simulation import SETTINGS, Cluster, conditions, written

RESOURCES = {(resource.api_version, resource.kind): resource for resource in KINDS}
ACTIVATORS = ({"ip": "10.0.0.1"}, {"ip": "10.0.0.2"})
SPLIT: dict[str, Any] = {
    "revisions": (Past(1), Past(2, replicas=1, env={"NAME": "two"})),
    "traffic": (
        {"revisionName": "hello-00001", "percent": 30, "tag": "old"},
        {"percent": 70},
    ),
}


def knative(cluster: Cluster, **legacy: Any) -> Legacy:
    """What a Service of Knative's consists of, in the cluster. Nobody has labelled its Services as
    ours: the watches do not show them until somebody does.
    """
    made = Legacy("hello", "default", "example.com/hello", "example.com", **legacy)

    def put(obj: Obj) -> Obj:
        resource = RESOURCES.get((obj["apiVersion"], obj["kind"]))
        if resource is None:  # a kind that we do not know
            return {**obj, "metadata": {**obj["metadata"], "uid": f"uid-of-{obj['kind']}"}}
        if resource in (CORE_SERVICES, ENDPOINTS):
            return cluster.hide(resource, obj)
        if cluster.index.get(resource, *key_of(obj)) is None:
            return cluster.add(resource, obj)
        patch = {key: obj[key] for key in ("spec", "status")}
        return cluster.change(resource, key_of(obj), patch)

    leave(made, put)
    cluster.world = replace(cluster.world, activators=ACTIVATORS)
    cluster.serve()
    return made


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def adopt(cluster: Cluster) -> Plan:
    """Until nothing is left to do."""
    planned = cluster.reconcile()
    cluster.reconcile()
    assert written(cluster.plan()) == []
    return planned


def test_all_is_ready_under_the_same_names_and_uids(cluster: Cluster) -> None:
    knative(cluster, **SPLIT)
    before = {
        (resource, key): obj for resource in KINDS for key, obj in cluster.everything(resource)
    }
    adopt(cluster)
    for (resource, key), obj in before.items():
        assert uid_of(cluster.get(resource, key.name)) == uid_of(obj), (resource.kind, key)
    after = {(resource, key) for resource in KINDS for key, _ in cluster.everything(resource)}
    assert after == set(before)
    for resource, name in ((SERVICES, "hello"), (CONFIGURATIONS, "hello"), (ROUTES, "hello")):
        assert conditions(cluster.get(resource, name))["Ready"][0] == "True"
    traffic = cluster.get(SERVICES, "hello")["status"]["traffic"]
    assert [(entry["revisionName"], entry["percent"]) for entry in traffic] == [
        ("hello-00001", 30),
        ("hello-00002", 70),
    ]
    assert traffic[0]["url"] == "http://old-hello.default.example.com"


def test_nothing_is_written_that_need_not_be(cluster: Cluster) -> None:
    """Of the public objects only their finalizers, of what is below them only what is ours."""
    knative(cluster, revisions=(Past(replicas=1),))
    public = {r: copy.deepcopy(cluster.get(r, "hello")) for r in (SERVICES, CONFIGURATIONS)}
    revision = copy.deepcopy(cluster.get(REVISIONS, "hello-00001"))
    scaler = copy.deepcopy(cluster.get(POD_AUTOSCALERS, "hello-00001"))
    adopt(cluster)
    for resource, obj in public.items():
        assert cluster.get(resource, "hello") == obj
    assert cluster.get(REVISIONS, "hello-00001") == revision
    assert cluster.get(POD_AUTOSCALERS, "hello-00001") == scaler
    route = cluster.get(ROUTES, "hello")
    assert not route["metadata"]["finalizers"]
    assert route["metadata"]["generation"] == 1


def test_a_sleeping_revision_gets_our_pods_and_their_key(cluster: Cluster) -> None:
    knative(cluster)
    adopt(cluster)
    deployment = cluster.get(DEPLOYMENTS, "hello-00001-deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert queue_proxies.is_ours(pod["containers"])
    assert [container["name"] for container in pod["containers"]] == [
        "queue-proxy",
        "user-container",
    ]
    assert deployment["spec"]["replicas"] == 0
    assert Key("default", "hello-00001-key") in cluster.secrets


def test_running_pods_stay_until_they_are_gone(cluster: Cluster) -> None:
    knative(cluster, revisions=(Past(replicas=2),))
    name = "hello-00001-deployment"
    before = copy.deepcopy(cluster.get(DEPLOYMENTS, name))
    adopt(cluster)
    assert cluster.get(DEPLOYMENTS, name) == before
    assert not cluster.secrets
    cluster.change(DEPLOYMENTS, Key("default", name), {"spec": {"replicas": 0}})
    adopt(cluster)
    after = cluster.get(DEPLOYMENTS, name)
    assert queue_proxies.is_ours(after["spec"]["template"]["spec"]["containers"])
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert after["spec"]["replicas"] == 0
    assert Key("default", "hello-00001-key") in cluster.secrets
    cluster.change(DEPLOYMENTS, Key("default", name), {"spec": {"replicas": 3}})
    adopt(cluster)
    assert cluster.get(DEPLOYMENTS, name)["spec"]["template"] == after["spec"]["template"]


def test_running_pods_are_replaced_when_somebody_asks(cluster: Cluster) -> None:
    knative(cluster, revisions=(Past(replicas=2),))
    patch: Obj = {"metadata": {"annotations": {names.REPLACE_PODS_ANNOTATION: "true"}}}
    cluster.change(REVISIONS, Key("default", "hello-00001"), patch)
    adopt(cluster)
    deployment = cluster.get(DEPLOYMENTS, "hello-00001-deployment")
    assert queue_proxies.is_ours(deployment["spec"]["template"]["spec"]["containers"])
    assert deployment["spec"]["replicas"] == 2
    # Once it is done the wish may be taken back: nothing changes by it.
    patch = {"metadata": {"annotations": {names.REPLACE_PODS_ANNOTATION: None}}}
    cluster.change(REVISIONS, Key("default", "hello-00001"), patch)
    assert not [line for line in written(cluster.plan()) if "Deployment" in line]


def test_a_deployment_of_somebody_else_is_not_a_revisions(cluster: Cluster) -> None:
    knative(cluster, revisions=(Past(replicas=1),))
    patch: Obj = {"metadata": {"ownerReferences": []}}
    cluster.change(DEPLOYMENTS, Key("default", "hello-00001-deployment"), patch)
    cluster.reconcile()
    found = conditions(cluster.get(REVISIONS, "hello-00001"))
    assert found["ResourcesAvailable"][1] == "NotOwned"


def test_the_digest_that_was_found_holds_on(cluster: Cluster) -> None:
    digest = "example.com/hello@sha256:" + "a" * 64
    knative(cluster, revisions=(Past(digest=digest),))
    adopt(cluster)
    deployment = cluster.get(DEPLOYMENTS, "hello-00001-deployment")
    images = {c["name"]: c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]}
    assert images["user-container"] == digest
    status = cluster.get(REVISIONS, "hello-00001")["status"]
    assert status["containerStatuses"] == [{"name": "user-container", "imageDigest": digest}]


def test_a_different_spelling_makes_no_revision(cluster: Cluster) -> None:
    """Admission spells a manifest that is applied again in its own way."""
    knative(cluster)
    container: Obj = {
        "name": "user-container",
        "image": "example.com/hello",
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
        "resources": {"limits": None},
    }
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    cluster.change(SERVICES, Key("default", "hello"), patch)
    adopt(cluster)
    assert [key.name for key, _ in cluster.everything(REVISIONS)] == ["hello-00001"]
    assert cluster.get(CONFIGURATIONS, "hello")["metadata"]["generation"] == 1
    container["env"] = [{"name": "A", "value": "b"}]
    cluster.change(SERVICES, Key("default", "hello"), patch)
    cluster.reconcile()
    assert [key.name for key, _ in cluster.everything(REVISIONS)] == [
        "hello-00001",
        "hello-00002",
    ]


def test_services_of_a_revision_are_taken_from_between(cluster: Cluster) -> None:
    knative(cluster)
    adopt(cluster)
    private = cluster.get(CORE_SERVICES, "hello-00001-private")
    assert labels_of(private)[names.MANAGED_BY_LABEL] == names.OPERATOR_MANAGER
    assert private["metadata"]["ownerReferences"][0]["kind"] == "ServerlessService"
    assert private["spec"]["type"] == "ClusterIP"
    assert [port["name"] for port in private["spec"]["ports"]] == ["http", "http-usermetric"]
    revision = Root(SERVICES, Key("default", "hello"))
    assert roots_of(CORE_SERVICES, private, cluster.index) == {revision}
    # When Knative's kind goes, so do the Services, and are made anew.
    cluster.remove(CORE_SERVICES, "hello-00001-private")
    cluster.reconcile()
    private = cluster.get(CORE_SERVICES, "hello-00001-private")
    assert private["metadata"]["ownerReferences"][0]["kind"] == "Revision"


@pytest.mark.parametrize(
    "label", [{names.REVISION_UID_LABEL: "another"}, {names.REVISION_UID_LABEL: None}]
)
def test_a_service_of_another_between_is_not_ours(cluster: Cluster, label: Obj) -> None:
    knative(cluster)
    cluster.hidden[CORE_SERVICES, Key("default", "hello-00001-private")]["metadata"]["labels"] |= (
        label
    )
    cluster.reconcile()
    found = conditions(cluster.get(REVISIONS, "hello-00001"))
    assert found["ResourcesAvailable"][1] == "NotOwned"


def test_the_public_service_leads_to_our_activators(cluster: Cluster) -> None:
    knative(cluster)
    cluster.world = replace(cluster.world, activators=())
    cluster.reconcile()
    key = (ENDPOINTS, Key("default", "hello-00001"))
    before = cluster.hidden[key]["subsets"]
    cluster.world = replace(cluster.world, activators=ACTIVATORS)
    assert before == [{"addresses": [{"ip": "192.0.2.7"}], "ports": before[0]["ports"]}], (
        "as long as there is none of ours it is left alone"
    )
    adopt(cluster)
    (subset,) = cluster.get(ENDPOINTS, "hello-00001")["subsets"]
    assert subset["addresses"] == list(ACTIVATORS)
    assert subset["ports"] == [{"name": "http", "port": 8012, "protocol": "TCP"}]
    cluster.world = replace(cluster.world, activators=ACTIVATORS[:1])
    adopt(cluster)
    (subset,) = cluster.get(ENDPOINTS, "hello-00001")["subsets"]
    assert subset["addresses"] == [{"ip": "10.0.0.1"}]


def test_endpoints_of_somebody_else_are_in_the_way(cluster: Cluster) -> None:
    knative(cluster)
    made = cluster.hidden[ENDPOINTS, Key("default", "hello-00001")]
    made["metadata"]["ownerReferences"] = []
    cluster.reconcile()
    found = conditions(cluster.get(REVISIONS, "hello-00001"))
    message = 'There is an existing Endpoints "hello-00001" that we do not own.'
    assert found["ResourcesAvailable"] == ("False", "NotOwned", message)


def test_another_ingress_goes_on(cluster: Cluster) -> None:
    """Its Ingress, its finalizer and where callers inside find it stay; its requests come to us."""
    knative(cluster)
    settings = replace(SETTINGS, network=Network(ingress_class=KOURIER))
    cluster.world = replace(cluster.world, settings=settings)
    before = copy.deepcopy(cluster.get(INGRESSES, "hello"))
    adopt(cluster)
    ingress = cluster.get(INGRESSES, "hello")
    assert ingress["spec"] == before["spec"]
    assert ingress["metadata"]["finalizers"] == [INGRESS_FINALIZER]
    assert ingress["status"] == before["status"]
    placeholder = cluster.get(CORE_SERVICES, "hello")
    assert placeholder["spec"]["externalName"].startswith("kourier-internal.")
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"
    # And so do those of Revisions that are made from now on.
    patch = {"spec": {"template": {"spec": {"timeoutSeconds": 10}}}}
    cluster.change(SERVICES, Key("default", "hello"), patch)
    cluster.reconcile()
    (subset,) = cluster.get(ENDPOINTS, "hello-00002")["subsets"]
    assert subset["addresses"] == list(ACTIVATORS)
    # Then the gateway is changed too.
    cluster.world = replace(cluster.world, settings=SETTINGS)
    adopt(cluster)
    ingress = cluster.get(INGRESSES, "hello")
    assert annotations_of(ingress)[names.INGRESS_CLASS_ANNOTATION] == names.INGRESS_CLASS
    assert not ingress["metadata"]["finalizers"]
    balancer = ingress["status"]["privateLoadBalancer"]["ingress"]
    host = "activator-service.knative-serving.svc.cluster.local"
    assert balancer == [{"domainInternal": host}]
    assert cluster.get(CORE_SERVICES, "hello")["spec"]["externalName"] == host


def test_an_ingress_is_not_ready_because_another_gateway_served_it(cluster: Cluster) -> None:
    knative(cluster)
    cluster.world = replace(cluster.world, served={})
    planned = cluster.reconcile()
    assert [probe.ingress["metadata"]["name"] for probe in planned.probes] == ["hello"]
    assert conditions(cluster.get(INGRESSES, "hello"))["Ready"][0] == "Unknown"


def test_what_is_deleted_can_go(cluster: Cluster) -> None:
    """A Service was deleted when nobody was there to take the finalizers away."""
    knative(cluster)
    cluster.remove(SERVICES, "hello")
    for resource in (ROUTES, INGRESSES):
        deleted = {"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}}
        cluster.change(resource, Key("default", "hello"), deleted)
    patch = {"metadata": {"annotations": {names.INGRESS_CLASS_ANNOTATION: names.INGRESS_CLASS}}}
    cluster.change(INGRESSES, Key("default", "hello"), patch)
    cluster.reconcile(ROUTES)
    assert ROUTE_FINALIZER not in cluster.get(ROUTES, "hello")["metadata"]["finalizers"]
    assert INGRESS_FINALIZER not in cluster.get(INGRESSES, "hello")["metadata"]["finalizers"]


def test_an_ingress_whose_route_is_gone_can_go(cluster: Cluster) -> None:
    knative(cluster, ingress_class=names.INGRESS_CLASS)
    ingress = cluster.get(INGRESSES, "hello")
    cluster.remove(SERVICES, "hello")
    cluster.remove(ROUTES, "hello")
    (root,) = roots_of(INGRESSES, ingress, cluster.index)
    cluster.reconcile(root.resource, root.key.name)
    assert not cluster.get(INGRESSES, "hello")["metadata"]["finalizers"]


def test_an_ingress_of_another_class_keeps_its_finalizer(cluster: Cluster) -> None:
    knative(cluster)
    cluster.remove(SERVICES, "hello")
    cluster.remove(ROUTES, "hello")
    cluster.reconcile(ROUTES)
    assert cluster.get(INGRESSES, "hello")["metadata"]["finalizers"] == [INGRESS_FINALIZER]


ADMITTED = (SERVICES, CONFIGURATIONS, REVISIONS, ROUTES, POD_AUTOSCALERS, INGRESSES)


@pytest.mark.parametrize("resource", ADMITTED, ids=lambda resource: resource.kind)
def test_admission_leaves_them_as_they_are(cluster: Cluster, resource: Resource) -> None:
    """Every write asks it: a default that is filled in late would be a new generation."""
    knative(cluster, **SPLIT)
    context = SETTINGS.admission(operation=Operation.UPDATE, user="system:serviceaccount:x")
    for _, obj in cluster.everything(resource):
        changed = copy.deepcopy(obj)
        changed["metadata"].setdefault("labels", {})["more"] = "yes"
        after = default(copy.deepcopy(changed), obj, context)
        assert spec_of(after) == spec_of(obj)
        assert not validate(after, obj, context).errors


def test_the_key_is_that_of_the_revision(cluster: Cluster) -> None:
    knative(cluster)
    adopt(cluster)
    secret = cluster.secrets[Key("default", "hello-00001-key")]
    assert len(bytes.fromhex(base64.b64decode(secret["data"]["key"]).decode())) == 32
