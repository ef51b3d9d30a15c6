"""What images install is what was tested: the same versions, by hash, and all that a part needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = ("queue-proxy", "activator", "autoscaler", "operator")
PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))? \\\n((?:    --hash=sha256:\w{64}.*\n)+)", re.M
)


def pins(lock: Path) -> set[tuple[str, str, str]]:
    """(name, version, marker) of each package that a lock file holds by its hashes."""
    text = lock.read_text()
    found = {(name, version, marker) for name, version, marker, _ in PIN.findall(text)}
    assert len(found) == len(re.findall("^[A-Za-z]", text, re.M)), "a line is no pin with hashes"
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_has_the_versions_that_the_tests_have(component: str) -> None:
    tested = {(name, version) for name, version, _ in pins(ROOT / "requirements-dev.lock")}
    locked = {(name, version) for name, version, _ in pins(ROOT / f"images/{component}.lock")}
    assert locked - tested == set(), "run `make lock`"


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_has_all_that_its_part_asks_for(component: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        re.split("[>=<\\[ ]", requirement, maxsplit=1)[0].lower()
        for requirement in project["optional-dependencies"][component]
    }
    locked = {name.lower() for name, _, _ in pins(ROOT / f"images/{component}.lock")}
    assert asked - locked == set(), "run `make lock`"


def test_each_component_has_a_stage_in_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.M))
    assert set(COMPONENTS) <= stages
