"""The demonstration's way out when it cannot go on; its way through is `make demo`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def demonstrate(examples: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pilotlight.cli", "demo", "--examples", str(examples)],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "TMPDIR": str(scratch), "FORCE_COLOR": "1"},
        check=False,
    )


def test_a_folder_without_examples_is_refused_before_anything_starts(tmp_path: Path) -> None:
    examples, scratch = tmp_path / "examples", tmp_path / "scratch"
    examples.mkdir()
    scratch.mkdir()
    done = demonstrate(examples, scratch)
    assert done.returncode == 1
    assert f"{examples} has no images.yaml" in done.stderr
    assert list(scratch.iterdir()) == []
