"""What there is to run in a directory, or in words on a command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCRIPTS: Final = ("main.py", "app.py", "server.py")
_ENVIRONMENTS: Final = (".venv", "venv")
_LONGEST_NAME: Final = 40


class ProgramError(Exception):
    """It is not clear what to run; the text says what was looked for, and what to give."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command, the directory in which it runs, and a name for the Service."""

    command: tuple[str, ...]
    directory: Path
    name: str


def find_program(target: str, arguments: Sequence[str], here: Path) -> Program:
    """A directory or file, with arguments for its program, or else a command line.

    Raises ProgramError.
    """
    path = (here / Path(target).expanduser()).resolve()
    if path.is_dir():
        return Program((*detect(path), *arguments), path, service_name(path.name))
    if path.is_file() and ("/" in target or path.suffix == ".py"):
        return Program((*_file_command(path), *arguments), path.parent, service_name(path.stem))
    if "/" in target and not arguments and " " not in target:
        raise ProgramError(f"{target!r} does not exist")
    command = (*shlex.split(target), *arguments)
    scripts = [Path(part).stem for part in command if part.endswith((".py", ".js", ".sh"))]
    return Program(command, here, service_name(scripts[0] if scripts else Path(command[0]).name))


def detect(directory: Path) -> tuple[str, ...]:
    """The command that a directory's files stand for. Raises ProgramError when they do not."""
    for found in (_procfile(directory), _package(directory), _script(directory)):
        if found:
            return found
    executables = sorted(
        path.name for path in directory.iterdir() if path.is_file() and os.access(path, os.X_OK)
    )
    if len(executables) == 1:
        return (f"./{executables[0]}",)
    reason = f"{len(executables)} executable files" if executables else "no executable file"
    raise ProgramError(
        f"{directory} has no Procfile with a 'web:' line, no package.json with a start script, "
        f"none of {', '.join(_SCRIPTS)}, and {reason}. Give the command itself: "
        f"pilotlight run --name {service_name(directory.name)} -- COMMAND"
    )


def service_name(text: str) -> str:
    """A name that a Service may have."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    if not name or not name[0].isalpha():
        name = f"app-{name}".strip("-")
    return name


def _procfile(directory: Path) -> tuple[str, ...]:
    try:
        lines = (directory / "Procfile").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    for line in lines:
        kind, colon, command = line.partition(":")
        if colon and kind.strip() == "web" and command.strip():
            return ("/bin/sh", "-c", f"exec {command.strip()}")
    return ()


def _package(directory: Path) -> tuple[str, ...]:
    try:
        document = json.loads((directory / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    scripts = document.get("scripts") if isinstance(document, dict) else None
    return ("npm", "start") if isinstance(scripts, dict) and scripts.get("start") else ()


def _script(directory: Path) -> tuple[str, ...]:
    for script in _SCRIPTS:
        if (directory / script).is_file():
            return (_interpreter(directory), script)
    return ()


def _file_command(path: Path) -> tuple[str, ...]:
    if path.suffix == ".py":
        return (_interpreter(path.parent), path.name)
    if os.access(path, os.X_OK):
        return (str(path),)
    raise ProgramError(f"{path} is neither executable nor a Python program")


def _interpreter(directory: Path) -> str:
    """The Python of the directory's own environment, if it has one."""
    for name in _ENVIRONMENTS:
        python = directory / name / "bin" / "python"
        if os.access(python, os.X_OK):
            return str(python)
    return "python3"
