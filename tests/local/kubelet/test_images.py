"""What images mean."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pilotlight_local.kubelet.images import (
    ImageError,
    ImageTable,
    component_image,
    parse_annotation,
    repository,
)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app", "app"),
        ("app:1", "app"),
        ("host:5000/app", "host:5000/app"),
        ("host:5000/a/b:1@sha256:00", "host:5000/a/b"),
    ],
)
def test_repository(image: str, expected: str) -> None:
    assert repository(image) == expected


def test_components_are_known() -> None:
    found = component_image("pilotlight.dev/queue-proxy:0.1.0")
    assert found is not None
    assert found.command == (sys.executable, "-m", "pilotlight_queue_proxy")
    assert found.component
    assert component_image("pilotlight.dev/other:1") is None
    assert component_image("queue-proxy:1") is None


def test_components_need_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    found = component_image("pilotlight.dev/operator:0.1.0")
    assert found is not None
    assert Path(found.directory).is_dir()


def test_table(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    first, second = tmp_path / "one.yaml", tmp_path / "two.yaml"
    first.write_text("app:1: {directory: app, command: run --fast 'a b', env: {N: 1}}\n")
    table = ImageTable([first, second])
    found = table.find("app:1")
    assert found.command == ("run", "--fast", "a b")
    assert found.directory == str(tmp_path / "app")
    assert found.environment == {"N": "1"}
    with pytest.raises(ImageError, match=r"app:2"):
        table.find("app:2")
    second.write_text("app: {directory: app, command: [any]}\napp:1: {command: [late]}\n")
    assert table.find("app:2").command == ("any",)
    assert table.find("app:1").command == ("late",), "later files win"
    second.write_text("app: {command: [new]}\n")
    os.utime(second, (1, 1))
    assert table.find("app:2").command == ("new",), "a changed file is read again"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "cannot be read"),
        ("[]", "must map images"),
        ("a: x", "must be a mapping"),
        ("a: {comand: [x]}", "unknown key 'comand'"),
        ("a: {command: 3}", "command must be"),
        ("a: {command: [x], env: []}", None),
        ("a: {command: [x], env: [y]}", "env must be"),
        ("a: {command: [x], directory: none}", "does not exist"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, expected: str | None) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(text)
    table = ImageTable([path])
    if expected is None:
        assert table.find("a").environment == {}
        return
    with pytest.raises(ImageError, match=expected) as caught:
        table.find("a")
    assert str(path) in str(caught.value)


def test_annotation(tmp_path: Path) -> None:
    text = json.dumps({"directory": str(tmp_path), "command": ["x"], "version": "7"})
    found = parse_annotation(text)
    assert (found.command, found.directory) == (("x",), str(tmp_path))
    with pytest.raises(ImageError, match="not JSON"):
        parse_annotation("{")
