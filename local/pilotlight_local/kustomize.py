"""A small loader of kustomizations: `resources` and `patches`, nothing else.

A kustomization that asks for more is refused by the name of the key, so that local mode never
installs something other than a cluster would get.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pilotlight_local.apiserver.builtin.shapes import shape_of
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.patches.merge import json_patch
from pilotlight_local.apiserver.patches.strategic import strategic_patch
from pilotlight_local.apiserver.selectors import parse_labels

Object = dict[str, Any]

_FILES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_KEYS: Final = frozenset({"apiVersion", "kind", "metadata", "resources", "patches"})
_PATCH_KEYS: Final = frozenset({"path", "patch", "target"})
_TARGET_KEYS: Final = frozenset({"group", "version", "kind", "name", "namespace", "labelSelector"})
_DEEPEST: Final = 10


class KustomizeError(Exception):
    """A kustomization cannot be built; the text names the file, the key and the rule."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which objects a patch is for; an empty field matches everything, names are patterns."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: str = ""  # a selector

    def matches(self, obj: Object) -> bool:
        group, _, version = obj["apiVersion"].rpartition("/")
        metadata = obj["metadata"]
        wanted = (
            (self.group, group),
            (self.version, version),
            (self.kind, obj["kind"]),
            (self.name, metadata["name"]),
            (self.namespace, metadata.get("namespace", "")),
        )
        return all(not pattern or re.fullmatch(pattern, value) for pattern, value in wanted) and (
            not self.labels or parse_labels(self.labels)(obj)
        )


def build(directory: Path) -> list[Object]:
    """The objects of the kustomization in `directory`, in the order of its resources.

    Raises KustomizeError.
    """
    return _build(directory.resolve(), 0)


def read_objects(path: Path) -> list[Object]:
    """The objects of one YAML file. Raises KustomizeError."""
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _LOADER))
    except (OSError, yaml.YAMLError) as error:
        raise KustomizeError(f"{path}: {error}") from error
    objects: list[Object] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or not document.get("kind"):
            raise KustomizeError(f"{path}: every document must be an object with a kind")
        objects += document["items"] if document["kind"] == "List" else [document]
    for obj in objects:
        if not (obj.get("metadata") or {}).get("name") or not obj.get("apiVersion"):
            raise KustomizeError(f"{path}: {obj.get('kind')} without apiVersion or metadata.name")
    return objects


def _build(directory: Path, depth: int) -> list[Object]:
    if depth > _DEEPEST:
        raise KustomizeError(f"{directory}: resources refer to each other in a circle")
    path = _file_of(directory)
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise KustomizeError(f"{path}: {unknown[0]!r} is not supported, only resources and patches")
    objects: list[Object] = []
    for entry in document.get("resources") or []:
        resource = directory / entry
        objects += _build(resource, depth + 1) if resource.is_dir() else read_objects(resource)
    _refuse_duplicates(path, objects)
    for number, entry in enumerate(document.get("patches") or []):
        objects = _patch_all(objects, entry, f"{path}: patches[{number}]", directory)
    return objects


def _file_of(directory: Path) -> Path:
    for name in _FILES:
        if (directory / name).is_file():
            return directory / name
    raise KustomizeError(f"{directory} has no {_FILES[0]}")


def _refuse_duplicates(path: Path, objects: Iterable[Object]) -> None:
    seen: set[tuple[str, ...]] = set()
    for obj in objects:
        metadata = obj["metadata"]
        ident = (obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
        if ident in seen:
            raise KustomizeError(f"{path}: {obj['kind']} {metadata['name']!r} is there twice")
        seen.add(ident)


def _patch_all(
    objects: list[Object], entry: Mapping[str, Any], where: str, directory: Path
) -> list[Object]:
    unknown = sorted(set(entry) - _PATCH_KEYS)
    if unknown:
        raise KustomizeError(f"{where}: {unknown[0]!r} is not supported")
    text = entry.get("patch")
    if text is None:
        text = (directory / str(entry.get("path", ""))).read_text(encoding="utf-8")
    patch = yaml.safe_load(text)
    target = _target(entry.get("target"), patch, where)
    patched: list[Object] = []
    found = False
    for obj in objects:
        if not target.matches(obj):
            patched.append(obj)
            continue
        found = True
        result = _patched(obj, patch, where)
        if result is not None:
            patched.append(result)
    if not found:
        raise KustomizeError(f"{where}: matches no resource")
    return patched


def _target(given: Mapping[str, Any] | None, patch: Any, where: str) -> Target:
    """The target that is written down, or, for a merge, the object that the patch names."""
    if given is not None:
        unknown = sorted(set(given) - _TARGET_KEYS)
        if unknown:
            raise KustomizeError(f"{where}: target.{unknown[0]} is not supported")
        renamed = {"labelSelector": "labels"}
        return Target(**{renamed.get(key, key): str(value) for key, value in given.items()})
    metadata = patch.get("metadata") if isinstance(patch, dict) else None
    if not metadata or not metadata.get("name"):
        raise KustomizeError(f"{where}: needs a target, or a patch with kind and metadata.name")
    group, _, version = str(patch.get("apiVersion", "")).rpartition("/")
    exact = (group, version, patch["kind"], metadata["name"], metadata.get("namespace", ""))
    return Target(*(re.escape(part) for part in exact))


def _patched(obj: Object, patch: Any, where: str) -> Object | None:
    """An object after a patch, None when it is deleted by it."""
    try:
        if isinstance(patch, list):
            return dict(json_patch(obj, patch))
        if isinstance(patch, dict):
            if patch.get("$patch") == "delete":
                return None
            return dict(strategic_patch(obj, patch, shape_of(obj["kind"])))
    except ApiError as error:
        raise KustomizeError(f"{where}: {error.message}") from error
    raise KustomizeError(f"{where}: a patch is a list of operations or an object")


_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
