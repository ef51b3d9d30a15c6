"""What an image means on a machine without a container runtime: a directory and a command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from pilotlight import names

COMPONENT_REGISTRY: Final = "pilotlight.dev"
_COMPONENTS: Final = {
    names.OPERATOR: "pilotlight_operator",
    names.AUTOSCALER: "pilotlight_autoscaler",
    names.ACTIVATOR: "pilotlight_activator",
    names.QUEUE_PROXY: "pilotlight_queue_proxy",
}
_KEYS: Final = frozenset({"directory", "command", "env"})


class ImageError(Exception):
    """An image is unknown, or its entry is wrong; the text tells what to do about it."""


@dataclass(frozen=True, slots=True)
class Image:
    """What to run: a command (looked up in PATH), where, and with which environment."""

    command: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    component: bool = False  # one of Pilotlight's own


def repository(image: str) -> str:
    """An image's name without its tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def component_image(image: str) -> Image | None:
    """What one of Pilotlight's own images stands for, by its name; None for other images."""
    registry, _, component = repository(image).partition("/")
    module = _COMPONENTS.get(component)
    if registry != COMPONENT_REGISTRY or module is None:
        return None
    return Image((sys.executable, "-m", module), "/", component=True)


def parse_entry(entry: Any, where: str, base: Path) -> Image:
    """Read `{directory, command, env}`. `directory` is relative to `base`; a command in one string
    is split as a shell would.

    Raises ImageError naming `where`, the field and the rule.
    """
    if not isinstance(entry, dict):
        raise ImageError(f"{where} must be a mapping with the keys directory, command and env")
    unknown = sorted(set(map(str, entry)) - _KEYS)
    if unknown:
        raise ImageError(f"{where}: unknown key {unknown[0]!r} (known: command, directory, env)")
    command = entry.get("command", ())
    if isinstance(command, str):
        command = shlex.split(command)
    if not isinstance(command, list | tuple) or not all(isinstance(part, str) for part in command):
        raise ImageError(f"{where}: command must be a list of strings or one string")
    environment = entry.get("env") or {}
    if not isinstance(environment, dict):
        raise ImageError(f"{where}: env must be a mapping of names to values")
    directory = (base / Path(str(entry.get("directory", "."))).expanduser()).resolve()
    if not directory.is_dir():
        raise ImageError(f"{where}: directory {str(directory)!r} does not exist")
    values = {str(key): str(value) for key, value in environment.items()}
    return Image(tuple(command), str(directory), values)


def parse_annotation(text: str) -> Image:
    """The value of the annotation with which `pilotlight run` says what the image is."""
    where = f"annotation {names.LOCAL_RUN_ANNOTATION}"
    try:
        entry = json.loads(text)
    except ValueError as error:
        raise ImageError(f"{where} is not JSON: {error}") from error
    if isinstance(entry, dict):
        entry.pop("version", None)  # only there so that a change makes a new revision
    return parse_entry(entry, where, Path("/"))


class ImageTable:
    """The images that files describe; a changed file is read again at the next look-up."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._read: dict[Path, tuple[int, Mapping[str, Any]]] = {}

    @property
    def files(self) -> list[Path]:
        return self._files

    def find(self, image: str) -> Image:
        """The entry of an image, or of its name without the tag; later files win.

        Raises ImageError when there is none.
        """
        own = component_image(image)
        if own is not None:
            return own
        for path in reversed(self._files):
            entries = self._entries(path)
            for name in (image, repository(image)):
                if name in entries:
                    return parse_entry(entries[name], f"{path}: image {name!r}", path.parent)
        raise ImageError(self._unknown(image))

    def _entries(self, path: Path) -> Mapping[str, Any]:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return {}
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = (changed, _load(path))
            self._read[path] = known
        return known[1]

    def _unknown(self, image: str) -> str:
        where = self._files[0] if self._files else "images.yaml"
        return (
            f"local mode runs programs, not images, and does not know what {image!r} is. "
            f"Add to {where}:\n"
            f"{image}:\n  directory: /path/to/the/app\n  command: [python, app.py]\n"
            f"or serve a program with `pilotlight run DIRECTORY`"
        )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ImageError(f"{path} must map images to directory, command and env")
    return {str(name): entry for name, entry in document.items()}
