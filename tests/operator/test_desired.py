"""What children look like."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from pilotlight import names
from pilotlight.config.deployment import (
    Affinity,
    Deployment,
    QueueProxyResources,
    QueueProxyTLS,
    RuntimeClass,
    TokenMount,
)
from pilotlight.config.features import Features, Flag
from pilotlight.config.logging import Logging
from pilotlight.config.network import Network
from pilotlight.config.observability import Metrics, Observability, Tracing
from pilotlight_operator.desired.configuration import configuration
from pilotlight_operator.desired.deployment import deployment, fingerprint, initial_scale
from pilotlight_operator.desired.pod import protocol, user_port
from pilotlight_operator.desired.podautoscaler import podautoscaler
from pilotlight_operator.desired.probe import encoded, of_queue_proxy
from pilotlight_operator.desired.resources import queue_resources
from pilotlight_operator.desired.revision import revision as revision_of
from pilotlight_operator.desired.route import route
from pilotlight_operator.desired.services import private_service, public_service, service_port
from pilotlight_operator.objects import Obj
from tests.operator.simulation import SETTINGS, service

IMAGE = "pilotlight.dev/queue-proxy:test"


def revision(container: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": "r-uid",
            "labels": {
                names.CONFIGURATION_LABEL: "hello",
                names.SERVICE_LABEL: "hello",
                names.ROUTING_STATE_LABEL: "active",
                "team": "blue",
            },
            "annotations": {
                names.ROUTES_ANNOTATION: "hello",
                names.ROUTING_STATE_MODIFIED_ANNOTATION: "x",
                names.NO_GC_ANNOTATION: "true",
                names.MIN_SCALE_ANNOTATION: "2",
                "note": "y",
            },
        },
        "spec": {
            "containers": [{"name": "user-container", "image": "i", **(container or {})}],
            "timeoutSeconds": 300,
            "containerConcurrency": 10,
            **spec,
        },
    }


def pod_of(subject: Obj, settings: Any = SETTINGS) -> Obj:
    spec: Obj = deployment(subject, settings)["spec"]["template"]["spec"]
    return spec


def settings_with(**changes: Any) -> Any:
    return replace(SETTINGS, deployment=Deployment(queue_sidecar_image=IMAGE, **changes))


def environment(container: Obj) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_labels_and_annotations_of_a_deployment() -> None:
    made = deployment(revision(), SETTINGS)
    labels = {
        names.CONFIGURATION_LABEL: "hello",
        names.SERVICE_LABEL: "hello",
        names.REVISION_LABEL: "hello-00001",
        names.REVISION_UID_LABEL: "r-uid",
        "app": "hello-00001",
        "team": "blue",
    }
    digest = made["metadata"]["labels"].pop(names.DEPLOYMENT_HASH_LABEL)
    assert made["metadata"]["labels"] == labels
    assert made["metadata"]["annotations"] == {"note": "y"}
    template = made["spec"]["template"]["metadata"]
    assert template["labels"] == labels
    assert template["annotations"] == {
        "note": "y",
        names.DEFAULT_CONTAINER_ANNOTATION: "user-container",
    }
    assert len(digest) <= 8
    assert "replicas" not in made["spec"]
    assert made["spec"]["selector"] == {"matchLabels": {names.REVISION_UID_LABEL: "r-uid"}}


def test_an_app_label_of_the_user_stays() -> None:
    subject = revision()
    subject["metadata"]["labels"]["app"] = "shop"
    assert deployment(subject, SETTINGS)["metadata"]["labels"]["app"] == "shop"


def test_the_queue_proxy_stands_first_and_brings_no_volume() -> None:
    pod = pod_of(revision())
    assert [container["name"] for container in pod["containers"]] == [
        "queue-proxy",
        "user-container",
    ]
    assert "volumes" not in pod
    assert pod["terminationGracePeriodSeconds"] == 300


def test_the_queue_proxys_environment() -> None:
    queue = pod_of(revision())["containers"][0]
    found = environment(queue)
    assert found["CONTAINER_CONCURRENCY"] == "10"
    assert found["REVISION_TIMEOUT_SECONDS"] == "300"
    assert found["USER_PORT"] == "8080"
    assert found["QUEUE_SERVING_PORT"] == "8012"
    assert found["SERVING_REVISION"] == "hello-00001"
    assert found[names.ENV_REVISION_UID] == "r-uid"
    assert found[names.ENV_AUTOSCALER] == (
        "autoscaler-reports.knative-serving.svc.cluster.local:8014"
    )
    assert found[names.ENV_ACTIVATOR] == "activator-reports.knative-serving.svc.cluster.local:8014"
    (key,) = (entry for entry in queue["env"] if entry["name"] == names.ENV_KEY)
    assert key["valueFrom"] == {"secretKeyRef": {"name": "hello-00001-key", "key": "key"}}


def test_the_queue_proxys_environment_has_knatives_names() -> None:
    found = [entry["name"] for entry in pod_of(revision())["containers"][0]["env"]]
    wanted = [
        "SERVING_NAMESPACE", "SERVING_SERVICE", "SERVING_CONFIGURATION", "SERVING_REVISION",
        "QUEUE_SERVING_PORT", "QUEUE_SERVING_TLS_PORT", "CONTAINER_CONCURRENCY",
        "REVISION_TIMEOUT_SECONDS", "REVISION_RESPONSE_START_TIMEOUT_SECONDS",
        "REVISION_IDLE_TIMEOUT_SECONDS", "SERVING_POD", "SERVING_POD_IP",
        "SERVING_LOGGING_CONFIG", "SERVING_LOGGING_LEVEL", "USER_PORT", "SYSTEM_NAMESPACE",
        "SERVING_READINESS_PROBE", "HOST_IP", "ENABLE_HTTP2_AUTO_DETECTION",
        "ENABLE_HTTP_FULL_DUPLEX", "ROOT_CA", "QUEUE_PROXY_TLS_MIN_VERSION",
        "QUEUE_PROXY_TLS_MAX_VERSION", "QUEUE_PROXY_TLS_CIPHER_SUITES",
        "QUEUE_PROXY_TLS_CURVE_PREFERENCES", "ENABLE_MULTI_CONTAINER_PROBES",
        "OBSERVABILITY_CONFIG",
    ]  # fmt: skip
    assert set(wanted) <= set(found)
    assert len(found) == len(set(found))


def test_what_the_cluster_tells_the_queue_proxy() -> None:
    tls = QueueProxyTLS("1.2", "1.3", "AES", "X25519")
    settings = replace(
        settings_with(queue_sidecar_tls=tls, queue_sidecar_rootca="ca"),
        features=Features(autodetect_http2=Flag.ENABLED, multi_container_probing=Flag.ENABLED),
        logging=Logging(zap_logger_config="{}", levels={"queueproxy": "debug"}),
    )
    found = environment(pod_of(revision(), settings)["containers"][0])
    assert found["ENABLE_HTTP2_AUTO_DETECTION"] == "true"
    assert found["ENABLE_MULTI_CONTAINER_PROBES"] == "true"
    assert (found["SERVING_LOGGING_CONFIG"], found["SERVING_LOGGING_LEVEL"]) == ("{}", "debug")
    assert found["ROOT_CA"] == "ca"
    assert found["QUEUE_PROXY_TLS_MIN_VERSION"] == "1.2"
    assert found["QUEUE_PROXY_TLS_MAX_VERSION"] == "1.3"
    assert found["QUEUE_PROXY_TLS_CIPHER_SUITES"] == "AES"
    assert found["QUEUE_PROXY_TLS_CURVE_PREFERENCES"] == "X25519"


@pytest.mark.parametrize(
    ("given", "told", "ports"),
    [
        (Observability(), {}, [9090, 9091, 8012, 8112]),
        (
            Observability(enable_probe_request_log=True, request_log_template="unused"),
            {},
            [9090, 9091, 8012, 8112],
        ),
        (
            Observability(
                enable_request_log=True,
                enable_probe_request_log=True,
                request_log_template="t",
                request_metrics=Metrics("prometheus", "0.0.0.0:9095"),
                runtime_profiling=True,
                tracing=Tracing("grpc", "c:1", 0.5),
            ),
            {
                "enableRequestLog": True,
                "requestLogTemplate": "t",
                "enableProbeRequestLog": True,
                "requestMetrics": {"protocol": "prometheus", "endpoint": "0.0.0.0:9095"},
                "tracing": {"protocol": "grpc", "samplingRate": 0.5, "endpoint": "c:1"},
                "runtime": {"profiling": "enabled"},
            },
            [9090, 9095, 8008, 8012, 8112],
        ),
    ],
    ids=["nothing", "no log", "all"],
)
def test_what_is_to_be_observed(given: Observability, told: Obj, ports: list[int]) -> None:
    queue = pod_of(revision(), replace(SETTINGS, observability=given))["containers"][0]
    assert json.loads(environment(queue)["OBSERVABILITY_CONFIG"]) == told
    assert [port["containerPort"] for port in queue["ports"]] == ports


def test_volumes_that_the_cluster_adds() -> None:
    subject = revision({"volumeMounts": [{"name": "mine", "mountPath": "/m"}]})
    subject["spec"]["volumes"] = [{"name": "mine", "emptyDir": {}}]
    settings = replace(
        settings_with(queue_sidecar_token_audiences=frozenset({"b", "a"})),
        features=Features(queueproxy_mount_podinfo=Flag.ALLOWED),
        network=Network(system_internal_tls=True),
        observability=Observability(enable_var_log_collection=True),
    )
    queue, user = (pod := pod_of(subject, settings))["containers"]
    names_of = [volume["name"] for volume in pod["volumes"]]
    assert names_of == ["mine", "knative-token-volume", "server-certs", "knative-var-log"]
    assert {mount["mountPath"] for mount in queue["volumeMounts"]} == {
        "/var/run/secrets/tokens",
        "/var/lib/knative/certs",
    }
    (mine, logs) = user["volumeMounts"]
    assert mine["name"] == "mine"
    assert logs["subPathExpr"] == (
        "$(K_INTERNAL_POD_NAMESPACE)_$(K_INTERNAL_POD_NAME)_user-container"
    )
    assert {"K_INTERNAL_POD_NAME", "K_INTERNAL_POD_NAMESPACE"} <= set(environment(user))
    sources = pod["volumes"][1]["projected"]["sources"]
    assert [source["serviceAccountToken"]["audience"] for source in sources] == ["a", "b"]
    subject["metadata"]["annotations"][names.POD_INFO_ANNOTATION] = "enabled"
    queue = pod_of(subject, settings)["containers"][0]
    assert queue["volumeMounts"][0] == {
        "name": "pod-info",
        "mountPath": "/etc/podinfo",
        "readOnly": True,
    }


@pytest.mark.parametrize("flag", [Flag.ENABLED, Flag.DISABLED])
def test_readiness_of_all_containers(flag: Flag) -> None:
    subject = revision(
        {
            "ports": [{"containerPort": 9000}],
            "readinessProbe": {"tcpSocket": {"port": 0}},
            "livenessProbe": {"tcpSocket": {"port": 9001}},
        }
    )
    command = {"exec": {"command": ["true"]}}
    subject["spec"]["containers"] += [
        {"name": "a", "image": "a", "readinessProbe": {"tcpSocket": {"port": 7000}}},
        {"name": "b", "image": "b", "readinessProbe": command},
        {"name": "c", "image": "c"},
    ]
    settings = replace(SETTINGS, features=Features(multi_container_probing=flag))
    queue, user, a, b, _ = pod_of(subject, settings)["containers"]
    probes = json.loads(environment(queue)["SERVING_READINESS_PROBE"])
    assert b["readinessProbe"] == command
    if flag is Flag.ENABLED:
        assert [probe["tcpSocket"]["port"] for probe in probes] == [9000, 7000]
        assert "readinessProbe" not in a
        assert user["livenessProbe"]["tcpSocket"]["port"] == 9001
    else:
        assert probes["tcpSocket"]["port"] == 9000
        assert a["readinessProbe"] == {"tcpSocket": {"port": 7000}}
        assert user["livenessProbe"]["tcpSocket"]["port"] == 9000


def test_the_users_container() -> None:
    given = {
        "ports": [{"containerPort": 9000}],
        "env": [{"name": "A", "value": "1"}],
        "readinessProbe": {"httpGet": {"path": "/up"}},
        "livenessProbe": {"httpGet": {"path": "/live", "port": 0}},
    }
    user = pod_of(revision(given))["containers"][1]
    assert user["ports"] == [{"name": "user-port", "containerPort": 9000, "protocol": "TCP"}]
    assert [entry["name"] for entry in user["env"]] == [
        "A",
        "PORT",
        "K_REVISION",
        "K_CONFIGURATION",
        "K_SERVICE",
    ]
    assert environment(user)["PORT"] == "9000"
    assert "readinessProbe" not in user
    assert user["livenessProbe"]["httpGet"] == {"path": "/live", "port": 9000}
    assert user["lifecycle"]["preStop"]["httpGet"]["port"] == names.QUEUE_ADMIN_PORT
    assert user["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize(
    ("kind", "probe", "expected"),
    [
        ("startupProbe", {"httpGet": {"path": "/", "port": 0}}, {"path": "/", "port": 9000}),
        ("startupProbe", {"tcpSocket": {}}, {"port": 9000}),
        ("startupProbe", {"tcpSocket": {"port": "http1"}}, {"port": 9000}),
        ("startupProbe", {"tcpSocket": {"port": 9001}}, {"port": 9001}),
        ("startupProbe", {"exec": {"command": ["true"]}}, {"command": ["true"]}),
        ("livenessProbe", {"tcpSocket": {"port": 9001}}, {"port": 9000}),
        ("livenessProbe", {"grpc": {"port": 0, "service": ""}}, {"port": 9000, "service": ""}),
    ],
)
def test_a_probe_without_a_port_asks_the_users(kind: str, probe: Obj, expected: Obj) -> None:
    """Kubernetes refuses a pod whose probe has no port, or a name that no port has."""
    given = {"ports": [{"containerPort": 9000, "name": "http1"}], kind: probe}
    user = pod_of(revision(given))["containers"][1]
    assert list(user[kind].values()) == [expected]


def test_an_exec_probe_stays_with_the_kubelet() -> None:
    probe = {"exec": {"command": ["true"]}}
    user = pod_of(revision({"readinessProbe": probe}))["containers"][1]
    assert user["readinessProbe"] == probe


def test_sidecars_get_no_port() -> None:
    subject = revision({"ports": [{"containerPort": 9000}]})
    subject["spec"]["containers"].insert(0, {"name": "side", "image": "s"})
    _, side, user = pod_of(subject)["containers"]
    assert "PORT" not in environment(side)
    assert environment(side)["K_SERVICE"] == "hello"
    assert environment(user)["PORT"] == "9000"
    annotations = deployment(subject, SETTINGS)["spec"]["template"]["metadata"]["annotations"]
    assert annotations[names.DEFAULT_CONTAINER_ANNOTATION] == "user-container"


@pytest.mark.parametrize(
    ("spec", "mount", "mounted"),
    [
        ({}, TokenMount.AUTO, False),
        ({"serviceAccountName": "robot"}, TokenMount.AUTO, True),
        (
            {"serviceAccountName": "r", "automountServiceAccountToken": False},
            TokenMount.AUTO,
            False,
        ),
        ({}, TokenMount.ALWAYS, True),
        ({"automountServiceAccountToken": False}, TokenMount.ALWAYS, False),
        ({"serviceAccountName": "robot"}, TokenMount.NEVER, False),
    ],
    ids=["auto", "auto named", "auto refused", "always", "always refused", "never"],
)
def test_the_service_accounts_token(spec: Obj, mount: TokenMount, mounted: bool) -> None:
    pod = pod_of(revision(**spec), settings_with(service_account_token=mount))
    assert pod.get("automountServiceAccountToken", True) is mounted


def test_what_the_user_says_about_the_pod_stays() -> None:
    affinity: Obj = {"nodeAffinity": {}}
    pod = pod_of(revision(affinity=affinity, runtimeClassName="kata", enableServiceLinks=True))
    assert pod["affinity"] == affinity
    assert pod["runtimeClassName"] == "kata"
    assert pod["enableServiceLinks"] is True


def test_what_the_cluster_says_about_pods() -> None:
    pod = pod_of(revision())
    assert "podAntiAffinity" in pod["affinity"]
    assert pod["enableServiceLinks"] is False
    changed = settings_with(
        default_affinity=Affinity.NONE,
        runtime_classes=(RuntimeClass("gvisor", (("team", "blue"),)),),
    )
    pod = pod_of(revision(), changed)
    assert "affinity" not in pod
    assert pod["runtimeClassName"] == "gvisor"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [({}, 1), ({names.INITIAL_SCALE_ANNOTATION: "3"}, 3), ({"x": "y"}, 1)],
    ids=["default", "annotated", "others"],
)
def test_initial_scale(annotations: dict[str, str], expected: int) -> None:
    subject = revision()
    subject["metadata"]["annotations"] = annotations
    assert initial_scale(subject, SETTINGS) == expected


def test_the_hash_follows_what_is_desired() -> None:
    def digest(subject: Obj) -> str:
        label: str = deployment(subject, SETTINGS)["metadata"]["labels"][
            names.DEPLOYMENT_HASH_LABEL
        ]
        return label

    same = revision()
    same["metadata"]["annotations"][names.MIN_SCALE_ANNOTATION] = "5"
    assert digest(same) == digest(revision())
    assert digest(revision({"image": "j"})) != digest(revision())


def test_a_fingerprint_fits_into_a_label_and_ignores_the_order_of_keys() -> None:
    found = fingerprint({"a": 1, "b": 2})
    assert found == fingerprint({"b": 2, "a": 1})
    assert found != fingerprint({"a": 1, "b": 3})
    assert found.isalnum()
    assert len(found) <= 8


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ({}, {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}, "successThreshold": 1}),
        (
            {"tcpSocket": {"port": 0}, "periodSeconds": 2},
            {
                "tcpSocket": {"port": 8080, "host": "127.0.0.1"},
                "successThreshold": 1,
                "periodSeconds": 2,
                "timeoutSeconds": 1,
            },
        ),
        (
            {"httpGet": {"path": "/up", "port": 9999}},
            {
                "httpGet": {"path": "/up", "port": 9999, "host": "127.0.0.1", "scheme": "HTTP"},
                "successThreshold": 1,
            },
        ),
        (
            {"grpc": {"service": "s"}},
            {"grpc": {"service": "s", "port": 8080}, "successThreshold": 1},
        ),
        (
            {"exec": {"command": ["true"]}},
            {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}, "successThreshold": 1},
        ),
    ],
    ids=["none", "tcp", "http", "grpc", "exec"],
)
def test_the_probe_of_the_queue_proxy(probe: Obj, expected: Obj) -> None:
    assert json.loads(encoded(revision({"readinessProbe": probe}))) == expected


def test_the_kubelets_probe_takes_over_the_numbers() -> None:
    probe = {"periodSeconds": 5, "failureThreshold": 2, "timeoutSeconds": 3}
    found = of_queue_proxy(revision({"readinessProbe": probe}))
    assert (found["periodSeconds"], found["failureThreshold"], found["timeoutSeconds"]) == (5, 2, 3)
    assert of_queue_proxy(revision())["periodSeconds"] == 1
    assert found["httpGet"]["httpHeaders"] == [{"name": "K-Network-Probe", "value": "queue"}]


@pytest.mark.parametrize(
    ("annotations", "resources", "expected"),
    [
        ({}, {}, {"requests": {"cpu": "25m"}}),
        (
            {"queue.sidecar.serving.knative.dev/resource-percentage": "20"},
            {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "100m"}},
            {
                "requests": {"cpu": "100m", "memory": str(200 * 2**20)},
                "limits": {"cpu": "40m"},
            },
        ),
        (
            {"queue.sidecar.serving.knative.dev/cpu-resource-request": "7m"},
            {},
            {"requests": {"cpu": "7m"}},
        ),
        (
            {"queue.sidecar.serving.knative.dev/memory-resource-limit": "1Gi"},
            {},
            {"requests": {"cpu": "25m"}, "limits": {"memory": "1Gi"}},
        ),
    ],
    ids=["configured", "share", "request", "limit"],
)
def test_the_queue_proxys_resources(
    annotations: dict[str, str], resources: Obj, expected: Obj
) -> None:
    subject = revision({"resources": resources})
    subject["metadata"]["annotations"] = annotations
    assert queue_resources(subject, SETTINGS.queue_resources) == expected


def test_configured_resources() -> None:
    given = QueueProxyResources(cpu_request=None, memory_limit="50Mi")
    found = settings_with(queue_sidecar_resources=given).queue_resources
    assert found == {"requests": {}, "limits": {"memory": "50Mi"}}


def test_resources_by_default_give_way_to_configured_ones() -> None:
    given = QueueProxyResources(memory_limit="50Mi")
    flags = Features(queueproxy_resource_defaults=Flag.ENABLED)
    found = replace(settings_with(queue_sidecar_resources=given), features=flags)
    assert found.queue_resources == {
        "requests": {"cpu": "25m", "memory": "400Mi"},
        "limits": {"cpu": "1000m", "memory": "50Mi"},
    }


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], ("http1", 8080, 80)),
        ([{"containerPort": 1234}], ("http1", 1234, 80)),
        ([{"containerPort": 1234, "name": "h2c"}], ("h2c", 1234, 81)),
    ],
    ids=["default", "http1", "h2c"],
)
def test_protocols(ports: list[Obj], expected: tuple[str, int, int]) -> None:
    subject = revision({"ports": ports})
    assert (protocol(subject), user_port(subject), service_port(subject)) == expected
    private = private_service(subject)["spec"]
    assert private["selector"] == {names.REVISION_UID_LABEL: "r-uid"}
    assert private["ports"][0]["port"] == 80
    public = public_service(subject)["spec"]
    assert "selector" not in public
    assert public["ports"][0]["port"] == expected[2]
    assert public["ports"][0]["targetPort"] == (8013 if expected[0] == "h2c" else 8012)


@pytest.mark.parametrize(
    ("state", "broken", "expected"),
    [
        ("active", False, "Reachable"),
        ("reserve", False, "Unreachable"),
        ("pending", False, None),
        ("active", True, "Unreachable"),
    ],
    ids=["active", "reserve", "pending", "broken"],
)
def test_reachability(state: str, broken: bool, expected: str | None) -> None:
    subject = revision()
    subject["metadata"]["labels"][names.ROUTING_STATE_LABEL] = state
    made = podautoscaler(subject, broken=broken)
    assert made["spec"].get("reachability") == expected
    assert made["metadata"]["annotations"] == {names.MIN_SCALE_ANNOTATION: "2", "note": "y"}
    assert made["spec"]["containerConcurrency"] == 10


def test_a_services_children_inherit() -> None:
    parent = service()
    parent["metadata"] |= {"uid": "s-uid", "labels": {"team": "blue"}}
    parent["metadata"]["annotations"] |= {
        names.LAST_APPLIED_ANNOTATION: "{}",
        names.ROLLOUT_DURATION_ANNOTATION: "60s",
    }
    made = configuration(parent, "hello")
    assert made["metadata"]["labels"] == {
        "team": "blue",
        names.SERVICE_LABEL: "hello",
        names.SERVICE_UID_LABEL: "s-uid",
    }
    assert made["metadata"]["annotations"] == {
        names.CREATOR_ANNOTATION: "me",
        names.LAST_MODIFIER_ANNOTATION: "me",
        names.ROUTES_ANNOTATION: "hello",
    }
    led = route(parent)
    assert led["metadata"]["labels"] == {"team": "blue", names.SERVICE_LABEL: "hello"}
    assert names.ROLLOUT_DURATION_ANNOTATION in led["metadata"]["annotations"]
    assert names.LAST_APPLIED_ANNOTATION not in led["metadata"]["annotations"]
    assert led["spec"]["traffic"] == [
        {"configurationName": "hello", "latestRevision": True, "percent": 100}
    ]


def test_a_revision_inherits_from_the_template_only() -> None:
    parent = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Configuration",
        "metadata": {
            "name": "hello",
            "namespace": "default",
            "uid": "c-uid",
            "generation": 3,
            "labels": {"team": "blue", names.SERVICE_LABEL: "hello"},
            "annotations": {names.LAST_MODIFIER_ANNOTATION: "you", "note": "x"},
        },
        "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}},
    }
    made = revision_of(parent, "2026-03-01T12:00:00Z")
    assert made["metadata"]["name"] == "hello-00003"
    assert made["metadata"]["labels"] == {
        "a": "b",
        names.CONFIGURATION_LABEL: "hello",
        names.CONFIGURATION_GENERATION_LABEL: "3",
        names.CONFIGURATION_UID_LABEL: "c-uid",
        names.ROUTING_STATE_LABEL: "pending",
        names.SERVICE_LABEL: "hello",
    }
    assert made["metadata"]["annotations"] == {
        names.CREATOR_ANNOTATION: "you",
        names.ROUTING_STATE_MODIFIED_ANNOTATION: "2026-03-01T12:00:00Z",
    }


def test_nothing_given_is_changed() -> None:
    subject = revision({"livenessProbe": {"httpGet": {"port": 1}}})
    before = copy.deepcopy(subject)
    deployment(subject, SETTINGS)
    podautoscaler(subject, broken=False)
    public_service(subject)
    assert subject == before
