"""What is done to the system under load. Each is noted in the ledger for as long as it lasts."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from e2e.harness import (
    DEPLOYMENT,
    POD,
    SLOW,
    SYSTEM,
    Cluster,
    Deployed,
    Gateway,
    Object,
    Wish,
    is_ready,
    wait_until,
)
from e2e.soak.ledger import Closed, Disturbance, Kill, Ledger
from e2e.soak.load import Flow
from pilotlight import names

SCALE_DOWN: Final = "scale-down"
ROLL_OUT: Final = "roll-out"
DELETION: Final = "pod deletion"
AWAY: Final = "API away"

SETTLED_S: Final = 60.0 * SLOW
HIGH_S: Final = 18.0
LOW_S: Final = 27.0
HALF_S: Final = (HIGH_S + LOW_S) / 2
LOOK_EVERY_S: Final = 1.0
_LOOK_CLOSELY_S: Final = 0.1
CLOSING_S: Final = 20.0
"""How long after the API server's return the gateway may still be left without endpoints."""


@contextmanager
def noted(ledger: Ledger, disturbance: Disturbance) -> Iterator[None]:
    """Note a disturbance for as long as the block runs."""
    ledger.disturbances.append(disturbance)
    try:
        yield
    finally:
        disturbance.ended = time.monotonic()


def roll_out(ledger: Ledger, service: Deployed, wish: Wish) -> None:
    """A new Revision; over when it serves, and nothing else does."""
    before = service.object()["status"]["latestReadyRevisionName"]
    with noted(ledger, Disturbance(ROLL_OUT, time.monotonic())):
        service.cluster.apply(wish.manifest(service.namespace))

        def serves() -> bool:
            found = service.object()
            return is_ready(found) and found["status"]["latestReadyRevisionName"] != before

        wait_until(serves, SETTLED_S, f"a new Revision of {service.name} serves")


def delete_pod(ledger: Ledger, service: Deployed) -> None:
    """One of its pods, with the grace that it has; over when there are as many as before."""
    ready = wait_until(service.ready_pods, SETTLED_S, "a ready pod")
    name = random.choice(ready)["metadata"]["name"]
    with noted(ledger, Disturbance(DELETION, time.monotonic())):
        service.cluster.delete(POD, service.namespace, name)
        wait_until(
            lambda: len(service.ready_pods()) >= len(ready), SETTLED_S, f"another pod for {name}"
        )


def restart(ledger: Ledger, cluster: Cluster, component: str) -> None:
    """As `kubectl rollout restart`; over when only new pods are left, those that end apart."""
    at = {"kubectl.kubernetes.io/restartedAt": f"{time.time():.3f}"}
    patch = {"spec": {"template": {"metadata": {"annotations": at}}}}
    with noted(ledger, Disturbance(f"restart of {component}", time.monotonic())):
        cluster.patch(DEPLOYMENT, SYSTEM, component, patch)
        wait_until(
            lambda: is_rolled_out(cluster.get(DEPLOYMENT, SYSTEM, component)),
            SETTLED_S,
            f"the {component} is restarted",
        )


