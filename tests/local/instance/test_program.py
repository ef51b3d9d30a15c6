"""What `pilotlight run` makes of a directory or a command line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pilotlight_local.cli import parse_config
from pilotlight_local.program import ProgramError, find_program, service_name
from pilotlight_local.run import Wish, is_ours, manifest, parse_env


def make(root: Path, *files: str, **contents: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in files:
        path = root / name.rstrip("*")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if name.endswith("*"):
            path.chmod(0o755)
    for name, content in contents.items():
        (root / name.replace("_", ".")).write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "contents", "expected"),
    [
        pytest.param(["app.py"], {}, ("python3", "app.py"), id="app"),
        pytest.param(["server.py", "main.py"], {}, ("python3", "main.py"), id="main first"),
        pytest.param(
            [], {"package_json": '{"scripts": {"start": "x"}}'}, ("npm", "start"), id="npm"
        ),
        pytest.param(
            ["app.py"],
            {"Procfile": "worker: x\nweb: gunicorn app:app\n"},
            ("/bin/sh", "-c", "exec gunicorn app:app"),
            id="Procfile",
        ),
        pytest.param(["serve*", "notes"], {}, ("./serve",), id="executable"),
        pytest.param(["app.py"], {"package_json": "{}"}, ("python3", "app.py"), id="no start"),
    ],
)
def test_directories(
    tmp_path: Path, files: list[str], contents: dict[str, str], expected: tuple[str, ...]
) -> None:
    root = make(tmp_path / "My App", *files, **contents)
    found = find_program(str(root), ("--flag",), tmp_path)
    assert found.command == (*expected, "--flag")
    assert found.directory == root
    assert found.name == "my-app"


def test_the_directorys_own_interpreter(tmp_path: Path) -> None:
    root = make(tmp_path / "x", "main.py", ".venv/bin/python*")
    assert find_program(".", (), root).command[0] == str(root / ".venv/bin/python")


def test_what_is_unclear_is_asked_for(tmp_path: Path) -> None:
    make(tmp_path / "empty")
    with pytest.raises(ProgramError, match=r"pilotlight run --name empty -- COMMAND"):
        find_program("empty", (), tmp_path)
    make(tmp_path / "two", "a*", "b*")
    with pytest.raises(ProgramError, match="2 executable files"):
        find_program("two", (), tmp_path)
    with pytest.raises(ProgramError, match="does not exist"):
        find_program("./none", (), tmp_path)


def test_files_and_command_lines(tmp_path: Path) -> None:
    make(tmp_path, "hello.py", "tool*")
    assert find_program("hello.py", ("-v",), tmp_path).command == ("python3", "hello.py", "-v")
    assert find_program("./tool", (), tmp_path).command == (str(tmp_path / "tool"),)
    line = find_program("python3 hello.py --port 1", (), tmp_path)
    assert line.command == ("python3", "hello.py", "--port", "1")
    assert (line.directory, line.name) == (tmp_path, "hello")
    assert find_program("caddy", ("run",), tmp_path).name == "caddy"


@pytest.mark.parametrize(
    ("text", "expected"), [("My_App!", "my-app"), ("9lives", "app-9lives"), ("", "app")]
)
def test_names(text: str, expected: str) -> None:
    assert service_name(text) == expected


def test_manifest(tmp_path: Path) -> None:
    make(tmp_path / "x", "app.py")
    program = find_program("x", (), tmp_path)
    wish = Wish("x", name="other", min_scale=1, concurrency=3)
    obj = manifest(program, wish, {"A": "1"}, "v")
    assert obj["metadata"] == {"name": "other", "namespace": "default"}
    template = obj["spec"]["template"]
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] == "1"
    assert template["spec"]["containerConcurrency"] == 3
    assert template["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert manifest(program, wish, {}, "w") != manifest(program, wish, {}, "v")


def test_whose_service_it_is() -> None:
    """The annotation alone says nothing: people write it into manifests too."""
    template = {"metadata": {"annotations": {"local.pilotlight.dev/run": "{}"}}}
    service = {"metadata": {"name": "a"}, "spec": {"template": template}}
    assert not is_ours(service)
    for manager, operation, ours in (
        ("kubectl-client-side-apply", "Update", False),
        ("pilotlight-run", "Update", False),
        ("pilotlight-run", "Apply", True),
    ):
        fields = [{"manager": manager, "operation": operation}]
        assert is_ours({**service, "metadata": {"managedFields": fields}}) == ours


def test_options() -> None:
    assert parse_env(("A=1", "B=x=y", "C=")) == {"A": "1", "B": "x=y", "C": ""}
    with pytest.raises(ProgramError, match="--env 'A'"):
        parse_env(("A",))
    given = ("config-autoscaler.stable-window=9s", "config-domain.a.example=")
    assert parse_config(given) == {
        ("config-autoscaler", "stable-window"): "9s",
        ("config-domain", "a.example"): "",
    }
    with pytest.raises(click.BadParameter, match=r"NAME\.KEY=VALUE"):
        parse_config(("stable-window=9s",))
