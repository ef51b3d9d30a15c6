"""Reads the Server-Timing header in which an answer says what it waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TOTAL: Final = "total"
MEANINGS: Final[Mapping[str, str]] = {
    "decide": "the request is seen to need a pod",
    "patch": "the Deployment is scaled",
    "schedule": "a pod is made and its first process runs",
    "start": "the program starts and answers its probe",
    "announce": "the pod says that it is ready",
    "first-byte": "the request is sent and its answer begins",
    TOTAL: "all of it",
}


def parse_server_timing(value: str) -> dict[str, float]:
    """Durations in milliseconds by name, in their order; entries without one are left out.

    The syntax is that of the W3C's Server Timing, section 3.
    """
    durations: dict[str, float] = {}
    for entry in value.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip().lower() == "dur":
                try:
                    durations[name] = float(text.strip().strip('"'))
                except ValueError:
                    continue
    return durations
