"""What only local mode can tell: which process is which, and what outlives it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from e2e.harness import POD, SYSTEM, Cluster, Deployed, Object, wait_until
from pilotlight.cli.instance import command_line

_EVERY_S: Final = 0.05
_LISTEN: Final = "0A"  # of /proc/net/tcp


def processes_of(pod: Object) -> dict[int, str]:
    """The processes of a pod with their command lines: they were told its address to bind to."""
    address = pod["status"]["podIP"]
    wanted = f"PILOTLIGHT_BIND={address}".encode()
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        line = command_line(int(entry.name))
        if wanted in environment and line is not None:
            found[int(entry.name)] = line
    return found


def component_pod(cluster: Cluster, component: str) -> Object:
    """The pod of the operator, the autoscaler or the activator."""
    pods = [
        pod
        for pod in cluster.list(POD, SYSTEM)
        if pod["metadata"]["name"].startswith(f"{component}-")
        and "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("podIP")
    ]
    assert len(pods) == 1, [pod["metadata"]["name"] for pod in pods]
    return pods[0]


def component_process(cluster: Cluster, component: str) -> int:
    """The process id of a component, once there is exactly one that was started as it."""

    def look() -> list[int]:
        return module_processes(component_pod(cluster, component), component)

    return wait_until(look, 10.0, f"a process of the {component}")[0]


def module_processes(pod: Object, component: str) -> list[int]:
    """The processes of a pod that were started as a component."""
    module = f"pilotlight_{component.replace('-', '_')}"
    return [pid for pid, line in processes_of(pod).items() if module in line]


def container_process(service: Deployed, word: str) -> int:
    """The process id in the Service's only pod whose command line has `word` in it."""
    # A Service is ready by its pod's own word, a moment before the API calls the pod so.
    (pod,) = wait_until(service.ready_pods, 10.0, "a ready pod")
    found = [pid for pid, line in processes_of(pod).items() if word in line]
    assert len(found) == 1, processes_of(pod)
    return found[0]


def listening_ports(pid: int, address: str) -> set[int]:
    """The TCP ports of `address` on which a process listens."""
    sockets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        host, port = local.split(":")
        numbers = ".".join(str(byte) for byte in reversed(bytes.fromhex(host)))
        if state == _LISTEN and numbers == address and f"socket:[{inode}]" in sockets:
            found.add(int(port, 16))
    return found


def wait_gone(pid: int, within_s: float = 10.0) -> None:
    wait_until(lambda: command_line(pid) is None, within_s, f"process {pid} has ended")


def send(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)


@dataclass(slots=True)
class Timeline:
    """Answers to one request after another, and when they came."""

    answers: list[tuple[float, bool, str]] = field(default_factory=list)

    def bad_after(self, moment: float) -> list[tuple[float, str]]:
        """The failures after `moment`, in seconds since it."""
        return [(at - moment, what) for at, good, what in self.answers if at > moment and not good]

    def good_since(self, moment: float) -> bool:
        """Whether there are answers after `moment`, and all of them are good."""
        later = [good for at, good, _ in self.answers if at > moment]
        return bool(later) and all(later)


@contextmanager
def asking(service: Deployed) -> Iterator[Timeline]:
    """Ask a Service every 50 ms while the block runs, and for one answer after it."""
    timeline, host, end = Timeline(), service.host, threading.Event()
    gateway = replace(service.gateway, timeout_s=10.0)

    def ask() -> None:
        while not end.is_set():
            started = time.monotonic()
            try:
                answer = gateway.ask(host)
                good, what = answer.status == 200, f"{answer.status} {answer.text[:200]}"
            except OSError as error:
                good, what = False, repr(error)
            timeline.answers.append((started, good, what))
            end.wait(_EVERY_S)

    thread = threading.Thread(target=ask, name="asking")
    thread.start()
    try:
        yield timeline
    finally:
        end.set()
        thread.join()
