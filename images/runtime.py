"""Collects what a component's image needs of Python: `python3 images/runtime.py TARGET`.

The interpreter, the standard library as bytecode, the shared libraries that these link to, the
certificate authorities, and the files that name users. No shell, no package manager, no compiler.
Runs in the build stage of the Dockerfile; standard library only.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

UNNEEDED: Final = (
    "test", "idlelib", "lib2to3", "tkinter", "turtledemo", "turtle.py", "ensurepip", "venv",
    "pydoc_data", "curses", "dbm", "sqlite3", "site-packages", "dist-packages", "__pycache__",
)  # fmt: skip
UNNEEDED_MODULES: Final = re.compile(
    "_tkinter|_test|xxlimited|_ctypes_test|_sqlite3|_curses|_g?dbm"
)
# What every Linux has by PEP 513, and extension modules in wheels link to.
WHEELS_EXPECT: Final = (
    "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1",
    "libstdc++.so.6", "libutil.so.1",
)  # fmt: skip
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
INTERPRETER: Final = Path("/usr/bin/python3")
USER: Final = 65532


def main(target: Path) -> None:
    interpreter = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    extensions = copy_library(library, target)
    copy(interpreter, target)
    for shared in shared_libraries([interpreter, *extensions]):
        copy(shared, target)
    if interpreter != INTERPRETER:
        link = target / INTERPRETER.relative_to("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(interpreter)
    if CERTIFICATES.exists():
        copy(CERTIFICATES, target)
    write(target / "etc/passwd", f"nonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n")
    write(target / "etc/group", f"nonroot:x:{USER}:\n")
    write(target / "etc/nsswitch.conf", "hosts: files dns\n")
    for link_name in ("lib", "lib64", "bin"):
        place = Path("/", link_name)
        if place.is_symlink():
            (target / link_name).symlink_to(os.readlink(place))
    (target / "tmp").mkdir(mode=0o1777)


def copy_library(library: Path, target: Path) -> list[Path]:
    """Copy the standard library without what no service needs, as bytecode without sources: its
    modules are found by fewer looks, and take half the space. Returns its extension modules.
    """
    place = target / library.relative_to("/")
    shutil.copytree(
        library, place, symlinks=True, ignore=shutil.ignore_patterns(*UNNEEDED, "config-*")
    )
    extensions = sorted(library.glob("lib-dynload/*.so"))
    for extension in extensions:
        if UNNEEDED_MODULES.match(extension.name):
            (place / "lib-dynload" / extension.name).unlink()
    if not compileall.compile_dir(place, quiet=1, legacy=True, stripdir=str(target)):
        raise SystemExit("the standard library cannot be compiled")
    for source in place.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()
    return [library / "lib-dynload" / path.name for path in place.glob("lib-dynload/*.so")]


def shared_libraries(programs: list[Path]) -> list[Path]:
    """The files that the loader finds for these programs, under the names by which it does."""
    listing = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, check=True
    ).stdout
    # A line is "NAME => PATH (ADDRESS)", or for the loader itself "PATH (ADDRESS)".
    found = set(re.findall(r"(?:=> |^\t)(/\S+) \(", listing, re.MULTILINE))
    multiarch = Path("/usr/lib", str(sysconfig.get_config_var("MULTIARCH")))
    for folder in (multiarch, Path("/lib", multiarch.name)):
        found |= {str(folder / name) for name in WHEELS_EXPECT if (folder / name).exists()}
    return sorted(map(Path, found))


def copy(file: Path, target: Path) -> None:
    """Copy a file's content to where it is, links in the path to it followed."""
    place = Path(os.path.realpath(file.parent)) / file.name
    destination = target / place.relative_to("/")
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, destination)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
