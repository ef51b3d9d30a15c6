"""What importing costs, and what it must not bring along."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

LIGHT = [
    "pilotlight.api.ingress_hash",
    "pilotlight.api.conditions",
    "pilotlight.config.autoscaler",
    "pilotlight.config.defaults",
    "pilotlight.config.deployment",
    "pilotlight.config.domain",
    "pilotlight.config.features",
    "pilotlight.config.gc",
    "pilotlight.config.leader_election",
    "pilotlight.config.logging",
    "pilotlight.config.network",
    "pilotlight.config.observability",
]
HEAVY = ("pydantic", "yaml", "asyncio", "aiohttp", "kopf", "numpy", "logging")
MODELS_BUDGET_S = 0.25
SLACK = 4
"""A machine that is busy with other tests may take this many times longer."""


def run(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_parts_bring_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    assert run(code) == ""


def test_the_models_are_imported_in_time() -> None:
    began = time.perf_counter()
    run("import pilotlight.api.decoding")
    assert time.perf_counter() - began < MODELS_BUDGET_S * SLACK
