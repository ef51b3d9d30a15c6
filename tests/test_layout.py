"""The layout's one trap: a folder named `operator` beside the standard library's module."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_operator_folder_holds_nothing_but_its_package() -> None:
    assert sorted(p.name for p in (ROOT / "operator").iterdir()) == ["pilotlight_operator"]


def test_the_standard_operator_module_wins_in_the_repository() -> None:
    code = "import operator, collections; print(operator.itemgetter(0)('ab'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "a\n", ran.stderr


def test_every_entry_point_loads() -> None:
    verbs = {e.name: e for e in entry_points(group="pilotlight.verbs")}
    assert {"demo", "local", "run"} <= verbs.keys()
    for verb in verbs.values():
        assert callable(verb.load())
    scripts = [e for e in entry_points(group="console_scripts") if e.name.startswith("pilotlight")]
    assert len(scripts) == 5
    for script in scripts:
        assert callable(script.load())
