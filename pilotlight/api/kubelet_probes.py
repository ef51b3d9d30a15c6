"""Probes that only the kubelet can run. Standard library only: the gateway imports it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def kubelet_decides(containers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether only the kubelet can tell that a pod with these containers is ready: a command is run
    inside the container, or the readiness probe has to wait for a startup probe. The queue-proxy
    sees neither, so that its word is not enough. Knative's activator has the same exception.
    """
    return any(
        container.get("startupProbe") or (container.get("readinessProbe") or {}).get("exec")
        for container in containers
    )
