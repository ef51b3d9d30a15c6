"""`pods/log`: which container's log, from where, in which form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from .errors import bad_request
from .reading import number
from .values import Object, lookup, parse_time


@dataclass(frozen=True, slots=True)
class LogRequest:
    """One container's log: the last `tail` lines, or those after `since`; all where None."""

    namespace: str
    pod: str
    container: str
    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    previous: bool = False
    timestamps: bool = False
    limit_bytes: int | None = None


class LogSource(Protocol):
    """Where logs come from: the kubelet."""

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Pieces of the log; with `follow`, until the container has ended. May raise ApiError
        before the first piece.
        """


class NoLogs:
    """For a cluster without a kubelet."""

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        if request.pod:
            raise bad_request(f'the node of pod "{request.pod}" keeps no logs')
        yield b""


def parse_request(pod: Object, query: Mapping[str, str], now: datetime) -> LogRequest:
    """Reads the query of a `pods/log` request; raises a 400 in the words of Kubernetes."""
    metadata = pod["metadata"]
    tail = number(query, "tailLines") if query.get("tailLines") else None
    return LogRequest(
        metadata["namespace"],
        metadata["name"],
        _container(pod, query.get("container", "")),
        _flag(query, "follow"),
        tail,
        _since(query, now),
        _flag(query, "previous"),
        _flag(query, "timestamps"),
        number(query, "limitBytes") or None,
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _since(query: Mapping[str, str], now: datetime) -> datetime | None:
    if query.get("sinceTime"):
        try:
            return parse_time(query["sinceTime"])
        except ValueError:
            raise bad_request(f"invalid sinceTime: {query['sinceTime']!r}") from None
    seconds = number(query, "sinceSeconds")
    return now - timedelta(seconds=seconds) if seconds else None


def _container(pod: Object, wanted: str) -> str:
    name = pod["metadata"]["name"]
    spec = pod.get("spec") or {}
    containers = [c["name"] for c in spec.get("containers") or ()]
    initial = [c["name"] for c in spec.get("initContainers") or ()]
    if wanted:
        if wanted not in (*containers, *initial):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = lookup(pod, "metadata", "annotations") or {}
    chosen = default.get("kubectl.kubernetes.io/default-container")
    if chosen in containers:
        return str(chosen)
    if len(containers) == 1:
        return str(containers[0])
    listed = f"[{' '.join(containers)}]"
    if initial:
        listed += f" or one of the init containers: [{' '.join(initial)}]"
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: {listed}")
