"""The `_example` key of a ConfigMap: documentation that nobody is meant to edit.

People look for the key to change, find it in the example, and change it there, where it does
nothing. The checksum in an annotation lets admission catch that.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Final

EXAMPLE_KEY: Final = "_example"
CHECKSUM_ANNOTATION: Final = "knative.dev/example-checksum"

_NEWLINES = re.compile(r"(\r?\n)+")


def example_checksum(example: str) -> str:
    """Eight hexadecimal digits: CRC-32 of the text without outer white space, each run of line
    ends counted as one."""
    normal = _NEWLINES.sub(r"\\n", example.strip())
    return f"{zlib.crc32(normal.encode()):08x}"


def example_fault(data: Mapping[str, str], annotations: Mapping[str, str]) -> str | None:
    """What is wrong with the example of a ConfigMap, or None. Without both the key and the
    annotation there is nothing to compare."""
    expected = annotations.get(CHECKSUM_ANNOTATION)
    if expected is None or EXAMPLE_KEY not in data:
        return None
    actual = example_checksum(data[EXAMPLE_KEY])
    if actual == expected:
        return None
    return (
        f'the update modifies a key in "{EXAMPLE_KEY}" which is probably not what you want. '
        "Instead, copy the respective setting to the top-level of the ConfigMap, directly below "
        f'"data" (the checksum is "{actual}", the annotation "{CHECKSUM_ANNOTATION}" says '
        f'"{expected}")'
    )
