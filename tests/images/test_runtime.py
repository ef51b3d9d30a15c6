"""The tree that images hold runs Python, our code in it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="application", scope="module")
def application_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("application")
    command = [sys.executable, str(ROOT / "images/application.py"), str(target)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=50)
    return target


def test_each_component_has_its_own_code_and_the_shared_library(application: Path) -> None:
    found = {path.relative_to(application).as_posix() for path in application.glob("*/*")}
    assert found == {
        "pilotlight/pilotlight",
        "queue-proxy/pilotlight_queue_proxy",
        "activator/pilotlight_activator",
        "autoscaler/pilotlight_autoscaler",
        "operator/pilotlight_operator",
    }
    assert not (application / "pilotlight/pilotlight/cli").exists()


def test_bytecode_is_used_without_a_look_at_its_source(application: Path) -> None:
    for source in application.rglob("*.py"):
        [bytecode] = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        # PEP 552: the flags after the magic number; 0b01 is hash-based, 0b11 checked against it.
        assert bytecode.read_bytes()[4:8] == b"\x01\0\0\0", bytecode


@pytest.mark.parametrize("part", ["queue_proxy", "activator", "autoscaler", "operator"])
def test_a_component_needs_no_other(application: Path, part: str) -> None:
    component = application / part.replace("_", "-")
    paths = [str(application / "pilotlight"), str(component)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    program = f"import pilotlight_{part}.__main__, pilotlight; print(pilotlight.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment, cwd="/", capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(application / "pilotlight/pilotlight/__init__.py")


def test_the_runtime_has_python_and_no_shell(tmp_path: Path) -> None:
    target = tmp_path / "runtime"
    subprocess.run([sys.executable, ROOT / "images/runtime.py", target], check=True, timeout=120)
    programs = {path.name for path in target.rglob("bin/*") if os.access(path, os.X_OK)}
    assert {name.rstrip("0123456789.") for name in programs} == {"python"}
    assert not list(target.rglob("site-packages"))
    assert not list(target.rglob("test"))
