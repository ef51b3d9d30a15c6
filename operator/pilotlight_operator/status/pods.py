"""Why no pod of a Revision serves, in the words of the scheduler, the kubelet or the program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pilotlight import names
from pilotlight.api.conditions import find
from pilotlight_operator.objects import Obj, is_deleting, status_of

CONTAINER: Final = "ContainerHealthy"
RESOURCES: Final = "ResourcesAvailable"
KEY_MISSING_REASON: Final = "CreateContainerConfigError"
# Reasons of a container that waits because all is well so far.
_PATIENT: Final = frozenset({"", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong: the condition it belongs to, the reason and the message. `final`: waiting does
    not help, so that the condition is False now and not only after the progress deadline.
    """

    condition: str
    reason: str
    message: str
    final: bool


def diagnose(pods: Iterable[Obj], *, always_schedulable: bool) -> Diagnosis | None:
    """The first thing that is wrong with any pod: one that failed for good goes before one that
    may still come up.
    """
    found = [
        diagnosis
        for pod in pods
        if not is_deleting(pod) and (diagnosis := _of_pod(pod, always_schedulable)) is not None
    ]
    final = [diagnosis for diagnosis in found if diagnosis.final]
    return next(iter(final or found), None)


def lacks_key(pods: Iterable[Obj]) -> bool:
    """Whether a queue-proxy cannot be made because something it is configured from is missing."""
    return any(
        _waiting(container).get("reason") == KEY_MISSING_REASON
        for pod in pods
        for container in status_of(pod).get("containerStatuses") or ()
        if container.get("name") == names.QUEUE_PROXY
    )


def runs(pods: Iterable[Obj]) -> bool:
    """Whether a pod has every container of the user running."""
    return any(_all_running(pod) for pod in pods if not is_deleting(pod))


def _all_running(pod: Obj) -> bool:
    containers = _user_containers(pod, "containerStatuses")
    return bool(containers) and all(
        "running" in (container.get("state") or {}) for container in containers
    )


def _of_pod(pod: Obj, always_schedulable: bool) -> Diagnosis | None:
    scheduled = find(pod, "PodScheduled")
    if scheduled is not None and scheduled.is_false and not always_schedulable:
        return Diagnosis(
            RESOURCES, scheduled.reason or "Unschedulable", scheduled.message, final=True
        )
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in _user_containers(pod, kind):
            diagnosis = _of_container(container, is_init=kind == "initContainerStatuses")
            if diagnosis is not None:
                return diagnosis
    return None


def _of_container(container: Obj, *, is_init: bool) -> Diagnosis | None:
    ended = (container.get("lastState") or {}).get("terminated")
    ended = ended or (container.get("state") or {}).get("terminated")
    if ended and not (is_init and ended.get("exitCode") == 0):
        return Diagnosis(CONTAINER, f"ExitCode{ended.get('exitCode', 0)}", _last_words(ended), True)
    waiting = _waiting(container)
    reason = str(waiting.get("reason") or "")
    if reason in _PATIENT:
        return None
    return Diagnosis(RESOURCES, reason, str(waiting.get("message") or ""), final=False)


def _last_words(ended: Obj) -> str:
    message = str(ended.get("message") or "").rstrip()
    code = ended.get("exitCode", 0)
    if message:
        return f"Container failed with: {message}"
    if code == 0:
        return "Container failed with: container exited with no error"
    cause = f" ({ended['reason']})" if ended.get("reason") not in (None, "", "Error") else ""
    return f"Container failed with: exit code {code}{cause}, and nothing in its log"


def _waiting(container: Obj) -> Obj:
    waiting: Obj = (container.get("state") or {}).get("waiting") or {}
    return waiting


def _user_containers(pod: Obj, kind: str) -> list[Obj]:
    return [
        container
        for container in status_of(pod).get(kind) or ()
        if container.get("name") != names.QUEUE_PROXY
    ]
