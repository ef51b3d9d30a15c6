"""URL paths of the resource API, taken apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """One resource, object or subresource. `namespace` is None over all namespaces."""

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> ResourcePath | None:
    """Reads `/api/v1/...` or `/apis/GROUP/VERSION/...`; None when it is no resource's path."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if rest[0] == "namespaces" and len(rest) > 2 and not _is_own(group, rest):
        return _resource(group, version, rest[1], rest[2:])
    return _resource(group, version, None, rest)


def _is_own(group: str, rest: list[str]) -> bool:
    """Whether `namespaces/NAME/X` is a subresource of the namespace itself."""
    return not group and len(rest) == 3 and rest[2] in ("status", "finalize")


def _resource(
    group: str, version: str, namespace: str | None, rest: list[str]
) -> ResourcePath | None:
    if len(rest) > 3 or not all(rest):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return ResourcePath(group, version, plural, namespace, name, subresource)
