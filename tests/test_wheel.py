"""What is installed is what was tested: the wheel holds every package and every manifest."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("operator", "activator", "autoscaler", "queue_proxy", "local")


def test_the_wheel_holds_the_packages_and_the_assets(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, ROOT], check=True, timeout=50)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    packages = [ROOT / "pilotlight", *(ROOT / part / f"pilotlight_{part}" for part in PARTS)]
    modules = {
        path.relative_to(package.parent).as_posix()
        for package in packages
        for path in package.rglob("*.py")
    }
    assets = {
        f"pilotlight_local/_assets/{path.relative_to(ROOT).as_posix()}"
        for folder in ("crds", "manifests", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert modules | assets <= held
    strangers = {name for name in held if not name.startswith("pilotlight")}
    assert strangers == set()
