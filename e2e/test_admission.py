"""Broken manifests are refused in Knative's words, and change nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from e2e.harness import (
    CONFIGURATION,
    DEPLOYMENT,
    POD,
    REVISION,
    ROUTE,
    SERVICE,
    Cluster,
    Deployed,
    Gateway,
    Object,
    Wish,
    wait_until,
)
from e2e.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]

CONTAINER = "spec.template.spec.containers[0]"
TEMPLATE_ANNOTATIONS = "spec.template.metadata.annotations"
BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no image": (
        {CONTAINER: {"env": []}},
        [f"missing field(s): {CONTAINER}.image"],
    ),
    "too much concurrency": (
        {"spec.template.spec.containerConcurrency": 1001},
        ["expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency"],
    ),
    "too long a timeout": (
        {"spec.template.spec.timeoutSeconds": 700},
        ["expected 0 <= 700 <= 600: spec.template.spec.timeoutSeconds"],
    ),
    "shares that do not add up": (
        {"spec.traffic": [{"latestRevision": True, "percent": 90}]},
        ["Traffic targets sum to 90, want 100: spec.traffic"],
    ),
    "one tag twice": (
        {
            "spec.traffic": [
                {"latestRevision": True, "percent": 50, "tag": "now"},
                {"latestRevision": True, "percent": 50, "tag": "now"},
            ]
        },
        ['Multiple definitions for "now": spec.traffic[0].tag, spec.traffic[1].tag'],
    ),
    "a reserved port": (
        {f"{CONTAINER}.ports": [{"containerPort": 8012}]},
        ["8012 is a reserved port", f"{CONTAINER}.ports.containerPort"],
    ),
    "a reserved variable": (
        {f"{CONTAINER}.env": [{"name": "K_SERVICE", "value": "x"}]},
        ['"K_SERVICE" is a reserved environment variable', f"{CONTAINER}.env[0].name"],
    ),
    "an annotation in the wrong place": (
        {"metadata.annotations": {"autoscaling.knative.dev/min-scale": "1"}},
        ['invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations'],
    ),
    "a maximum below the minimum": (
        {
            TEMPLATE_ANNOTATIONS: {
                "autoscaling.knative.dev/min-scale": "2",
                "autoscaling.knative.dev/max-scale": "1",
            }
        },
        [
            f"max-scale=1 is less than min-scale=2: {TEMPLATE_ANNOTATIONS}."
            f"autoscaling.knative.dev/max-scale"
        ],
    ),
    "too short a window": (
        {TEMPLATE_ANNOTATIONS: {"autoscaling.knative.dev/window": "5s"}},
        ["expected 6s <= 5s <= 1h0m0s", f"{TEMPLATE_ANNOTATIONS}.autoscaling.knative.dev/window"],
    ),
    "a revision name of another service": (
        {"spec.template.metadata.name": "other-one"},
        ['"other-one" must have prefix "NAME-": spec.template.metadata.name'],
    ),
    "the node's network": (
        {"spec.template.spec.hostNetwork": True},
        ["must not set the field(s): spec.template.spec.hostNetwork"],
    ),
}


@pytest.fixture(scope="module", name="steady")
def steady_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    """A good Service that broken updates must not touch."""
    cluster.apply(Wish(name="steady", annotations={"min-scale": "1"}).manifest(shared))
    return Deployed(cluster, gateway, shared, "steady").ready()


@pytest.fixture(scope="module", name="kubectl")
def kubectl_fixture(
    cluster: Cluster, shared: str, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    return Kubectl(cluster.kubeconfig, shared, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_broken_manifest_is_refused(
    cluster: Cluster, steady: Deployed, kubectl: Kubectl, case: str, verb: str
) -> None:
    refuse(cluster, kubectl, verb, *BROKEN[case])
    assert steady.ask().status == 200


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_field_that_does_not_exist_is_refused(
    cluster: Cluster, steady: Deployed, kubectl: Kubectl, verb: str
) -> None:
    kubectl.need(27, "ask the server for strict validation")
    unknown = "spec.template.spec.colour"
    refuse(cluster, kubectl, verb, {unknown: "blue"}, [f'unknown field "{unknown}"'])


def refuse(
    cluster: Cluster, kubectl: Kubectl, verb: str, changes: dict[str, Any], words: list[str]
) -> None:
    """Apply a broken manifest, and see these words and an unchanged cluster."""
    name = "steady" if verb == "update" else "steady-new"
    manifest = broken(name, kubectl.namespace, changes)
    before = everything(cluster, kubectl.namespace)
    refused = kubectl.attempt("apply", "--filename=-", given=manifest)
    assert refused.returncode == 1, refused.stdout
    for word in words:
        assert word.replace("NAME", name) in refused.stderr
    assert everything(cluster, kubectl.namespace) == before


def broken(name: str, namespace: str, changes: dict[str, Any]) -> Object:
    manifest = copy.deepcopy(Wish(name=name).manifest(namespace))
    for path, value in changes.items():
        place: Any = manifest
        *parents, last = path.replace("[0]", ".0").split(".")
        for part in parents:
            place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
        place[int(last) if last.isdigit() else last] = value
    return manifest


def everything(cluster: Cluster, namespace: str) -> dict[tuple[str, str], Any]:
    """The uid and the generation of all there is; statuses may move on by themselves."""
    return {
        (kind[1], obj["metadata"]["name"]): (
            obj["metadata"]["uid"],
            obj["metadata"].get("generation"),
        )
        for kind in (SERVICE, CONFIGURATION, ROUTE, REVISION, DEPLOYMENT, POD)
        for obj in cluster.list(kind, namespace)
    }


def test_the_manifest_is_good_without_a_fault(cluster: Cluster, kubectl: Kubectl) -> None:
    """So that each is refused for its fault alone."""
    kubectl("apply", "--filename=-", given=broken("fine", kubectl.namespace, {}))
    cluster.delete(SERVICE, kubectl.namespace, "fine")
    wait_until(
        lambda: not cluster.list(REVISION, kubectl.namespace, "serving.knative.dev/service=fine"),
        10.0,
        "it is gone",
    )


def test_text_where_a_number_belongs_is_no_service(steady: Deployed, kubectl: Kubectl) -> None:
    manifest = broken("steady", kubectl.namespace, {"spec.template.spec.containerConcurrency": "a"})
    refused = kubectl.attempt("apply", "--filename=-", given=manifest)
    assert refused.returncode == 1
    assert "containerConcurrency" in refused.stderr
    assert steady.ask().status == 200


def test_a_revision_cannot_be_changed(steady: Deployed, kubectl: Kubectl) -> None:
    refused = kubectl.attempt(
        "patch", "revision", "steady-00001", "--type=merge", "--patch",
        '{"spec": {"containerConcurrency": 3}}',
    )  # fmt: skip
    assert refused.returncode == 1
    assert "Immutable fields changed (-old +new): spec" in refused.stderr
