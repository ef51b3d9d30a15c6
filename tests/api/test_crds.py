"""The CRDs: what is checked in, and what the API server demands of a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.api.crds import DEFINITIONS, Definition, main, render, rendered_files

ROOT = Path(__file__).parents[2]
KUSTOMIZATION = "kustomization.yaml"
LAST_APPLIED_LIMIT = 256 * 1024
CRDS = {definition.kind: definition for definition in DEFINITIONS}


def schema_of(kind: str) -> dict[str, Any]:
    version = render(CRDS[kind])["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for step in path.split("."):
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from nodes(schema[word], f"{path}.{word}")


def test_the_checked_in_files_are_the_rendering() -> None:
    wanted = dict(rendered_files())
    files = (path for path in (ROOT / "crds").glob("*.yaml") if path.name != KUSTOMIZATION)
    found = {path.name: path.read_text() for path in files}
    assert found == wanted, "run `python -m pilotlight.api.crds`"


def test_the_kustomization_lists_all_files() -> None:
    kustomization = yaml.safe_load((ROOT / "crds" / KUSTOMIZATION).read_text())
    assert sorted(kustomization["resources"]) == sorted(name for name, _ in rendered_files())


def test_the_command_writes_the_files(tmp_path: Path) -> None:
    main([str(tmp_path)])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict(rendered_files())


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.kind)
def test_a_schema_is_structural(definition: Definition) -> None:
    for path, node in nodes(schema_of(definition.kind)):
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert not {"$ref", "oneOf", "allOf", "not"} & node.keys(), path
        if node.get("x-kubernetes-list-type") == "map":
            for key in node["x-kubernetes-list-map-keys"]:
                item = node["items"]
                known = key in item.get("required", []) or "default" in item["properties"][key]
                assert known, f"{path}: {key} is neither required nor defaulted"
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.kind)
def test_kubectl_can_remember_a_crd(definition: Definition) -> None:
    assert len(json.dumps(render(definition))) < LAST_APPLIED_LIMIT / 2


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.kind)
def test_fields_are_explained(definition: Definition) -> None:
    schema = schema_of(definition.kind)
    assert schema["description"]
    for path, node in nodes(at(schema, "spec"), "spec"):
        named = not path.endswith(("items", "additionalProperties"))
        assert node.get("description") or not named, path


NAMES = {
    "Service": ("services", "serving.knative.dev", "v1", ["kservice", "ksvc"]),
    "Configuration": ("configurations", "serving.knative.dev", "v1", ["config", "cfg"]),
    "Revision": ("revisions", "serving.knative.dev", "v1", ["rev"]),
    "Route": ("routes", "serving.knative.dev", "v1", ["rt"]),
    "DomainMapping": ("domainmappings", "serving.knative.dev", "v1beta1", ["dm"]),
    "PodAutoscaler": (
        "podautoscalers",
        "autoscaling.internal.knative.dev",
        "v1alpha1",
        ["kpa", "pa"],
    ),
    "Ingress": (
        "ingresses",
        "networking.internal.knative.dev",
        "v1alpha1",
        ["kingress", "king"],
    ),
}


@pytest.mark.parametrize("kind", NAMES)
def test_kubectl_finds_a_crd_by_its_names(kind: str) -> None:
    plural, group, version, short = NAMES[kind]
    crd = render(CRDS[kind])
    assert crd["metadata"]["name"] == f"{plural}.{group}"
    assert crd["spec"]["names"]["shortNames"] == short
    assert crd["spec"]["names"]["kind"] == kind
    [only] = crd["spec"]["versions"]
    assert (only["name"], only["served"], only["storage"]) == (version, True, True)
    assert only["subresources"] == {"status": {}}


COLUMNS = {
    "Service": ["URL", "LatestCreated", "LatestReady", "Ready", "Reason"],
    "Configuration": ["LatestCreated", "LatestReady", "Ready", "Reason"],
    "Revision": [
        "Config Name",
        "Generation",
        "Ready",
        "Reason",
        "Actual Replicas",
        "Desired Replicas",
    ],
    "Route": ["URL", "Ready", "Reason"],
    "DomainMapping": ["URL", "Ready", "Reason"],
    "PodAutoscaler": ["DesiredScale", "ActualScale", "Ready", "Reason"],
    "Ingress": ["Ready", "Reason"],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_kubectl_prints_the_columns(kind: str) -> None:
    [version] = render(CRDS[kind])["spec"]["versions"]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == COLUMNS[kind]


def test_labels_are_escaped_in_columns() -> None:
    [version] = render(CRDS["Revision"])["spec"]["versions"]
    path = version["additionalPrinterColumns"][0]["jsonPath"]
    assert path == r".metadata.labels['serving\.knative\.dev/configuration']"


def test_what_the_pod_part_demands_and_lets_through() -> None:
    pod = at(schema_of("Service"), "spec.template.spec")
    assert pod["required"] == ["containers"]
    assert at(pod, "containers.[].env")["x-kubernetes-list-map-keys"] == ["name"]
    assert at(pod, "containers.[].volumeMounts")["x-kubernetes-list-map-keys"] == ["mountPath"]
    assert at(pod, "volumes")["x-kubernetes-list-map-keys"] == ["name"]
    assert at(pod, "imagePullSecrets")["x-kubernetes-list-map-keys"] == ["name"]
    assert at(pod, "containers.[].ports.[].protocol")["default"] == "TCP"
    assert at(pod, "containers.[].readinessProbe.grpc.service")["default"] == ""
    port = at(pod, "containers.[].readinessProbe.httpGet.port")
    assert port["x-kubernetes-int-or-string"] is True
    limits = at(pod, "containers.[].resources.limits")["additionalProperties"]
    assert limits["x-kubernetes-int-or-string"] is True
    for path in ("affinity", "securityContext", "initContainers.[]", "volumes.[].emptyDir"):
        assert at(pod, path)["x-kubernetes-preserve-unknown-fields"] is True
    for name in ("lifecycle", "stdin", "tty", "volumeDevices"):
        assert name not in at(pod, "containers.[]")["properties"]
    metadata = at(schema_of("Service"), "spec.template.metadata")
    assert metadata["x-kubernetes-preserve-unknown-fields"] is True


def test_the_files_are_plain_yaml() -> None:
    for name, text in rendered_files():
        assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition", name
        assert "&id" not in text
