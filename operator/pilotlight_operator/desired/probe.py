"""How the readiness of the user's container reaches the queue-proxy, which asks in the kubelet's
place: the kubelet looks once a second, a cold start cannot wait for that.
"""

from __future__ import annotations

import copy
import json

from pilotlight import names
from pilotlight_operator.desired.pod import containers, queue_port, serving_container, user_port
from pilotlight_operator.objects import Obj

_LOCALHOST = "127.0.0.1"
_NUMBERS = (
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
)


def encoded(revision: Obj, all_containers: bool = False) -> str:
    """The probe that the queue-proxy runs, as JSON with Kubernetes' field names; those of all
    containers are a list, the one of the container that serves first.
    """
    port, serving = user_port(revision), serving_container(revision)
    probe = _resolved(serving.get("readinessProbe") or {}, port)
    if not all_containers:
        return json.dumps(probe, separators=(",", ":"))
    probes = [probe]
    for container in containers(revision):
        given = container.get("readinessProbe")
        if container is not serving and given and "exec" not in given:
            probes.append(_resolved(given, port))
    return json.dumps(probes, separators=(",", ":"))


def of_queue_proxy(revision: Obj) -> Obj:
    """The probe by which the kubelet asks the queue-proxy whether the pod is ready.

    Without a period of its own it runs each second: Kubernetes' ten would keep a pod that was
    asked too early out of its Service for that long.
    """
    probe = serving_container(revision).get("readinessProbe") or {}
    numbers = {name: int(probe[name]) for name in _NUMBERS if probe.get(name)}
    numbers.setdefault("periodSeconds", 1)
    numbers.setdefault("timeoutSeconds", 1)
    numbers.setdefault("successThreshold", 1)
    numbers.setdefault("failureThreshold", 3)
    return {
        "httpGet": {
            "path": "/",
            "port": queue_port(revision),
            "scheme": "HTTP",
            "httpHeaders": [{"name": names.PROBE_HEADER, "value": "queue"}],
        },
        **numbers,
    }


def _resolved(given: Obj, port: int) -> Obj:
    probe: Obj = copy.deepcopy(given)
    if probe.pop("exec", None) is not None:
        # The kubelet runs the command inside the user's container; from here only a port is seen.
        probe["tcpSocket"] = {}
    if "httpGet" in probe:
        probe["httpGet"] = _at_port(probe["httpGet"] or {}, port) | {"host": _LOCALHOST}
        probe["httpGet"].setdefault("scheme", "HTTP")
        probe["httpGet"]["scheme"] = probe["httpGet"]["scheme"] or "HTTP"
    elif "grpc" in probe:
        probe["grpc"] = _at_port(probe["grpc"] or {}, port)
    else:
        probe["tcpSocket"] = _at_port(probe.get("tcpSocket") or {}, port) | {"host": _LOCALHOST}
    probe.setdefault("successThreshold", 1)
    if probe.get("periodSeconds") and not probe.get("timeoutSeconds"):
        probe["timeoutSeconds"] = 1
    return probe


def _at_port(handler: Obj, port: int) -> Obj:
    given = handler.get("port")
    numeric = given if isinstance(given, int) and given > 0 else port
    return {**handler, "port": numeric}
