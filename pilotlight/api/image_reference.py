"""Whether a text names an image: `registry/repository:tag@digest`, most of which may be absent.

The rules are those by which registries' common client library reads names.
"""

from __future__ import annotations

import re
from typing import Final

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_REPOSITORY = re.compile(r"[a-z0-9_./-]{2,255}")
_REGISTRY = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(:[0-9]*)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOCALHOST: Final = "localhost"


def is_image_reference(text: str) -> bool:
    """Whether the text names an image, by a tag or by a digest."""
    return _is_tagged(text) or _is_digested(text)


def _is_tagged(text: str) -> bool:
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return _is_repository(text)
    return bool(_TAG.fullmatch(tag)) and _is_repository(repository)


def _is_digested(text: str) -> bool:
    name, _, digest = text.partition("@")
    return bool(_DIGEST.fullmatch(digest)) and _is_tagged(name)


def _is_repository(text: str) -> bool:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == _LOCALHOST):
        return bool(_REGISTRY.fullmatch(first)) and bool(_REPOSITORY.fullmatch(rest))
    return bool(_REPOSITORY.fullmatch(text))
