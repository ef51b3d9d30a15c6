"""What has become of a container, and what that makes of its pod's status (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from pilotlight_local.kubelet.environment import Facts, Object

SCHEDULED: Final = "PodScheduled"
INITIALIZED: Final = "Initialized"
CONTAINERS_READY: Final = "ContainersReady"
READY: Final = "Ready"


def timestamp(now: float) -> str:
    """Unix seconds as Kubernetes writes a time."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    started_at: float


@dataclass(frozen=True, slots=True)
class Terminated:
    exit_code: int
    reason: str
    started_at: float
    finished_at: float
    signal: int = 0
    message: str = ""
    container_id: str = ""


Status = Waiting | Running | Terminated
CREATING: Final = Waiting("ContainerCreating")
INITIALIZING: Final = Waiting("PodInitializing")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container as the kubelet knows it. `started` is the startup probe's verdict (true without
    one), `ready` the readiness probe's.
    """

    name: str
    image: str
    status: Status = CREATING
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""

    def running(
        self, now: float, container_id: str, *, started: bool, ready: bool
    ) -> ContainerState:
        return replace(
            self,
            status=Running(now),
            container_id=container_id,
            started=started,
            ready=started and ready,
        )

    def ended(self, how: Terminated) -> ContainerState:
        return replace(self, status=how, started=False, ready=False)

    def waiting(self, reason: str, message: str = "") -> ContainerState:
        """Waiting; if it had ended before, that becomes its last state."""
        last = self.status if isinstance(self.status, Terminated) else self.last
        status = Waiting(reason, message)
        return replace(self, status=status, last=last, started=False, ready=False)

    def restarting(self) -> ContainerState:
        last = self.status if isinstance(self.status, Terminated) else self.last
        return replace(self, last=last, restarts=self.restarts + 1)


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod's containers in the manifest's order, and when the kubelet took it up."""

    containers: Sequence[ContainerState]
    inits: Sequence[ContainerState] = ()
    started_at: float = 0.0
    previous: Mapping[str, Any] = field(default_factory=dict)  # the status before
    stopping: bool = False


def is_done(state: ContainerState, restart_policy: str) -> bool:
    """Whether a container has ended for good."""
    if not isinstance(state.status, Terminated):
        return False
    return not should_restart(restart_policy, state.status.exit_code)


def should_restart(restart_policy: str, exit_code: int) -> bool:
    return restart_policy == "Always" or (restart_policy == "OnFailure" and exit_code != 0)


def is_initialized(pod: PodState) -> bool:
    return all(_succeeded(container) for container in pod.inits)


def _succeeded(container: ContainerState) -> bool:
    return isinstance(container.status, Terminated) and container.status.exit_code == 0


def phase(pod: PodState, restart_policy: str) -> str:
    """Pending, Running, Succeeded or Failed."""
    policy = "Never" if pod.stopping else restart_policy
    if any(
        isinstance(c.status, Terminated) and c.status.exit_code and policy == "Never"
        for c in pod.inits
    ):
        return "Failed"
    if not is_initialized(pod):
        return "Pending"
    if all(is_done(c, policy) for c in pod.containers):
        codes = [c.status.exit_code for c in pod.containers if isinstance(c.status, Terminated)]
        return "Failed" if any(codes) else "Succeeded"
    begun = all(
        not isinstance(c.status, Waiting) or c.last is not None or c.restarts
        for c in pod.containers
    )
    return "Running" if begun else "Pending"


def pod_status(spec: Object, pod: PodState, facts: Facts, now: float) -> dict[str, Any]:
    """The `status` of a pod."""
    current = phase(pod, spec.get("restartPolicy", "Always"))
    status: dict[str, Any] = {
        "phase": current,
        "conditions": _conditions(pod, current, now),
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "podIP": facts.pod_ip,
        "podIPs": [{"ip": facts.pod_ip}],
        "startTime": timestamp(pod.started_at),
        "qosClass": qos_class(spec),
    }
    if pod.inits:
        status["initContainerStatuses"] = [
            _container_status(c) | {"ready": _succeeded(c)} for c in pod.inits
        ]
    status["containerStatuses"] = [_container_status(c) for c in pod.containers]
    return status


def qos_class(spec: Object) -> str:
    """Guaranteed when every container limits cpu and memory to what it requests."""
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for entry in resources:
        limits, requests = entry.get("limits") or {}, entry.get("requests") or {}
        if any(name not in limits for name in ("cpu", "memory")):
            return "Burstable"
        if any(requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def _conditions(pod: PodState, current: str, now: float) -> list[dict[str, Any]]:
    unready = [c.name for c in pod.containers if not c.ready]
    uninitialized = [c.name for c in pod.inits if not _succeeded(c)]
    completed = "PodCompleted" if current == "Succeeded" else ""
    ready: tuple[bool, str, str] = (True, "", "")
    if completed:
        ready = (False, completed, "")
    elif unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        ready = (False, "ContainersNotReady", message)
    initialized: tuple[bool, str, str] = (True, completed, "")
    if uninitialized:
        message = f"containers with incomplete status: [{' '.join(uninitialized)}]"
        initialized = (False, "ContainersNotInitialized", message)
    before = {c["type"]: c for c in pod.previous.get("conditions") or []}
    return [
        _condition(before, INITIALIZED, initialized, now),
        _condition(before, READY, ready, now),
        _condition(before, CONTAINERS_READY, ready, now),
        _condition(before, SCHEDULED, (True, "", ""), now),
    ]


def _condition(
    before: Mapping[str, Object], kind: str, verdict: tuple[bool, str, str], now: float
) -> dict[str, Any]:
    holds, reason, message = verdict
    status = "True" if holds else "False"
    known = before.get(kind)
    since = known["lastTransitionTime"] if known and known["status"] == status else timestamp(now)
    condition = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": since,
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _container_status(container: ContainerState) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": container.name,
        "state": _state(container.status),
        "lastState": _state(container.last) if container.last else {},
        "ready": container.ready,
        "restartCount": container.restarts,
        "image": container.image,
        "imageID": container.image,
        "started": container.started,
    }
    if container.container_id:
        status["containerID"] = container.container_id
    return status


def _state(status: Status) -> dict[str, Any]:
    match status:
        case Waiting():
            waiting = {"reason": status.reason}
            return {"waiting": waiting | ({"message": status.message} if status.message else {})}
        case Running():
            return {"running": {"startedAt": timestamp(status.started_at)}}
        case Terminated():
            terminated: dict[str, Any] = {
                "exitCode": status.exit_code,
                "reason": status.reason,
                "startedAt": timestamp(status.started_at),
                "finishedAt": timestamp(status.finished_at),
            }
            if status.signal:
                terminated["signal"] = status.signal
            if status.message:
                terminated["message"] = status.message
            if status.container_id:
                terminated["containerID"] = status.container_id
            return {"terminated": terminated}
