"""What both suites, tests/ and e2e/, do about programs that a machine may lack."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

# A test that needs a program is marked with the program's name.
_PROGRAMS: Final = ("kubectl", "prometheus")
_E2E: Final = Path(__file__).parent / "e2e"


def _on_a_cluster() -> bool:
    return bool(os.environ.get("KUBECONFIG") or os.environ.get("PILOTLIGHT_GATEWAY_URL"))


def _is_shared() -> bool:
    """Whether other workers run tests on the same cluster now."""
    return _on_a_cluster() and int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1


def _missing() -> list[str]:
    """Programs whose tests are left out. Where CI is set none is: there, they have to be."""
    if "CI" in os.environ:
        return []
    return [program for program in _PROGRAMS if shutil.which(program) is None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    markers = _missing()

    def is_left_out(item: pytest.Item) -> bool:
        if any(item.get_closest_marker(marker) for marker in markers):
            return True
        if _E2E not in item.path.parents:
            return False
        local = item.get_closest_marker("local") is not None
        alone = item.get_closest_marker("alone") is not None
        return (local and _on_a_cluster()) or (alone and _is_shared())

    left_out = [item for item in items if is_left_out(item)]
    if left_out:
        items[:] = [item for item in items if not is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for program in _missing():
        text = f"left out: tests marked {program!r}, for there is no {program} on PATH"
        terminalreporter.write_line(text, yellow=True)
    if _on_a_cluster():
        text = "left out: end-to-end tests marked 'local', for they run against a cluster"
        terminalreporter.write_line(text, yellow=True)
