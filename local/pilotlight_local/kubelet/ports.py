"""Which ports the programs of a pod are told to use (pure).

All pods share one machine. The queue-proxy binds its pod's own loopback address, but a user's
program binds what it likes, mostly every address; so two replicas would collide on one port. A
program that is told its port by PORT is told a free one, and all who reach for it are told as well.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotlight import names

_PORT: Final = "PORT"
_USER_PORT: Final = "USER_PORT"
_READINESS: Final = "SERVING_READINESS_PROBE"
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The pod spec to run, and per container with a port of its own: declared -> given."""

    spec: dict[str, Any]
    ports: Mapping[str, tuple[int, int]]


def rewrite_ports(spec: Mapping[str, Any], free_port: Callable[[], int]) -> Rewritten:
    """Give each container of a pod with a queue-proxy whose PORT is one of its declared ports a
    free port in place of it.

    A pod without a queue-proxy keeps its ports: who talks to it goes by its EndpointSlice.
    """
    rewritten = copy.deepcopy(dict(spec))
    ports: dict[str, tuple[int, int]] = {}
    containers = rewritten["containers"]
    if any(container["name"] == names.QUEUE_PROXY for container in containers):
        for container in containers:
            declared = _declared_port(container)
            if container["name"] != names.QUEUE_PROXY and declared is not None:
                given = free_port()
                ports[container["name"]] = (declared, given)
                _rewrite_user(container, declared, given)
                _rewrite_queue_proxy(containers, declared, given)
    return Rewritten(rewritten, ports)


def _declared_port(container: Mapping[str, Any]) -> int | None:
    """The port that is both in PORT and in the list of ports."""
    told = next((e.get("value") for e in container.get("env") or [] if e["name"] == _PORT), None)
    for port in container.get("ports") or []:
        if told is not None and str(port.get("containerPort")) == told:
            return int(port["containerPort"])
    return None


def _rewrite_user(container: dict[str, Any], declared: int, given: int) -> None:
    for entry in container["env"]:
        if entry["name"] == _PORT:
            entry["value"] = str(given)
    names_of_port = {p.get("name") for p in container["ports"] if p["containerPort"] == declared}
    for port in container["ports"]:
        if port["containerPort"] == declared:
            port["containerPort"] = given
    meant = {declared, str(declared)} | names_of_port
    for kind in _PROBES:
        _rewrite_probe(container.get(kind), meant, given)
    for hook in (container.get("lifecycle") or {}).values():
        _rewrite_probe(hook, meant, given)


def _rewrite_queue_proxy(containers: list[dict[str, Any]], declared: int, given: int) -> None:
    for container in containers:
        if container["name"] != names.QUEUE_PROXY:
            continue
        for entry in container.get("env") or []:
            if entry["name"] == _USER_PORT and entry.get("value") == str(declared):
                entry["value"] = str(given)
            elif entry["name"] == _READINESS and entry.get("value"):
                entry["value"] = _rewrite_encoded(entry["value"], declared, given)


def _rewrite_encoded(encoded: str, declared: int, given: int) -> str:
    """The user's readiness probe (or a list of them) as the queue-proxy is told it."""
    try:
        decoded = json.loads(encoded)
    except ValueError:
        return encoded  # the queue-proxy is the one to complain
    for probe in decoded if isinstance(decoded, list) else [decoded]:
        if isinstance(probe, dict):
            _rewrite_probe(probe, {declared, str(declared)}, given)
    return json.dumps(decoded, separators=(",", ":"))


def _rewrite_probe(probe: dict[str, Any] | None, meant: set[Any], given: int) -> None:
    for handler in _HANDLERS:
        target = (probe or {}).get(handler)
        if isinstance(target, dict) and target.get("port") in meant:
            target["port"] = given
