"""Lays out our own code as images hold it: `python3 images/application.py TARGET`.

`TARGET/pilotlight` is the shared library without the command, and `TARGET/COMPONENT` the package
of each component, with bytecode that is never compared with its source. Runs in the build stage;
standard library only.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import sys
from pathlib import Path
from typing import Final

# Each package, and the folder that it lies in.
PACKAGES: Final = {
    "pilotlight": Path(),
    "pilotlight_queue_proxy": Path("queue_proxy"),
    "pilotlight_activator": Path("activator"),
    "pilotlight_autoscaler": Path("autoscaler"),
    "pilotlight_operator": Path("operator"),
}


def main(target: Path) -> None:
    for package, folder in PACKAGES.items():
        component = package.removeprefix("pilotlight_").replace("_", "-")
        place = target / component / package
        shutil.copytree(
            folder / package, place, ignore=shutil.ignore_patterns("cli", "__pycache__")
        )
        compiled = compileall.compile_dir(
            place,
            quiet=1,
            stripdir=str(target / component),
            prependdir="/app",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if not compiled:
            raise SystemExit(f"{package} cannot be compiled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
