"""Volumes as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight_local.kubelet.environment import ConfigurationError, Facts, Sources
from pilotlight_local.kubelet.volumes import materialise, mount_variables, volume_files

FACTS = Facts("127.10.0.2", "127.10.0.1", "local", {"cpu": "4"})
POD = {
    "metadata": {"name": "p", "annotations": {"a": "b"}},
    "spec": {"containers": [{"name": "c"}]},
}
SOURCES = Sources({"c": {"k": b"v", "l": b"w"}}.get, {"s": {"p": b"x"}}.get)


def files(volume: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
    found = volume_files({"name": "v", **volume}, POD, FACTS, SOURCES)
    return {file.path: (file.content, file.mode) for file in found}


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"emptyDir": {}}, {}),
        ({"configMap": {"name": "c"}}, {"k": (b"v", 0o644), "l": (b"w", 0o644)}),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "d/f", "mode": 0o600}]}},
            {"d/f": (b"v", 0o600)},
        ),
        ({"secret": {"secretName": "s", "defaultMode": 0o400}}, {"p": (b"x", 0o400)}),
        ({"secret": {"secretName": "none", "optional": True}}, {}),
        (
            {
                "projected": {
                    "sources": [
                        {"configMap": {"name": "c", "items": [{"key": "k", "path": "k"}]}},
                        {"secret": {"name": "s"}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}},
                                    {
                                        "path": "cpu",
                                        "resourceFieldRef": {
                                            "containerName": "c",
                                            "resource": "limits.cpu",
                                        },
                                    },
                                ]
                            }
                        },
                    ]
                }
            },
            {
                "k": (b"v", 0o644),
                "p": (b"x", 0o644),
                "n": (b"p", 0o644),
                "cpu": (b"4", 0o644),
            },
        ),
    ],
)
def test_files(volume: dict[str, Any], expected: dict[str, Any]) -> None:
    assert files(volume) == expected


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"configMap": {"name": "c", "items": [{"key": "z", "path": "z"}]}}, "no key 'z'"),
        ({"configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}, "relative"),
        ({"nfs": {}}, "nfs"),
        ({"projected": {"sources": [{"serviceAccountToken": {}}]}}, "serviceAccountToken"),
    ],
)
def test_what_cannot_be_had(volume: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        files(volume)


def test_they_are_written_and_replaced(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "c"}}
    found = volume_files(volume, POD, FACTS, SOURCES)
    materialise(volume, found, tmp_path)
    root = materialise(volume, found, tmp_path)
    assert root == tmp_path / "v"
    assert sorted(path.name for path in root.iterdir()) == ["k", "l"]
    assert materialise({"name": "h", "hostPath": {"path": "/x"}}, [], tmp_path) == Path("/x")


def test_variables() -> None:
    mounts = [{"name": "my-v", "mountPath": "/x"}, {"name": "w", "subPath": "s", "mountPath": "/"}]
    found = mount_variables({"volumeMounts": mounts}, {"my-v": Path("/a"), "w": Path("/b")})
    assert found == {"PILOTLIGHT_MOUNT_MY_V": "/a", "PILOTLIGHT_MOUNT_W": "/b/s"}
    with pytest.raises(ConfigurationError, match="my-v"):
        mount_variables({"volumeMounts": mounts}, {})
