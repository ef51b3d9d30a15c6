"""What an object gets that says nothing itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pilotlight.api.admission import Operation, default, validate
from pilotlight.config.autoscaler import Autoscaler
from pilotlight.config.defaults import Defaults
from pilotlight.config.features import Features, Flag, SecurePodDefaults
from tests.api.builders import (
    Obj,
    configuration,
    context,
    domain_mapping,
    ingress,
    pod_autoscaler,
    revision,
    route,
    service,
    service_of,
    split,
)

CREATOR = "serving.knative.dev/creator"
MODIFIER = "serving.knative.dev/lastModifier"


def pod(obj: Obj, **given: Any) -> Obj:
    """The pod spec of a Service after defaulting."""
    found: Obj = default(obj, None, context(**given))["spec"]["template"]["spec"]
    return found


def test_a_service_that_says_least() -> None:
    assert default(service(), None, context())["spec"] == {
        "template": {
            "metadata": {},
            "spec": {
                "containerConcurrency": 0,
                "containers": [
                    {
                        "image": "example.com/hello",
                        "name": "user-container",
                        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
                        "resources": {},
                    }
                ],
                "enableServiceLinks": False,
                "timeoutSeconds": 300,
            },
        },
        "traffic": [{"latestRevision": True, "percent": 100}],
    }


def test_the_object_that_came_in_is_left_alone() -> None:
    obj = service()
    before = copy.deepcopy(obj)
    default(obj, None, context(user="alice"))
    assert obj == before


@pytest.mark.parametrize("spec", [{}, {"template": {}}, {"template": {"spec": {}}}])
def test_missing_containers_are_said_to_be_null(spec: Obj) -> None:
    obj = {**service(), "spec": spec}
    assert pod(obj)["containers"] is None


def test_several_containers_are_numbered_around_the_names_in_use() -> None:
    containers: list[Obj] = [
        {"image": "a/b", "ports": [{}]},
        {"image": "a/c", "name": "user-container-1"},
        {"image": "a/d"},
    ]
    named = [c["name"] for c in pod(service_of({"containers": containers}))["containers"]]
    assert named == ["user-container-0", "user-container-1", "user-container-2"]


def test_names_come_from_a_template() -> None:
    defaults = Defaults(container_name_template="{{.Name}}-app")
    assert pod(service(), defaults=defaults)["containers"][0]["name"] == "hello-app"


def test_only_the_container_that_takes_requests_is_probed() -> None:
    containers = [{"image": "a/b"}, {"image": "a/c", "ports": [{"containerPort": 80}]}]
    probes = [
        container.get("readinessProbe")
        for container in pod(service_of({"containers": containers}))["containers"]
    ]
    assert probes == [None, {"tcpSocket": {"port": 0}, "successThreshold": 1}]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"httpGet": {"path": "/"}}, {"httpGet": {"path": "/", "port": 0}, "successThreshold": 1}),
        (
            {"exec": {"command": ["true"]}, "periodSeconds": 5},
            {
                "exec": {"command": ["true"]},
                "periodSeconds": 5,
                "successThreshold": 1,
                "failureThreshold": 3,
                "timeoutSeconds": 1,
            },
        ),
        ({"grpc": {"port": 1}}, {"grpc": {"port": 1, "service": ""}, "successThreshold": 1}),
    ],
)
def test_a_readiness_probe_is_completed(given: Obj, wanted: Obj) -> None:
    assert pod(service(readinessProbe=given))["containers"][0]["readinessProbe"] == wanted


@pytest.mark.parametrize(
    ("source", "read_only"),
    [("secret", True), ("configMap", True), ("projected", True), ("emptyDir", None)],
)
def test_most_volumes_are_mounted_read_only(source: str, read_only: bool | None) -> None:
    spec = {
        "containers": [{"image": "a/b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", source: {}}],
    }
    mount = pod(service_of(spec))["containers"][0]["volumeMounts"][0]
    assert mount.get("readOnly") is read_only


def test_resources_come_from_the_configuration_one_by_one() -> None:
    defaults = Defaults(
        revision_cpu_request="100m", revision_memory_request="64Mi", revision_cpu_limit="1"
    )
    container = pod(service(resources={"requests": {"cpu": "2"}}), defaults=defaults)["containers"][
        0
    ]
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "64Mi"},
        "limits": {"cpu": "1"},
    }


@pytest.mark.parametrize(
    ("defaults", "wanted"),
    [
        (Defaults(), (None, None)),
        (Defaults(revision_response_start_timeout_s=30, revision_idle_timeout_s=60), (30, 60)),
        (Defaults(revision_response_start_timeout_s=0), (None, None)),
    ],
)
def test_shorter_timeouts_are_set_only_when_they_are_shorter(
    defaults: Defaults, wanted: tuple[int | None, int | None]
) -> None:
    spec = pod(service(), defaults=defaults)
    found = (spec.get("responseStartTimeoutSeconds"), spec.get("idleTimeoutSeconds"))
    assert found == wanted


def test_a_timeout_of_zero_is_none() -> None:
    spec = {"containers": [{"image": "a/b"}], "timeoutSeconds": 0}
    assert pod(service_of(spec))["timeoutSeconds"] == 300


@pytest.mark.parametrize(("links", "wanted"), [(True, True), (False, False), (None, None)])
def test_service_links_follow_the_configuration(links: bool | None, wanted: bool | None) -> None:
    spec = pod(service(), defaults=Defaults(enable_service_links=links))
    assert spec.get("enableServiceLinks") is wanted


def test_service_links_are_set_only_when_an_object_is_made() -> None:
    where = context(Operation.UPDATE)
    spec = default(service(), service(), where)["spec"]["template"]["spec"]
    assert "enableServiceLinks" not in spec


def test_safe_pods() -> None:
    features = Features(secure_pod_defaults=SecurePodDefaults.ENABLED)
    container = pod(service(ports=[{"containerPort": 80}]), features=features)["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }


def test_safe_pods_that_may_be_root() -> None:
    features = Features(secure_pod_defaults=SecurePodDefaults.ALLOW_ROOT_BOUNDED)
    spec = {
        "containers": [{"image": "a/b"}],
        "securityContext": {"seccompProfile": {"type": "Unconfined"}},
    }
    container = pod(service_of(spec), features=features)["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_users_are_noted() -> None:
    made = default(service(), None, context(user="alice"))
    assert made["metadata"]["annotations"] == {CREATOR: "alice", MODIFIER: "alice"}
    touched = default(made, made, context(Operation.UPDATE, user="bob"))
    assert touched == made
    changed = copy.deepcopy(made)
    changed["spec"]["template"]["spec"]["timeoutSeconds"] = 5
    changed = default(changed, made, context(Operation.UPDATE, user="bob"))
    assert changed["metadata"]["annotations"] == {CREATOR: "alice", MODIFIER: "bob"}


@pytest.mark.parametrize("obj", [configuration(), route({"revisionName": "a", "percent": 100})])
def test_children_inherit_their_users(obj: Obj) -> None:
    assert default(obj, None, context(user="alice"))["metadata"]["annotations"][CREATOR] == "alice"
    obj["metadata"]["ownerReferences"] = [{"kind": "Service", "name": "hello"}]
    assert "annotations" not in default(obj, None, context(user="alice"))["metadata"]


def test_a_revision_gets_no_users_and_is_not_touched_again() -> None:
    made = default(revision(), None, context(user="alice"))
    assert "annotations" not in made["metadata"]
    assert made["spec"]["timeoutSeconds"] == 300
    again = default(revision(), made, context(Operation.UPDATE))
    assert "timeoutSeconds" not in again["spec"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], [{"latestRevision": True, "percent": 100}]),
        ([{"tag": "a"}], [{"tag": "a", "latestRevision": True, "percent": 0}]),
        (
            [{"revisionName": "x", "percent": 100}],
            [{"revisionName": "x", "latestRevision": False, "percent": 100}],
        ),
    ],
)
def test_traffic_is_completed(given: list[Obj], wanted: list[Obj]) -> None:
    obj = service()
    obj["spec"]["traffic"] = given
    assert default(obj, None, context())["spec"]["traffic"] == wanted


def test_a_route_without_traffic_gets_none() -> None:
    assert default(route(), None, context())["spec"]["traffic"] == []


def test_internal_objects_are_completed() -> None:
    assert default(domain_mapping(), None, context())["spec"]["ref"]["namespace"] == "default"
    rule = default(ingress(split()), None, context())["spec"]["rules"][0]
    assert (rule["visibility"], rule["http"]["paths"][0]["splits"][0]["percent"]) == (
        "ExternalIP",
        100,
    )
    hpa = Autoscaler(pod_autoscaler_class="hpa.autoscaling.knative.dev")
    assert default(pod_autoscaler(), None, context(autoscaler=hpa))["metadata"]["annotations"] == {
        "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "cpu",
    }


def test_status_writes_are_left_alone() -> None:
    where = context(Operation.UPDATE, user="bob")
    obj = {**service(), "status": {"url": "http://hello"}}
    assert default(obj, service(), replace(where, subresource="status")) == obj


# Objects as people may write them: mostly right, sometimes wrong, often incomplete.

NAMES = st.sampled_from(["", "a", "b", "user-container-0"])
PROBES = st.fixed_dictionaries(
    {},
    optional={
        "httpGet": st.fixed_dictionaries({}, optional={"port": st.sampled_from([0, 80, "http"])}),
        "grpc": st.just({}),
        "exec": st.just({"command": ["true"]}),
        "periodSeconds": st.integers(-1, 3),
        "timeoutSeconds": st.integers(-1, 3),
        "successThreshold": st.integers(-1, 2),
    },
)
CONTAINERS = st.fixed_dictionaries(
    {"image": st.sampled_from(["a/b", "", "UP PER"])},
    optional={
        "name": NAMES,
        "ports": st.lists(
            st.fixed_dictionaries({"containerPort": st.integers(0, 9000)}), max_size=2
        ),
        "readinessProbe": PROBES,
        "livenessProbe": st.none() | PROBES,
        "resources": st.none()
        | st.fixed_dictionaries({}, optional={"limits": st.just({"cpu": "1"})}),
        "env": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["PORT", "A"])}), max_size=1
        ),
        "volumeMounts": st.lists(
            st.fixed_dictionaries({"name": NAMES, "mountPath": st.sampled_from(["/", "/a", "b"])}),
            max_size=2,
        ),
        "securityContext": st.none()
        | st.fixed_dictionaries({}, optional={"runAsNonRoot": st.booleans()}),
    },
)
SPECS: st.SearchStrategy[Obj] = st.fixed_dictionaries(
    {},
    optional={
        "containers": st.none() | st.lists(CONTAINERS, max_size=3),
        "initContainers": st.lists(CONTAINERS, max_size=2),
        "volumes": st.lists(
            st.fixed_dictionaries({"name": NAMES}, optional={"emptyDir": st.just({})}), max_size=2
        ),
        "timeoutSeconds": st.integers(-1, 700),
        "containerConcurrency": st.none() | st.integers(-1, 1100),
        "enableServiceLinks": st.none() | st.booleans(),
    },
)
TRAFFIC = st.none() | st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "percent": st.none() | st.integers(-1, 101),
            "latestRevision": st.booleans(),
            "revisionName": NAMES,
            "tag": NAMES,
        },
    ),
    max_size=3,
)
VALID_SPECS = st.fixed_dictionaries(
    {
        "containers": st.lists(
            st.fixed_dictionaries(
                {"image": st.just("a/b")},
                optional={
                    "ports": st.just([{"containerPort": 8080}]),
                    "readinessProbe": st.sampled_from(
                        [{}, {"httpGet": {"path": "/"}}, {"grpc": {}, "periodSeconds": 5}]
                    ),
                    "volumeMounts": st.just([{"name": "v", "mountPath": "/v"}]),
                    "resources": st.sampled_from([{}, {"limits": {"cpu": 1, "memory": "1Gi"}}]),
                },
            ),
            min_size=1,
            max_size=2,
        ),
        "volumes": st.sampled_from(
            [[], [{"name": "v", "emptyDir": {}}], [{"name": "v", "secret": {}}]]
        ),
    },
    optional={"timeoutSeconds": st.integers(0, 600), "enableServiceLinks": st.booleans()},
)
SETTINGS = st.builds(
    context,
    st.sampled_from([Operation.CREATE, Operation.UPDATE]),
    user=st.sampled_from(["", "alice"]),
    features=st.builds(
        Features,
        secure_pod_defaults=st.sampled_from(SecurePodDefaults),
        podspec_init_containers=st.sampled_from(Flag),
    ),
    defaults=st.builds(
        Defaults,
        revision_idle_timeout_s=st.integers(0, 60),
        revision_cpu_request=st.sampled_from([None, "1"]),
    ),
)


@given(SPECS, TRAFFIC, SETTINGS)
@settings(max_examples=300, deadline=None)
def test_defaulting_twice_changes_nothing_and_checks_never_fail(
    spec: Obj, traffic: list[Obj] | None, where: Any
) -> None:
    obj = service_of(spec)
    obj["spec"]["traffic"] = traffic
    old = service() if where.is_update else None
    once = default(obj, old, where)
    assert default(once, old, where) == once
    first = validate(once, old, where)
    assert validate(once, old, where).render() == first.render()


@given(VALID_SPECS)
@settings(max_examples=200, deadline=None)
def test_what_has_passed_passes_again(spec: Obj) -> None:
    made = default(service_of(spec), None, context(user="alice"))
    assume(not validate(made, None, context(user="alice")).errors)
    again = default(made, made, context(Operation.UPDATE, user="bob"))
    assert again == made
    assert not validate(again, made, context(Operation.UPDATE, user="bob")).errors
