"""Writes the lock file of each component's image: what its extra in pyproject.toml needs, in the
versions that requirements-dev.lock has, with hashes. `make lock` runs it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
COMPONENTS: Final = ("queue-proxy", "activator", "autoscaler", "operator")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = re.findall(r"^[a-zA-Z].*?(?= \\$)", (ROOT / "requirements-dev.lock").read_text(), re.M)
    constraints = ROOT / "images/.constraints"
    constraints.write_text("\n".join(pins))
    try:
        for component in COMPONENTS:
            lock(component, project["optional-dependencies"][component], constraints)
    finally:
        constraints.unlink()


def lock(component: str, requirements: list[str], constraints: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "-", "--constraint", str(constraints)),
            *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"),
            *("--no-annotate", "--quiet", "--output-file", f"images/{component}.lock"),
        ],
        input="\n".join(requirements),
        text=True,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
