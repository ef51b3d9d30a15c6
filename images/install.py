"""Installs what components need into one folder each: `python images/install.py COMPONENT...`.

`images/COMPONENT.lock` has every package with its hash. A folder `/layers/COMPONENT` holds only
what the folders before it lack, so that images share their layers. Runs in the build stage.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

LAYERS: Final = Path("/layers")
# What a service never imports: tests, types for checkers, sources of extension modules.
UNNEEDED: Final = (
    "tests",
    "test",
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.c",
    "*.h",
    "include",
    "bin",
    "RECORD",
)
# Later components add to these.
BASES: Final = {"activator": ["queue-proxy"], "autoscaler": ["queue-proxy", "activator"],
                "operator": ["queue-proxy", "activator"]}  # fmt: skip


def main(components: list[str]) -> None:
    for component in components:
        whole = LAYERS / f".{component}"
        install(component, whole)
        below = [LAYERS / f".{base}" for base in BASES.get(component, [])]
        held = {path.relative_to(base) for base in below for path in base.rglob("*")}
        for path in sorted(whole.rglob("*")):
            relative = path.relative_to(whole)
            if path.is_file() and relative not in held:
                place = LAYERS / component / relative
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)


def install(component: str, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    lock = Path(__file__).with_name(f"{component}.lock")
    subprocess.run(
        [*pip, "--require-hashes", "--target", str(target), "--requirement", str(lock)], check=True
    )
    for pattern in UNNEEDED:
        for path in list(target.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    python = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*python, "-s", str(target), "-p", "/site", str(target)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
