"""Keeps the hosts file current."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from pilotlight.kube.resources import CORE_SERVICES, ENDPOINT_SLICES
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.hosts import Object, render_hosts, write_file


class HostsFile:
    """Writes the file whenever a Service or an EndpointSlice changes, once per turn of the loop."""

    def __init__(self, cluster: Cluster, path: Path) -> None:
        self._cluster = cluster
        self._path = path
        self._written: str | None = None
        self._due = False
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        self._unsubscribe = [
            self._cluster.subscribe(resource, self._on_change)
            for resource in (CORE_SERVICES, ENDPOINT_SLICES)
        ]
        self._write()

    def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def _on_change(self, _type: str, _obj: Object, _old: Object | None) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._due = False
        services = self._cluster.list(CORE_SERVICES)
        content = render_hosts(services, self._cluster.list(ENDPOINT_SLICES))
        if content != self._written:
            write_file(self._path, content)
            self._written = content
