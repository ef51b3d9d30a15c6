"""Volumes as directories of the pod.

Without privileges nothing can be mounted at a container's `mountPath`, and the machine's own file
system must not be written to. So each volume is made as a directory, and the container is told
where by `PILOTLIGHT_MOUNT_<NAME>`: the volume's name in capitals, every other character a `_`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pilotlight_local.kubelet.environment import (
    ConfigurationError,
    Facts,
    Object,
    Sources,
    field,
    resource_field,
)

ENV_PREFIX: Final = "PILOTLIGHT_MOUNT_"
_FILE_MODE: Final = 0o644
_SUPPORTED: Final = "emptyDir, configMap, secret, downwardAPI, projected and hostPath"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume, its path relative to the volume's directory."""

    path: str
    content: bytes
    mode: int


def mount_variables(container: Object, directories: Mapping[str, Path]) -> dict[str, str]:
    """The variables that tell a container where its volumes are."""
    variables: dict[str, str] = {}
    for mount in container.get("volumeMounts") or []:
        directory = directories.get(mount["name"])
        if directory is None:
            raise ConfigurationError(f"volumeMount {mount['name']!r} names no volume of the pod")
        sub_path = mount.get("subPath") or ""
        key = ENV_PREFIX + re.sub(r"[^A-Z0-9]", "_", mount["name"].upper())
        variables[key] = str(directory / sub_path) if sub_path else str(directory)
    return variables


def volume_files(volume: Object, pod: Object, facts: Facts, sources: Sources) -> list[File]:
    """The files of a volume (none for an emptyDir).

    Raises ConfigurationError when something that it names is missing, or its kind is unknown here.
    """
    name = volume["name"]
    if "emptyDir" in volume or "hostPath" in volume:
        return []
    if "projected" in volume:
        projected = volume["projected"]
        mode = projected.get("defaultMode", _FILE_MODE)
        files: list[File] = []
        for source in projected.get("sources") or []:
            files += _source_files(source, mode, _Context(name, pod, facts, sources))
        return files
    mode = next((v.get("defaultMode") for v in volume.values() if isinstance(v, dict)), None)
    return _source_files(volume, mode or _FILE_MODE, _Context(name, pod, facts, sources))


def materialise(volume: Object, files: list[File], directory: Path) -> Path:
    """Write a volume below `directory` and return where it is."""
    if "hostPath" in volume:
        host_path: str = volume["hostPath"]["path"]
        return Path(host_path)
    root = directory / str(volume["name"])
    root.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(file.content)
        fresh.chmod(file.mode)
        os.replace(fresh, path)
    return root


@dataclass(frozen=True, slots=True)
class _Context:
    volume: str
    pod: Object
    facts: Facts
    sources: Sources


def _source_files(source: Object, mode: int, context: _Context) -> list[File]:
    if "configMap" in source:
        entry = source["configMap"]
        data = context.sources.config_map(entry["name"])
        return _keyed_files("configmap", entry["name"], entry, data, mode)
    if "secret" in source:
        entry = source["secret"]
        name = entry.get("secretName") or entry.get("name", "")
        return _keyed_files("secret", name, entry, context.sources.secret(name), mode)
    if "downwardAPI" in source:
        items = source["downwardAPI"].get("items") or []
        return [_downward_file(item, mode, context) for item in items]
    kinds = ", ".join(sorted(set(source) - {"name"})) or "nothing"
    raise ConfigurationError(
        f"volume {context.volume!r} is of a kind that local mode does not have ({kinds}); "
        f"it has {_SUPPORTED}"
    )


def _keyed_files(
    kind: str, name: str, entry: Object, data: Mapping[str, bytes] | None, mode: int
) -> list[File]:
    optional = bool(entry.get("optional"))
    if data is None:
        if optional:
            return []
        raise ConfigurationError(f'{kind} "{name}" not found')
    items = entry.get("items")
    if not items:
        return [File(_inside(key), content, mode) for key, content in data.items()]
    files = []
    for item in items:
        if item["key"] in data:
            content = data[item["key"]]
            files.append(File(_inside(item["path"]), content, item.get("mode", mode)))
        elif not optional:
            raise ConfigurationError(f"{kind} {name!r} has no key {item['key']!r}")
    return files


def _downward_file(item: Object, mode: int, context: _Context) -> File:
    if "fieldRef" in item:
        text = field(item["fieldRef"]["fieldPath"], context.pod, context.facts)
    else:
        text = resource_field(item["resourceFieldRef"], context.pod, None, context.facts)
    return File(_inside(item["path"]), text.encode(), item.get("mode", mode))


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ConfigurationError(f"path {path!r} must be relative and without '..'")
    return path
