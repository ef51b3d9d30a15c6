"""The one word that `kubectl get pods` says about a pod, and its restarts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pilotlight_local.apiserver.columns import Cell, age
from pilotlight_local.apiserver.values import Object, lookup


def pod_status(obj: Object) -> Cell:
    """Phase, or what keeps the pod from it: the reason of its worst container."""
    status = obj.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    initial = _initial(obj)
    if initial:
        reason = initial
    else:
        reason = _container_reason(obj, status) or reason
    if obj["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _initial(obj: Object) -> str:
    """`Init:1/2` and the like, while the init containers have not all succeeded."""
    statuses = lookup(obj, "status", "initContainerStatuses") or ()
    total = len(lookup(obj, "spec", "initContainers") or ())
    for index, container in enumerate(statuses):
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if ended is not None:
            return f"Init:{_ended(ended)}"
        if waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def _container_reason(obj: Object, status: Object) -> str:
    reason = ""
    running = False
    for container in reversed(status.get("containerStatuses") or ()):
        state = container.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _ended(ended)
        elif container.get("ready") and state.get("running") is not None:
            running = True
    if reason == "Completed" and running:
        conditions = status.get("conditions") or ()
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        return "Running" if ready else "NotReady"
    return reason


def _ended(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def pod_restarts(obj: Object, now: datetime) -> Cell:
    """The number of restarts, and how long ago the last one was."""
    statuses = lookup(obj, "status", "containerStatuses") or ()
    total = sum(container.get("restartCount") or 0 for container in statuses)
    if not total:
        return "0"
    ends: list[Any] = [lookup(c, "lastState", "terminated", "finishedAt") for c in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{total} ({age(last, now)} ago)" if last else str(total)
