"""The hosts file: the names of Services and the addresses behind them, for programs of this
machine, which no cluster DNS serves.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pilotlight import names

Object = Mapping[str, Any]


def service_names(name: str, namespace: str) -> list[str]:
    """The names under which a Service is found, the full one first."""
    full = names.service_host(name, namespace)
    return [full, f"{name}.{namespace}.svc", f"{name}.{namespace}"]


def render_hosts(services: Iterable[Object], slices: Iterable[Object]) -> str:
    """A file in the format of hosts(5): one line per address and Service.

    An endpoint counts when its slice calls it ready, which for a Service that publishes addresses
    that are not ready is all of them.
    """
    published = {
        (service["metadata"]["namespace"], service["metadata"]["name"]) for service in services
    }
    lines: set[tuple[str, str, str]] = set()
    for endpoint_slice in slices:
        metadata = endpoint_slice["metadata"]
        name = (metadata.get("labels") or {}).get(names.ENDPOINT_SLICE_SERVICE_LABEL)
        namespace = metadata["namespace"]
        if (namespace, name) not in published or name is None:
            continue
        for endpoint in endpoint_slice.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                lines |= {(namespace, name, address) for address in endpoint["addresses"]}
    return "".join(
        f"{address}\t{' '.join(service_names(name, namespace))}\n"
        for namespace, name, address in sorted(lines)
    )


def write_file(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace a file in one step, so that no reader sees half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(content, encoding="utf-8")
    fresh.chmod(mode)
    os.replace(fresh, path)
