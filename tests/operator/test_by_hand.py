"""Configurations, Routes and Revisions that no Service made, and any order of changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilotlight import names
from pilotlight.config.features import Features, Flag
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
from pilotlight_operator.objects import Key, Obj, annotations_of, labels_of, name_of
from pilotlight_operator.plan import Root, plan
from pilotlight_operator.traffic import Problem, Target, Traffic
from tests.operator.simulation import SETTINGS, Cluster, conditions, service, written


def configuration() -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Configuration",
        "metadata": {"name": "hand"},
        "spec": {"template": service()["spec"]["template"]},
    }


def route(**target: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "way"},
        "spec": {"traffic": [{"percent": 100, **target}]},
    }


def test_a_configuration_and_a_route() -> None:
    cluster = Cluster()
    cluster.serve()
    cluster.add(CONFIGURATIONS, configuration())
    cluster.reconcile(CONFIGURATIONS, "hand")
    first = cluster.get(REVISIONS, "hand-00001")
    assert labels_of(first)[names.ROUTING_STATE_LABEL] == "pending"
    assert "reachability" not in cluster.get(POD_AUTOSCALERS, "hand-00001")["spec"]

    cluster.add(ROUTES, route(configurationName="hand"))
    cluster.reconcile(ROUTES, "way")
    found = conditions(cluster.get(ROUTES, "way"))
    message = 'Configuration "hand" is waiting for a Revision to become ready.'
    assert found["AllTrafficAssigned"] == ("Unknown", "RevisionMissing", message)
    # The Revision is active before the Route can reach it.
    cluster.reconcile(CONFIGURATIONS, "hand")
    assert labels_of(cluster.get(REVISIONS, "hand-00001"))[names.ROUTING_STATE_LABEL] == "active"
    assert cluster.get(CONFIGURATIONS, "hand")["metadata"]["annotations"] == {
        names.ROUTES_ANNOTATION: "way"
    }
    cluster.scaled("hand-00001")
    cluster.reconcile(CONFIGURATIONS, "hand")
    cluster.reconcile(ROUTES, "way")
    assert conditions(cluster.get(ROUTES, "way"))["Ready"] == ("True", "", "")
    assert cluster.get(CORE_SERVICES, "way")["spec"]["type"] == "ExternalName"

    cluster.remove(ROUTES, "way")
    cluster.reconcile(CONFIGURATIONS, "hand")
    assert labels_of(cluster.get(REVISIONS, "hand-00001"))[names.ROUTING_STATE_LABEL] == "reserve"
    assert written(cluster.plan(CONFIGURATIONS, "hand")) == []


def test_a_revision() -> None:
    cluster = Cluster()
    subject = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "lone"},
        "spec": service()["spec"]["template"]["spec"],
    }
    cluster.add(REVISIONS, subject)
    cluster.reconcile(REVISIONS, "lone")
    cluster.get(DEPLOYMENTS, "lone-deployment")
    cluster.scaled("lone")
    cluster.reconcile(REVISIONS, "lone")
    assert conditions(cluster.get(REVISIONS, "lone"))["Ready"][0] == "True"
    assert written(cluster.plan(REVISIONS, "lone")) == []
    assert names.ROUTING_STATE_LABEL not in labels_of(cluster.get(REVISIONS, "lone"))

    cluster.serve()
    cluster.add(ROUTES, route(revisionName="lone"))
    cluster.reconcile(ROUTES, "way")
    cluster.reconcile(REVISIONS, "lone")
    routed = cluster.get(REVISIONS, "lone")
    assert labels_of(routed)[names.ROUTING_STATE_LABEL] == "active"
    assert annotations_of(routed)[names.ROUTES_ANNOTATION] == "way"
    cluster.remove(ROUTES, "way")
    cluster.reconcile(REVISIONS, "lone")
    assert labels_of(cluster.get(REVISIONS, "lone"))[names.ROUTING_STATE_LABEL] == "reserve"
    assert written(cluster.plan(REVISIONS, "lone")) == []


@pytest.mark.parametrize(
    ("target", "status", "reason", "message"),
    [
        pytest.param(
            {"configurationName": "nobody"},
            "False",
            "ConfigurationMissing",
            'Configuration "nobody" referenced in traffic not found.',
            id="no configuration",
        ),
        pytest.param(
            {"revisionName": "nobody"},
            "False",
            "RevisionMissing",
            'Revision "nobody" referenced in traffic not found.',
            id="no revision",
        ),
        pytest.param(
            {"revisionName": "hand-00001"},
            "Unknown",
            "RevisionMissing",
            'Revision "hand-00001" is not yet ready.',
            id="not ready",
        ),
    ],
)
def test_targets_that_cannot_be_reached(
    target: Obj, status: str, reason: str, message: str
) -> None:
    cluster = Cluster()
    cluster.add(CONFIGURATIONS, configuration())
    cluster.reconcile(CONFIGURATIONS, "hand")
    cluster.add(ROUTES, route(**target))
    cluster.reconcile(ROUTES, "way")
    found = conditions(cluster.get(ROUTES, "way"))
    assert found["AllTrafficAssigned"] == (status, reason, message)
    assert cluster.index.get(INGRESSES, "default", "way") is None
    assert cluster.index.get(CORE_SERVICES, "default", "way") is None
    assert written(cluster.plan(ROUTES, "way")) == []


def test_a_services_route_keeps_to_its_own_revisions() -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service("other"))
    cluster.serve()
    cluster.reconcile(name="other")
    cluster.scaled("other-00001")
    cluster.reconcile(name="other")
    traffic = [{"revisionName": "other-00001", "percent": 100, "latestRevision": False}]
    cluster.add(SERVICES, service(traffic=traffic))
    cluster.reconcile()
    message = 'Revision "other-00001" belongs to Service "other", not Service "hello".'
    assert conditions(cluster.get(SERVICES, "hello"))["RoutesReady"] == (
        "False",
        "RevisionNotOwned",
        message,
    )


def test_another_ingress_class_is_left_to_its_controller() -> None:
    cluster = Cluster()
    subject = service()
    subject["metadata"]["annotations"][names.INGRESS_CLASS_ANNOTATION] = "other.example.com"
    cluster.add(SERVICES, subject)
    cluster.reconcile()
    cluster.scaled()
    planned = cluster.reconcile()
    assert planned.probes == []
    assert "status" not in cluster.get(INGRESSES, "hello")
    placeholder = cluster.get(CORE_SERVICES, "hello")["spec"]
    assert placeholder["externalName"] == "hello.default.example.com"
    balancer = {"ingress": [{"domainInternal": "gateway.elsewhere.svc"}]}
    cluster.set_status(
        INGRESSES,
        "hello",
        observedGeneration=1,
        conditions=[{"type": "Ready", "status": "True"}],
        privateLoadBalancer=balancer,
    )
    cluster.reconcile()
    placeholder = cluster.get(CORE_SERVICES, "hello")["spec"]
    assert placeholder["externalName"] == "gateway.elsewhere.svc"
    assert conditions(cluster.get(SERVICES, "hello"))["Ready"][0] == "True"


def test_tags_by_header() -> None:
    from dataclasses import replace

    features = Features(tag_header_based_routing=Flag.ENABLED)
    cluster = Cluster(replace(SETTINGS, features=features))
    cluster.add(SERVICES, service(traffic=[{"percent": 100, "tag": "a", "latestRevision": True}]))
    cluster.settle()
    rules = cluster.get(INGRESSES, "hello")["spec"]["rules"]
    named, default = rules[0]["http"]["paths"]
    assert named["headers"] == {names.TAG_HEADER: {"exact": "a"}}
    assert default["appendHeaders"] == {names.DEFAULT_ROUTE_HEADER: "true"}
    (tagged,) = rules[2]["http"]["paths"]
    assert tagged["appendHeaders"] == {names.TAG_HEADER: "a"}


def test_http_option_of_a_route() -> None:
    cluster = Cluster()
    subject = service()
    subject["metadata"]["annotations"][names.HTTP_PROTOCOL_ANNOTATION] = "Redirected"
    cluster.add(SERVICES, subject)
    cluster.settle()
    assert cluster.get(INGRESSES, "hello")["spec"]["httpOption"] == "Redirected"
    wrong = {"metadata": {"annotations": {names.HTTP_PROTOCOL_ANNOTATION: "Maybe"}}}
    cluster.change(SERVICES, Key("default", "hello"), wrong)
    cluster.reconcile()
    assert conditions(cluster.get(SERVICES, "hello"))["RoutesReady"] == (
        "False",
        "ErrorConfig",
        "incorrect http-protocol annotation: Maybe",
    )


def test_an_update_without_effect_is_not_tried_for_ever() -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service())
    cluster.settle()
    # Something fills in what is not desired, and will again.
    cluster.change(ROUTES, Key("default", "hello"), {"spec": {"filled": "in"}})
    planned = cluster.plan()
    assert [line for line in written(planned) if "Update" in line] == ["Update Route hello"]
    (update,) = planned.children
    tried = {(ROUTES, Key("default", "hello")): getattr(update, "desired_hash", 0)}
    assert cluster.plan(without_effect=tried).children == []


targets = st.builds(
    Target,
    revision=st.sampled_from(["a", "b", "c"]),
    percent=st.integers(0, 100),
    tag=st.sampled_from(["", "x", "y"]),
    latest=st.booleans(),
)


@given(st.lists(targets, max_size=6))
def test_groups_keep_every_percent(found: list[Target]) -> None:
    groups = Traffic(tuple(found)).groups()
    default = groups.pop("")
    assert sum(target.percent for target in default) == sum(target.percent for target in found)
    assert len({target.revision for target in default}) == len(default)
    assert all(target.percent > 0 for target in default)
    assert set(groups) == {target.tag for target in found if target.tag}
    assert all(sum(target.percent for target in group) == 100 for group in groups.values())


def test_a_problem_is_a_value() -> None:
    assert Traffic(problem=Problem("False", "R", "M")).targets == ()


changes = st.lists(
    st.sampled_from(
        [
            "template",
            "label",
            "unlabel",
            "tag",
            "untag",
            "split",
            "private",
            "scaled",
            "pod",
            "wake",
        ]
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(changes)
@example(["scaled", "template"])
def test_whatever_happens_a_pass_leaves_nothing_to_do(steps: list[str]) -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service())
    cluster.serve()
    for step in steps:
        cluster.reconcile()
        _change(cluster, step)
    cluster.reconcile()
    # Routes lead elsewhere after a pass, which only the next one can tell the Revisions.
    cluster.reconcile()
    assert written(cluster.plan()) == []
    for revision in cluster.index.revisions_of(Key("default", "hello")):
        root = Root(REVISIONS, Key("default", name_of(revision)))
        assert plan(root, cluster.world).children == []


def _change(cluster: Cluster, step: str) -> None:
    key = Key("default", "hello")
    generation = cluster.get(SERVICES, "hello")["metadata"]["generation"]
    latest = cluster.get(SERVICES, "hello")["status"]["latestCreatedRevisionName"]
    follow: Obj = {"percent": 100, "latestRevision": True}
    patches: dict[str, Obj] = {
        "template": {"spec": {"template": {"spec": {"timeoutSeconds": generation + 1}}}},
        "label": {"metadata": {"labels": {"team": str(generation)}}},
        "unlabel": {"metadata": {"labels": None}},
        "tag": {"spec": {"traffic": [{**follow, "tag": "t"}]}},
        "untag": {"spec": {"traffic": [follow]}},
        "split": {
            "spec": {
                "traffic": [
                    {"revisionName": "hello-00001", "percent": 40, "latestRevision": False},
                    {**follow, "percent": 60},
                ]
            }
        },
        "private": {"metadata": {"labels": {names.VISIBILITY_LABEL: names.CLUSTER_LOCAL}}},
    }
    if step in patches:
        cluster.change(SERVICES, key, patches[step])
    elif step == "scaled":
        cluster.scaled(latest)
    elif step == "pod":
        cluster.set_status(DEPLOYMENTS, names.deployment_name(latest), availableReplicas=0)
    else:
        cluster.set_status(DEPLOYMENTS, names.deployment_name(latest), readyReplicas=1)