def is_rolled_out(deployment: Object | None) -> bool:
    """Whether all pods of a Deployment are new and available."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]
    return current and counts == [wanted] * 3


def kill(
    ledger: Ledger, pid: int, name: str, legs: Collection[str] = (), away_s: float = 0.0
) -> None:
    """SIGKILL, now; see `Kill` for what it may cost."""
    killed = Kill(f"kill of {name}", time.monotonic(), legs=legs, away_s=away_s)
    ledger.disturbances.append(killed)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not _lives(pid), SETTLED_S, f"process {pid} has ended")
    killed.gone = time.monotonic()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def processes_of(pod: Object) -> dict[int, str]:
    """The processes of a pod that can be seen from here, with their command lines."""
    uid = pod["metadata"]["uid"]
    groups = (uid.encode(), uid.replace("-", "_").encode())
    address = b"PILOTLIGHT_BIND=" + pod["status"]["podIP"].encode()
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            of_pod = any(group in (entry / "cgroup").read_bytes() for group in groups)
            # Local mode's pods are processes that were told the pod's address.
            of_pod = of_pod or address in (entry / "environ").read_bytes().split(b"\0")
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if of_pod and line:
            found[int(entry.name)] = line
    return found


def pods_of(cluster: Cluster, component: str) -> list[Object]:
    """The pods of the operator, the autoscaler or the activator that are to stay."""
    return [
        pod
        for pod in cluster.list(POD, SYSTEM, f"app={component}")
        if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("podIP")
    ]


@dataclass(frozen=True, slots=True)
class ApiSwitch:
    """Takes the API server away, and brings it back."""

    stop: Callable[[], None]
    go_on: Callable[[], None]

    @contextmanager
    def away(self, ledger: Ledger) -> Iterator[None]:
        with noted(ledger, Disturbance(AWAY, time.monotonic())):
            time.sleep(2 * LOOK_EVERY_S)  # who looks has seen the line above
            self.stop()
            try:
                yield
            finally:
                self.go_on()


def watch_gateway(ledger: Ledger, gateway: Gateway, pods: Sequence[Object]) -> None:
    """Note whether Kubernetes leads nobody to the gateway after the API server was away: of nodes
    that it has not heard of for 40 s it calls all pods unready, until their kubelets object, and
    kube-proxy refuses what has no endpoint. It does so while connections to the Service are refused
    that `pods`, the activators, take themselves.
    """
    service = (urlsplit(gateway.url).hostname or "", urlsplit(gateway.url).port or 80)
    activators = [(pod["status"]["podIP"], names.GATEWAY_PORT) for pod in pods]
    end = time.monotonic() + CLOSING_S
    closed: Closed | None = None
    while time.monotonic() < end or closed is not None:
        now = time.monotonic()
        if _takes(service) or not all(map(_takes, activators)):
            if closed is not None:
                closed.ended, closed = now, None
        elif closed is None:
            closed = Closed("no endpoints", now - 2 * _LOOK_CLOSELY_S)
            ledger.disturbances.append(closed)
        if now > end + SETTLED_S:
            raise AssertionError("the gateway's Service has no endpoint for a minute")
        time.sleep(_LOOK_CLOSELY_S)


def _takes(address: tuple[str, int]) -> bool:
    """Whether a connection can be made to it."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Swing:
    """A Service whose load rises and falls, so that its pods come and go."""

    service: Deployed
    flows: list[tuple[Flow, float, float]]
    """Each with its rate when the load is high, and when it is low."""
    offset_s: float
    replicas: dict[str, int] = field(default_factory=dict)
    falling: Disturbance | None = None


class Tide:
    """Lets Services swing, in a thread of its own, and counts how often they were scaled down."""

    def __init__(self, ledger: Ledger, swings: list[Swing]) -> None:
        self.scale_downs = 0
        self.largest = 0
        """Pods that were wanted at most."""
        self._ledger = ledger
        self._swings = swings
        self._end = threading.Event()

    @contextmanager
    def rolling(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="tide")
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._end.wait(LOOK_EVERY_S):
            now = time.monotonic()
            for swing in self._swings:
                high = (now - began + swing.offset_s) % (HIGH_S + LOW_S) < HIGH_S
                for flow, most, least in swing.flows:
                    flow.per_s = most if high else least
                if not self._ledger.is_under_way(AWAY):
                    self._look(swing)

    def _look(self, swing: Swing) -> None:
        service, now = swing.service, time.monotonic()
        labels = f"serving.knative.dev/service={service.name}"
        for found in service.cluster.list(DEPLOYMENT, service.namespace, labels):
            name, wanted = found["metadata"]["name"], found["spec"]["replicas"]
            if wanted < swing.replicas.get(name, 0):
                self.scale_downs += 1
                if swing.falling is None:
                    swing.falling = Disturbance(SCALE_DOWN, now)
                    self._ledger.disturbances.append(swing.falling)
            swing.replicas[name] = wanted
            self.largest = max(self.largest, wanted)
        if swing.falling is not None and len(service.all_pods()) <= sum(swing.replicas.values()):
            swing.falling.ended = now
            swing.falling = None
