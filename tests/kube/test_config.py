from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.kube.config import KubeConfigError, from_environment, from_file


def written(
    path: Path, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> Path:
    document = {
        "current-context": "here",
        "contexts": [
            {"name": "other", "context": {"cluster": "x", "user": "x"}},
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **(cluster or {})}}
        ],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_current_context_counts(tmp_path: Path) -> None:
    config = from_file(written(tmp_path / "config", user={"token": "t"}))
    assert config.server == "https://127.0.0.1:6443"
    assert config.bearer() == "t"
    assert config.namespace == "team"


def test_certificates_are_read_inline_or_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("from a file")
    beside = from_file(written(tmp_path / "one", cluster={"certificate-authority": "ca.crt"}))
    data = base64.b64encode(b"inline").decode()
    inline = from_file(written(tmp_path / "two", cluster={"certificate-authority-data": data}))
    assert (beside.ca, inline.ca) == ("from a file", "inline")


def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    config = from_file(written(tmp_path / "config", user={"tokenFile": "token"}))
    assert config.bearer() == "first"
    (tmp_path / "token").write_text("second\n")
    assert config.bearer() == "second"


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "config")
    assert from_environment({"KUBECONFIG": f"{path}:/nowhere"}).namespace == "team"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({"current-context": "gone", "contexts": []}))
    with pytest.raises(KubeConfigError, match=r"config: contexts has no entry named 'gone'"):
        from_file(path)
    with pytest.raises(KubeConfigError, match="cannot be read as a kubeconfig"):
        from_file(tmp_path / "absent")
    path.write_text("just text")
    with pytest.raises(KubeConfigError, match="is not a kubeconfig"):
        from_file(path)
