"""The loader of kustomizations."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight_local.assets import assets
from pilotlight_local.kustomize import KustomizeError, build

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: n, labels: {tier: front}}
spec:
  template:
    spec:
      containers:
        - {name: a, image: one, env: [{name: X, value: "1"}]}
        - {name: b, image: two}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: LoadBalancer}\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def base(root: Path, kustomization: str) -> Path:
    resources = "resources: [all.yaml]\n"
    return write(
        root,
        {
            "base/kustomization.yaml": resources,
            "base/all.yaml": f"{DEPLOYMENT}---\n{SERVICE}",
            "over/kustomization.yaml": f"resources: [../base]\n{kustomization}",
        },
    )


def containers(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = objects[0]["spec"]["template"]["spec"]["containers"]
    return found


def test_resources_in_their_order(tmp_path: Path) -> None:
    objects = build(base(tmp_path, "") / "over")
    assert [o["kind"] for o in objects] == ["Deployment", "Service"]


def test_strategic_merge_by_name(tmp_path: Path) -> None:
    patch = """
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web}
      spec: {template: {spec: {containers: [{name: b, image: three}]}}}
"""
    root = base(tmp_path, patch)
    assert [c["image"] for c in containers(build(root / "over"))] == ["one", "three"]
    path = root / "over/kustomization.yaml"
    path.write_text(path.read_text().replace("metadata: {name: web}", "metadata: {name: other}"))
    with pytest.raises(KustomizeError, match="matches no resource"):
        build(root / "over")


def test_operations_with_a_target(tmp_path: Path) -> None:
    patch = """
patches:
  - target: {kind: Deployment, labelSelector: tier=front}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/image, value: new}
      - {op: remove, path: /spec/template/spec/containers/1}
  - target: {kind: Service, name: w.*}
    patch: "{$patch: delete}"
"""
    objects = build(base(tmp_path, patch) / "over")
    assert [o["kind"] for o in objects] == ["Deployment"]
    assert [c["image"] for c in containers(objects)] == ["new"]


@pytest.mark.parametrize(
    ("kustomization", "expected"),
    [
        ("images: []", "'images' is not supported"),
        ("patches: [{patch: '{}', options: {}}]", "'options' is not supported"),
        ("patches: [{patch: '[]', target: {annotationSelector: x}}]", "annotationSelector"),
        ("patches: [{patch: '{}'}]", "needs a target"),
        ("patches: [{patch: 'x', target: {kind: Service}}]", "a patch is a list"),
        (
            "patches: [{patch: '[{op: remove, path: /none}]', target: {kind: Service}}]",
            "patches\\[0\\]",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, kustomization: str, expected: str) -> None:
    with pytest.raises(KustomizeError, match=expected):
        build(base(tmp_path, kustomization) / "over")


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(KustomizeError, match="has no kustomization"):
        build(tmp_path)
    circle = write(tmp_path / "c", {"kustomization.yaml": "resources: [../c]"})
    with pytest.raises(KustomizeError, match="circle"):
        build(circle)
    twice = write(
        tmp_path / "t",
        {"kustomization.yaml": "resources: [a.yaml, b.yaml]", "a.yaml": SERVICE, "b.yaml": SERVICE},
    )
    with pytest.raises(KustomizeError, match="twice"):
        build(twice)
    nameless = write(
        tmp_path / "n",
        {"kustomization.yaml": "resources: [a.yaml]", "a.yaml": "apiVersion: v1\nkind: Service\n"},
    )
    with pytest.raises(KustomizeError, match=r"metadata\.name"):
        build(nameless)


@pytest.mark.kubectl
def test_the_shipped_overlay_is_what_kubectl_makes_of_it() -> None:
    directory = assets() / "manifests" / "overlays" / "local"
    objects = build(directory)
    assert any(o["kind"] == "CustomResourceDefinition" for o in objects)
    command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(directory)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def keyed(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
        return {(o["kind"], o["metadata"]["name"]): o for o in found}

    assert keyed(objects) == keyed(list(yaml.safe_load_all(made)))
