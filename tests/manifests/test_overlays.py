"""The overlays: what each is for, and that nothing else is changed."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import pilotlight
from pilotlight import names
from pilotlight.config import deployment, domain
from pilotlight.config.go_values import parse_quantity
from pilotlight_local.apiserver.selectors import from_object
from pilotlight_local.kustomize import build

Object = dict[str, Any]
Key = tuple[str, str, str]

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
OVERLAYS: Final = sorted(path.name for path in (MANIFESTS / "overlays").iterdir())
PLACES: Final = ["base", *(f"overlays/{name}" for name in OVERLAYS)]
COMPONENTS: Final = (names.OPERATOR, names.AUTOSCALER, names.ACTIVATOR)


def key_of(obj: Object) -> Key:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def built(place: str) -> dict[Key, Object]:
    objects = build(MANIFESTS / place)
    found = {key_of(obj): obj for obj in objects}
    assert len(found) == len(objects)
    return found


def deployments(place: str) -> dict[str, Object]:
    return {key[2]: obj for key, obj in built(place).items() if key[0] == "Deployment"}


def config(place: str, name: str) -> dict[str, str]:
    data: dict[str, str] = built(place)["ConfigMap", names.SYSTEM_NAMESPACE, name]["data"]
    return data


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.kubectl
def test_kubectl_builds_the_same(place: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", MANIFESTS / place], capture_output=True, text=True, check=True
    )
    theirs = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert {key_of(obj): obj for obj in theirs} == built(place)


@pytest.mark.parametrize("place", PLACES)
def test_every_object_carries_the_version_of_the_package(place: str) -> None:
    for key, obj in built(place).items():
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == names.SYSTEM_NAMESPACE, key
        assert labels["app.kubernetes.io/version"] == pilotlight.__version__, key
    for obj in deployments(place).values():
        template = obj["spec"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/version"] == pilotlight.__version__
        (container,) = template["spec"]["containers"]
        assert container["image"].endswith(f":{pilotlight.__version__}")
    image = config(place, names.CONFIG_DEPLOYMENT)["queue-sidecar-image"]
    assert image.endswith(f":{pilotlight.__version__}")


@pytest.mark.parametrize(
    ("overlay", "changed"),
    [
        (
            "local",
            {
                ("ConfigMap", names.CONFIG_DOMAIN),
                ("Service", names.GATEWAY_SERVICE),
                *(("Deployment", name) for name in COMPONENTS),
            },
        ),
        (
            "one-node",
            {
                ("ConfigMap", names.CONFIG_DOMAIN),
                ("ConfigMap", names.CONFIG_DEPLOYMENT),
                ("Service", names.GATEWAY_SERVICE),
                *(("Deployment", name) for name in COMPONENTS),
            },
        ),
        ("ha", {("Deployment", name) for name in COMPONENTS}),
    ],
)
def test_an_overlay_changes_no_more_than_it_says(
    overlay: str, changed: set[tuple[str, str]]
) -> None:
    base, theirs = built("base"), built(f"overlays/{overlay}")
    assert base.keys() == theirs.keys()
    assert {(key[0], key[2]) for key in base if base[key] != theirs[key]} == changed


def test_one_node_is_reached_at_a_port_of_the_node() -> None:
    service = built("overlays/one-node")["Service", names.SYSTEM_NAMESPACE, names.GATEWAY_SERVICE]
    assert service["spec"]["type"] == "NodePort"
    (port,) = service["spec"]["ports"]
    assert 30000 <= port["nodePort"] <= 32767
    assert port["targetPort"] == names.GATEWAY_PORT
    parsed = domain.parse(config("overlays/one-node", names.CONFIG_DOMAIN))
    assert parsed.domain_for({}) == "127.0.0.1.sslip.io"


def test_one_node_asks_for_less() -> None:
    def asked(place: str) -> dict[str, Decimal]:
        sidecar = deployment.parse(config(place, names.CONFIG_DEPLOYMENT)).queue_sidecar_resources
        cpu = {names.QUEUE_PROXY: sidecar.cpu_request or ""}
        for name, obj in deployments(place).items():
            (container,) = obj["spec"]["template"]["spec"]["containers"]
            cpu[name] = container["resources"]["requests"]["cpu"]
        return {name: parse_quantity(value) for name, value in cpu.items()}

    usual, less = asked("base"), asked("overlays/one-node")
    assert all(less[name] < usual[name] for name in usual)


@pytest.mark.parametrize("name", COMPONENTS)
def test_ha_has_two_of_each_on_two_nodes(name: str) -> None:
    spec = deployments("overlays/ha")[name]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    pod = spec["template"]
    by_node, by_zone = pod["spec"]["topologySpreadConstraints"]
    assert (by_node["topologyKey"], by_node["whenUnsatisfiable"]) == (
        "kubernetes.io/hostname",
        "DoNotSchedule",
    )
    assert by_zone["whenUnsatisfiable"] == "ScheduleAnyway"
    for constraint in (by_node, by_zone):
        assert constraint["maxSkew"] == 1
        # Otherwise pods of a node that is lost could be made nowhere else.
        assert constraint["nodeTaintsPolicy"] == "Honor"
        assert from_object(constraint["labelSelector"])(pod)
        # Counted are the pods of this component alone, and of this version alone.
        assert constraint["matchLabelKeys"] == ["app", "pod-template-hash"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_budgets_let_one_pod_go_and_keep_the_other(name: str) -> None:
    pod = deployments("overlays/ha")[name]["spec"]["template"]
    budgets = [
        obj["spec"]
        for key, obj in built("overlays/ha").items()
        if key[0] == "PodDisruptionBudget" and from_object(obj["spec"]["selector"])(pod)
    ]
    (budget,) = budgets
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
