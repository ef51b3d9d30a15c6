"""What hands and scripts do with kubectl."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import yaml

from e2e.harness import (
    IMAGE,
    Cluster,
    Deployed,
    Gateway,
    Object,
    Wish,
    wait_until,
)
from e2e.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


@pytest.fixture(scope="module", name="kubectl")
def kubectl_fixture(
    cluster: Cluster, shared: str, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    return Kubectl(cluster.kubeconfig, shared, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", name="app")
def app_fixture(
    cluster: Cluster, gateway: Gateway, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    """A Service made by `kubectl apply --filename`, that keeps a pod."""
    wish = Wish(name="app", annotations={"min-scale": "1"}, env={"NAME": "one"})
    file = tmp_path_factory.mktemp("manifests") / "app.yaml"
    file.write_text(yaml.safe_dump(wish.manifest(kubectl.namespace)))
    said = kubectl("apply", f"--filename={file}")
    assert said == "service.serving.knative.dev/app created\n"
    assert kubectl("wait", "--for=condition=Ready", "ksvc/app", "--timeout=20s") == (
        "service.serving.knative.dev/app condition met\n"
    )
    kubectl("apply", f"--filename={file}")
    assert kubectl("get", "ksvc", "app", "--output=jsonpath={.metadata.generation}") == "1"
    return Deployed(cluster, gateway, kubectl.namespace, "app")


@pytest.mark.parametrize(
    ("short", "columns", "values"),
    [
        pytest.param(
            "ksvc",
            ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"],
            {"LATESTCREATED": "app-00001", "LATESTREADY": "app-00001", "READY": "True"},
            id="ksvc",
        ),
        pytest.param(
            "rev",
            [
                "NAME",
                "CONFIG NAME",
                "GENERATION",
                "READY",
                "REASON",
                "ACTUAL REPLICAS",
                "DESIRED REPLICAS",
            ],
            {"CONFIG NAME": "app", "GENERATION": "1", "READY": "True", "ACTUAL REPLICAS": "1"},
            id="rev",
        ),
        pytest.param("rt", ["NAME", "URL", "READY", "REASON"], {"READY": "True"}, id="rt"),
        pytest.param(
            "cfg",
            ["NAME", "LATESTCREATED", "LATESTREADY", "READY", "REASON"],
            {"LATESTREADY": "app-00001", "READY": "True"},
            id="cfg",
        ),
        pytest.param(
            "kpa",
            ["NAME", "DESIREDSCALE", "ACTUALSCALE", "READY", "REASON"],
            {"DESIREDSCALE": "1", "ACTUALSCALE": "1", "READY": "True"},
            id="kpa",
        ),
        pytest.param("king", ["NAME", "READY", "REASON"], {"READY": "True"}, id="king"),
        pytest.param(
            "pods",
            ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            {"READY": "2/2", "STATUS": "Running"},
            id="pods",
        ),
        pytest.param(
            "deployments",
            ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
            {"READY": "1/1"},
            id="deployments",
        ),
    ],
)
def test_get_shows_the_columns(
    app: Deployed, kubectl: Kubectl, short: str, columns: list[str], values: dict[str, str]
) -> None:
    selector = "serving.knative.dev/service=app"
    if short == "ksvc":
        headings, rows = kubectl.table("get", short, "app")
    else:
        headings, rows = kubectl.table("get", short, f"--selector={selector}")
    assert headings == columns
    assert len(rows) == 1
    row = dict(zip(headings, rows[0], strict=True))
    assert {key: row[key] for key in values} == values


def test_get_in_other_forms(app: Deployed, kubectl: Kubectl) -> None:
    assert kubectl("get", "ksvc", "-o", "name") == "service.serving.knative.dev/app\n"
    assert kubectl("get", "ksvc", "app", "-o", "jsonpath={.status.url}").startswith("http://app.")
    assert yaml.safe_load(kubectl("get", "ksvc", "app", "-o", "yaml"))["kind"] == "Service"
    assert "app" in kubectl("get", "serving")
    assert "NAMESPACE" in kubectl("get", "ksvc", "--all-namespaces").splitlines()[0]
    assert "LABELS" in kubectl("get", "pods", "--show-labels", "-o", "wide").splitlines()[0]


def test_describe(app: Deployed, kubectl: Kubectl) -> None:
    said = kubectl("describe", "ksvc", "app")
    assert re.search(r"^Name:\s+app$", said, re.MULTILINE)
    assert "Latest Ready Revision Name:" in said
    pod = kubectl("get", "pods", "-o", "name").split()[0]
    said = kubectl("describe", pod)
    assert "queue-proxy:" in said
    assert "user-container:" in said
    assert "ContainersReady" in said
    assert "NewReplicaSet:" in kubectl("describe", "deployment", "app-00001-deployment")


def test_logs_follow(app: Deployed, kubectl: Kubectl) -> None:
    pod = kubectl("get", "pods", "-o", "name").split()[0]
    with kubectl.follow("logs", "-f", pod, "--container=user-container") as following:
        assert app.ask("/sleep?ms=1&mark=first").status == 200
        assert following.stdout is not None
        assert any("mark=first" in line for line in _lines(following.stdout, 10.0))
        assert app.ask("/sleep?ms=1&mark=second").status == 200
        assert any("mark=second" in line for line in _lines(following.stdout, 10.0))
    container = "--container=user-container"
    assert "mark=second" in kubectl("logs", pod, container, "--tail=1000")
    assert len(kubectl("logs", pod, container, "--tail=1").splitlines()) == 1


def test_logs_are_the_programs_by_default(app: Deployed, kubectl: Kubectl) -> None:
    kubectl.need(21, "read which container is the default")
    pod = kubectl("get", "pods", "-o", "name").split()[0]
    assert app.ask("/sleep?ms=1&mark=third").status == 200
    wait_until(lambda: "mark=third" in kubectl("logs", pod), 5.0, "the line is in the log")


def _lines(stream: IO[str], within_s: float) -> Iterator[str]:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and (line := stream.readline()):
        yield line


def test_explain(kubectl: Kubectl) -> None:
    kubectl.need(27, "explain by OpenAPI v3")
    said = kubectl("explain", "ksvc.spec")
    assert "traffic" in said
    assert "template" in said
    assert "containerConcurrency" in kubectl("explain", "ksvc.spec.template.spec")
    assert "percent" in kubectl("explain", "ksvc.spec.traffic")
    assert "containerPort" in kubectl("explain", "pod.spec.containers.ports")


def test_api_resources(kubectl: Kubectl) -> None:
    said = kubectl("api-resources", "--api-group=serving.knative.dev")
    rows = {line.split()[0]: line.split() for line in said.splitlines()[1:]}
    assert rows["services"][1] == "kservice,ksvc"
    assert rows["revisions"][1:3] == ["rev", "serving.knative.dev/v1"]
    assert rows["routes"][-1] == "Route"
    assert rows["domainmappings"][1:3] == ["dm", "serving.knative.dev/v1beta1"]
    assert "deployments" in kubectl("api-resources", "--api-group=apps", "-o", "wide")
    assert "serving.knative.dev/v1" in kubectl("api-versions").splitlines()
    assert "Server Version" in kubectl("version")


def test_patch_and_edit_make_revisions(app: Deployed, kubectl: Kubectl, tmp_path: Path) -> None:
    wish = Wish(name="changing", env={"NAME": "one"}, annotations={"min-scale": "1"})
    kubectl("apply", "--filename=-", given=wish.manifest(kubectl.namespace))
    service = Deployed(app.cluster, app.gateway, kubectl.namespace, "changing").ready()
    path = "/spec/template/spec/containers/0/env/0/value"
    kubectl(
        "patch",
        "ksvc",
        "changing",
        "--type=json",
        f'--patch=[{{"op": "replace", "path": "{path}", "value": "two"}}]',
    )
    kubectl("wait", "--for=condition=Ready", "ksvc/changing", "--timeout=20s")
    wait_until(lambda: service.ask().text == "two", 5.0, "the patch is served")
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "s/value: two/value: three/" "$1"\n')
    editor.chmod(0o755)
    said = kubectl("edit", "ksvc", "changing", environment={"KUBE_EDITOR": str(editor)})
    assert said == "service.serving.knative.dev/changing edited\n"
    wait_until(lambda: service.ask().text == "three", 20.0, "the edit is served")
    latest = service.ready().object()["status"]["latestReadyRevisionName"]
    assert latest == "changing-00003"
    kubectl("label", "ksvc", "changing", "team=blue")
    kubectl("annotate", "ksvc", "changing", "note=kept")
    assert kubectl("get", "ksvc", "-l", "team=blue", "-o", "name").count("\n") == 1


def test_scale_a_deployment_of_ones_own(app: Deployed, kubectl: Kubectl) -> None:
    kubectl("apply", "--filename=-", given=plain_deployment(kubectl.namespace))
    kubectl("rollout", "status", "deployment/plain", "--timeout=20s")
    assert kubectl("scale", "deployment/plain", "--replicas=3") == (
        "deployment.apps/plain scaled\n"
    )
    kubectl("rollout", "status", "deployment/plain", "--timeout=20s")
    pods = kubectl.json("get", "pods", "--selector=app=plain")["items"]
    assert len(pods) == 3
    kubectl("set", "env", "deployment/plain", "NAME=changed")
    kubectl("rollout", "status", "deployment/plain", "--timeout=20s")
    kubectl("delete", "deployment", "plain", "--timeout=20s")
    wait_until(
        lambda: not kubectl.json("get", "pods", "--selector=app=plain")["items"], 20.0, "no pods"
    )


def plain_deployment(namespace: str) -> Object:
    container = {
        "name": "app",
        "image": IMAGE,
        "ports": [{"containerPort": 8080}],
        "env": [
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "PORT", "value": "8080"},
        ],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "plain", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "plain"}},
            "template": {
                "metadata": {"labels": {"app": "plain"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    }


def test_scaling_a_revision_by_hand_is_put_right(app: Deployed, kubectl: Kubectl) -> None:
    name = "deployment/app-00001-deployment"
    assert kubectl("scale", name, "--replicas=3") == (
        "deployment.apps/app-00001-deployment scaled\n"
    )
    wait_until(lambda: len(app.all_pods()) == 1, 30.0, "one pod, as the autoscaler wants")
    assert app.ask().status == 200


def test_get_watch_shows_what_happens(app: Deployed, kubectl: Kubectl) -> None:
    with kubectl.follow("get", "ksvc", "--watch", "--output-watch-events") as following:
        assert following.stdout is not None
        wish = Wish(name="watched")
        kubectl("apply", "--filename=-", given=wish.manifest(kubectl.namespace))
        seen = []
        for line in _lines(following.stdout, 15.0):
            seen.append(line.split())
            if line.split()[:2] == ["MODIFIED", "watched"] and "True" in line.split():
                break
        kubectl("delete", "ksvc", "watched", "--wait=false")
        for line in _lines(following.stdout, 10.0):
            seen.append(line.split())
            if line.startswith("DELETED"):
                break
    events = [words[0] for words in seen if words[1:2] == ["watched"]]
    assert events[0] == "ADDED"
    assert events[-1] == "DELETED"
    assert "MODIFIED" in events


def test_objects_are_owned_and_deleted_from_above(app: Deployed, kubectl: Kubectl) -> None:
    wish = Wish(name="owned")
    kubectl("apply", "--filename=-", given=wish.manifest(kubectl.namespace))
    Deployed(app.cluster, app.gateway, kubectl.namespace, "owned").ready()
    owners = {
        f"{obj['kind']}/{obj['metadata']['name'].split('-deployment-')[0]}": [
            (owner["kind"], owner["name"], owner.get("controller"))
            for owner in obj["metadata"].get("ownerReferences", ())
        ]
        for obj in below(kubectl, "owned")
    }
    assert owners["Configuration/owned"] == [("Service", "owned", True)]
    assert owners["Route/owned"] == [("Service", "owned", True)]
    assert owners["Revision/owned-00001"] == [("Configuration", "owned", True)]
    assert owners["Deployment/owned-00001-deployment"] == [("Revision", "owned-00001", True)]
    assert owners["PodAutoscaler/owned-00001"] == [("Revision", "owned-00001", True)]
    assert owners["Ingress/owned"] == [("Route", "owned", True)]
    assert kubectl("delete", "ksvc", "owned", "--timeout=20s").startswith("service.serving")
    wait_until(lambda: not below(kubectl, "owned"), 20.0, "nothing is left below the Service")
    services = kubectl("get", "services,secrets", "-o", "name").split()
    assert [name for name in services if "owned" in name] == []


def below(kubectl: Kubectl, service: str) -> list[Object]:
    kinds = "cfg,rt,rev,kpa,king,deployments,replicasets,pods"
    selector = f"--selector=serving.knative.dev/service={service}"
    return list(kubectl.json("get", kinds, selector)["items"])


def test_apply_from_the_server_and_replace(app: Deployed, kubectl: Kubectl) -> None:
    manifest = Wish(name="served").manifest(kubectl.namespace)
    said = kubectl("apply", "--server-side", "--filename=-", given=manifest)
    assert said == "service.serving.knative.dev/served serverside-applied\n"
    again = kubectl.attempt("create", "--filename=-", given=manifest)
    assert "AlreadyExists" in again.stderr
    kubectl("replace", "--force", "--filename=-", given=manifest)
    kubectl("delete", "--filename=-", given=manifest)
    assert "NotFound" in kubectl.attempt("get", "ksvc", "served").stderr


def test_dry_runs_and_diff(app: Deployed, kubectl: Kubectl) -> None:
    kubectl.need(27, "ask OpenAPI v3 whether dry runs are understood")
    manifest = Wish(name="dry").manifest(kubectl.namespace)
    kubectl("create", "--dry-run=server", "--filename=-", given=manifest)
    assert "NotFound" in kubectl.attempt("get", "ksvc", "dry").stderr
    kubectl("apply", "--server-side", "--filename=-", given=manifest)
    manifest["spec"]["template"]["spec"]["timeoutSeconds"] = 20
    diff = kubectl.attempt("diff", "--server-side", "--filename=-", given=manifest)
    assert diff.returncode == 1, diff.stderr
    assert "+      timeoutSeconds: 20" in diff.stdout
