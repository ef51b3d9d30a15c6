"""What representation a client accepts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .errors import ApiError, not_acceptable

JSON: Final = "application/json"
TABLE: Final = "Table"
METADATA: Final = "PartialObjectMetadata"
METADATA_LIST: Final = "PartialObjectMetadataList"
_TRANSFORMS: Final = frozenset({TABLE, METADATA, METADATA_LIST})


@dataclass(frozen=True, slots=True)
class MediaType:
    """One entry of an Accept header."""

    name: str
    parameters: dict[str, str]


def accepted(header: str) -> Iterator[MediaType]:
    """The entries of an Accept header in their order (clients send them by preference)."""
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        if name:
            yield MediaType(name.lower(), {key: value.strip('"') for key, _, value in pairs})


def _is_json(name: str) -> bool:
    return name in (JSON, "*/*", "application/*")


def representation(header: str) -> str:
    """ "" for the object itself, or the transformation that the client prefers; raises a 406.

    Binary encodings are passed over: every client that offers one offers JSON, too.
    """
    if not header:
        return ""
    for entry in accepted(header):
        if not _is_json(entry.name):
            continue
        wanted = entry.parameters.get("as", "")
        if not wanted:
            return ""
        known = wanted in _TRANSFORMS and entry.parameters.get("g", "meta.k8s.io") == "meta.k8s.io"
        if known and entry.parameters.get("v", "v1") == "v1":
            return wanted
    raise _refused()


def discovery_version(header: str) -> str:
    """ "v2", "v2beta1" for aggregated discovery, "" for the plain kind; raises a 406."""
    for entry in accepted(header or JSON):
        if not _is_json(entry.name):
            continue
        if entry.parameters.get("as") == "APIGroupDiscoveryList":
            if entry.parameters.get("v") in ("v2", "v2beta1"):
                return entry.parameters["v"]
            continue
        return ""
    raise _refused()


def _refused() -> ApiError:
    return not_acceptable([JSON])
