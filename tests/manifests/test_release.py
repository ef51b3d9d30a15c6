"""`make release`: one file that a cluster takes in one go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

import pilotlight
from pilotlight_local.kustomize import build

ROOT: Final = Path(__file__).parents[2]


def release(directory: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, "--directory", ROOT, "release", f"DIST={directory}"],
        capture_output=True,
        text=True,
        check=False,
        env=None if path is None else {"PATH": path},
    )


@pytest.mark.kubectl
def test_a_release_is_the_base_in_an_order_that_can_be_applied(tmp_path: Path) -> None:
    done = release(tmp_path / "new")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "new" / "install.yaml").read_text()
    objects = list(yaml.safe_load_all(text))
    expected = build(ROOT / "manifests" / "base")
    assert sorted(map(str, map(_name, objects))) == sorted(map(str, map(_name, expected)))
    # What others are in, or are of, comes before them; what asks a component comes last.
    kinds = [obj["kind"] for obj in objects]
    assert kinds[0] == "Namespace"
    definitions = kinds.count("CustomResourceDefinition")
    assert set(kinds[1 : definitions + 1]) == {"CustomResourceDefinition"}
    assert kinds.index("ServiceAccount") < kinds.index("Deployment")
    assert kinds.index("ConfigMap") < kinds.index("Deployment")
    assert set(kinds[-2:]) == {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    for component in ("operator", "autoscaler", "activator", "queue-proxy"):
        assert f"pilotlight.dev/{component}:{pilotlight.__version__}" in text


def test_a_release_without_kubectl_says_what_is_missing(tmp_path: Path) -> None:
    done = release(tmp_path / "new", path=str(tmp_path))
    assert done.returncode == 2
    assert "make release: needs kubectl on PATH" in done.stderr
    assert not (tmp_path / "new").exists()


def _name(obj: dict[str, dict[str, str]]) -> tuple[str, ...]:
    metadata = obj["metadata"]
    return str(obj["kind"]), metadata.get("namespace", ""), metadata["name"]
