"""Which queue-proxy a pod has: ours, or that of a Knative Serving that was there before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight import names


def is_ours(containers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a pod with these containers has our queue-proxy: it is given a key to sign with."""
    return any(
        variable.get("name") == names.ENV_KEY
        for container in containers
        if container.get("name") == names.QUEUE_PROXY
        for variable in container.get("env") or ()
    )
