"""One container's life: started, probed, ended, started again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from pilotlight import names
from pilotlight_local.events import NORMAL, WARNING
from pilotlight_local.kubelet import probes
from pilotlight_local.kubelet.backoff import Backoff
from pilotlight_local.kubelet.capture import run_captured
from pilotlight_local.kubelet.ending import Deadline, bounded, end_process
from pilotlight_local.kubelet.environment import (
    ConfigurationError,
    Facts,
    Object,
    command_line,
    environment,
)
from pilotlight_local.kubelet.images import Image, ImageError, parse_annotation
from pilotlight_local.kubelet.logs import LogFile, OutputPump, last_text
from pilotlight_local.kubelet.node import Node
from pilotlight_local.kubelet.probes import Kind, ProbeCourse, ProbeSpec, Target
from pilotlight_local.kubelet.processes import Command, Process, SpawnError
from pilotlight_local.kubelet.state import (
    ContainerState,
    Running,
    Terminated,
    Waiting,
    should_restart,
)
from pilotlight_local.kubelet.volumes import mount_variables

_log: Final = logging.getLogger("kubelet")
_HOOK_S: Final = 30.0
_PRE_STOP_S: Final = 3600.0  # its real limit is the grace period
_DRAIN_S: Final = 0.5
_RETRY_CONFIGURATION_S: Final = 5.0
_PULL_PAUSE_S: Final = 0.2
_MESSAGE_BYTES: Final = 2048
_MESSAGE_LINES: Final = 80
_START_ERROR_CODE: Final = 128


class Surroundings(Protocol):
    """The container's view of its pod."""

    @property
    def node(self) -> Node: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def restart_policy(self) -> str: ...
    @property
    def directories(self) -> Mapping[str, Path]: ...
    @property
    def own_ports(self) -> frozenset[int]: ...
    @property
    def pod(self) -> Object: ...
    def changed(self) -> None: ...
    def event(self, type_: str, reason: str, message: str, container: str = "") -> None: ...


class Container:
    """Runs one container of a pod. `state` is always current; the pod is told of each change."""

    def __init__(self, spec: Object, pod: Surroundings, *, init: bool = False) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.state = ContainerState(self.name, spec.get("image", ""))
        self.attempted = asyncio.Event()
        self._pod = pod
        self._policy = self._restart_policy(init)
        self._process: Process | None = None
        self._environment: dict[str, str] = {}
        self._directory = "/"
        self._stopping = False
        self._wake = asyncio.Event()
        self._crashes = Backoff()
        self._pulls = Backoff(first_s=0.5, most_s=5.0)
        self._target = Target(
            pod.facts.pod_ip,
            {p["name"]: p["containerPort"] for p in spec.get("ports") or [] if p.get("name")},
            pod.own_ports,
        )

    def _restart_policy(self, init: bool) -> str:
        if init and self._pod.restart_policy == "Always":
            return str(self.spec.get("restartPolicy") or "OnFailure")
        return self._pod.restart_policy

    async def run(self) -> None:
        """Start it, and again as often as its restart policy says; returns when it is over."""
        try:
            while not self._stopping:
                pause = await self._live_once()
                self.attempted.set()
                if pause is None:
                    return
                await self._pause(pause)
        finally:
            self.attempted.set()
            self._kill()

    async def terminate(self, deadline: Deadline) -> None:
        """End it for good: preStop, SIGTERM, and SIGKILL at `deadline()` (loop time)."""
        self._stopping = True
        self._wake.set()
        if self._process is not None:
            self._pod.event(NORMAL, "Killing", f"Stopping container {self.name}", self.name)
            await self._end(self._process, deadline)

    def reconsider(self) -> None:
        """Something that the container may be waiting for has changed."""
        if isinstance(self.state.status, Waiting) and self.state.status.reason in (
            "CreateContainerConfigError",
        ):
            self._wake.set()

    async def _live_once(self) -> float | None:
        """One start and all that follows. Returns the pause before the next, None for none."""
        try:
            command, image = self._command()
        except ImageError as error:
            return await self._pull_failed(str(error))
        except ConfigurationError as error:
            return self._configuration_failed(str(error))
        self._pulls = Backoff(first_s=0.5, most_s=5.0)
        ended = await self._run_process(command, image)
        self._set(self.state.ended(ended))
        if self._stopping or not should_restart(self._policy, ended.exit_code):
            return None
        pause = self._crashes.next(ended.finished_at - ended.started_at)
        if pause:
            self._set(self.state.waiting("CrashLoopBackOff", self._back_off_text(pause)))
            text = f"Back-off restarting failed container {self.name} in pod {self._pod_name()}"
            self._pod.event(WARNING, "BackOff", text, self.name)
        self._set(self.state.restarting())
        return pause

    def _back_off_text(self, pause: float) -> str:
        uid = self._pod.pod["metadata"]["uid"]
        return (
            f"back-off {pause:g}s restarting failed container={self.name} "
            f"pod={self._pod_name()}({uid})"
        )

    def _pod_name(self) -> str:
        metadata = self._pod.pod["metadata"]
        return f"{metadata['name']}_{metadata.get('namespace', '')}"

    def _command(self) -> tuple[Command, Image]:
        image = self._image()
        node, pod = self._pod.node, self._pod
        base = {
            **node.environment,
            **(self._account() if image.component else {}),
            "HOSTNAME": pod.pod["metadata"]["name"],
            names.ENV_BIND: pod.facts.pod_ip,
            **mount_variables(self.spec, pod.directories),
            **image.environment,
        }
        sources = node.sources(pod.pod["metadata"].get("namespace", ""))
        self._environment = environment(pod.pod, self.spec, pod.facts, sources, base)
        argv = command_line(self.spec, image.command, self._environment)
        if not argv:
            raise ImageError(f"image {self.state.image!r} has no command, nor has the container")
        directory = os.path.join(image.directory, self.spec.get("workingDir") or "")
        self._directory = directory
        is_gateway = image.component and names.ENV_GATEWAY in self._environment
        inherits = node.gateway if is_gateway else ()
        return Command(argv, self._environment, directory, inherits), image

    def _account(self) -> Mapping[str, str]:
        """What lets the container speak to the API, where its pod has a token."""
        metadata, spec = self._pod.pod["metadata"], self._pod.pod["spec"]
        if spec.get("automountServiceAccountToken") is False:
            return {}
        name = spec.get("serviceAccountName") or "default"
        return self._pod.node.account_environment(metadata.get("namespace", ""), name)

    def _image(self) -> Image:
        annotation = (self._pod.pod["metadata"].get("annotations") or {}).get(
            names.LOCAL_RUN_ANNOTATION
        )
        if annotation and self.name != names.QUEUE_PROXY:
            return parse_annotation(annotation)
        return self._pod.node.images.find(self.state.image)

    async def _pull_failed(self, message: str) -> float:
        image = self.state.image
        first = not isinstance(self.state.status, Waiting) or (
            self.state.status.reason != "ImagePullBackOff"
        )
        self._pod.event(WARNING, "Failed", f'Failed to pull image "{image}": {message}', self.name)
        self._pod.event(WARNING, "Failed", "Error: ErrImagePull", self.name)
        if first:
            self._set(self.state.waiting("ErrImagePull", message))
            self.attempted.set()
            await self._pause(_PULL_PAUSE_S)
        text = f'Back-off pulling image "{image}": {message}'
        self._set(self.state.waiting("ImagePullBackOff", text))
        self._pod.event(NORMAL, "BackOff", f'Back-off pulling image "{image}"', self.name)
        return self._pulls.next(0.0)

    def _configuration_failed(self, message: str) -> float:
        self._set(self.state.waiting("CreateContainerConfigError", message))
        self._pod.event(WARNING, "Failed", f"Error: {message}", self.name)
        return _RETRY_CONFIGURATION_S

    async def _run_process(self, command: Command, image: Image) -> Terminated:
        uid = self._pod.pod["metadata"]["uid"]
        log = self._pod.node.logs.create(uid, self.name, self.state.restarts)
        pump = OutputPump(log)
        outputs = pump.open()
        begun = time.time()
        try:
            process = await self._pod.node.supervisor.spawn(command, *outputs)
        except SpawnError as error:
            pump.close()
            return self._start_failed(str(error), begun)
        except BaseException:
            pump.close()
            raise
        finally:
            for fd in outputs:
                os.close(fd)
        self._process = process
        if self._stopping:  # it was asked to end while it was being born, and has done nothing yet
            process.signal(signal.SIGKILL)
        try:
            self._on_started(process, image)
            return await self._attend(process, pump, log, begun)
        finally:
            process.signal(signal.SIGKILL)
            self._process = None
            pump.close()

    def _start_failed(self, message: str, begun: float) -> Terminated:
        text = f"failed to start container {self.name!r}: {message}"
        self._pod.event(WARNING, "Failed", f"Error: {text}", self.name)
        return Terminated(_START_ERROR_CODE, "StartError", begun, time.time(), message=text)

    def _on_started(self, process: Process, image: Image) -> None:
        self._set(
            self.state.running(
                time.time(),
                f"process://{process.ident}",
                started="startupProbe" not in self.spec,
                ready="readinessProbe" not in self.spec,
            )
        )
        what = self.state.image
        where = "is part of this installation" if image.component else f"means {image.directory}"
        self._pod.event(NORMAL, "Pulled", f'Image "{what}" {where}', self.name)
        self._pod.event(NORMAL, "Created", f"Created container: {self.name}", self.name)
        text = f"Started container {self.name} as process {process.pid}"
        self._pod.event(NORMAL, "Started", text, self.name)

    async def _attend(
        self, process: Process, pump: OutputPump, log: LogFile, begun: float
    ) -> Terminated:
        """Probe a process until it ends, and say how it did."""
        self.attempted.set()
        tasks = [
            asyncio.create_task(self._post_start(process), name=f"post-start {self.name}"),
            asyncio.create_task(self._probe_all(process), name=f"probes {self.name}"),
        ]
        try:
            ended = await asyncio.shield(process.ended)
        finally:
            await _cancel(tasks)
        finished = time.time()
        await pump.drain(_DRAIN_S)
        message = ""
        if ended.code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = last_text(log.path, _MESSAGE_BYTES, _MESSAGE_LINES)
        reason = "Error" if ended.code else "Completed"
        ident = self.state.container_id
        return Terminated(ended.code, reason, begun, finished, ended.signal, message, ident)

    async def _post_start(self, process: Process) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if not hook:
            return
        passed, why = await self._hook(hook, _HOOK_S)
        if not passed:
            self._pod.event(WARNING, "FailedPostStartHook", f"PostStartHook failed: {why}")
            await self._end(process, self._own_deadline())

    async def _probe_all(self, process: Process) -> None:
        now = asyncio.get_running_loop().time()
        specs = {
            kind: ProbeSpec.parse(kind, self.spec[field])
            for kind, field in (
                (Kind.STARTUP, "startupProbe"),
                (Kind.READINESS, "readinessProbe"),
                (Kind.LIVENESS, "livenessProbe"),
            )
            if self.spec.get(field)
        }
        startup = specs.pop(Kind.STARTUP, None)
        if startup is not None and not await self._probe(ProbeCourse(startup, now), process):
            return
        async with asyncio.TaskGroup() as group:
            for spec in specs.values():
                name = f"{spec.kind.value} probe {self.name}"
                group.create_task(self._probe(ProbeCourse(spec, now), process), name=name)

    async def _probe(self, course: ProbeCourse, process: Process) -> bool:
        """Look until the process ends. The startup probe returns at its verdict."""
        loop = asyncio.get_running_loop()
        spec = course.spec
        due = course.first_look()
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            passed, why = await probes.ask(
                spec.handler, self._target, spec.timeout_s, self._run_command
            )
            if course.take(passed, loop.time()) and not passed:
                text = f"{spec.kind.value} probe failed: {why}"
                self._pod.event(WARNING, "Unhealthy", text, self.name)
            self._apply(course)
            if spec.kind is Kind.STARTUP and course.passing:
                return True
            if spec.kind is not Kind.READINESS and course.passing is False:
                await self._unhealthy(spec.kind, process)
                return False
            due = course.next_look(loop.time())

    def _apply(self, course: ProbeCourse) -> None:
        if not isinstance(self.state.status, Running):
            return
        state = self.state
        if course.spec.kind is Kind.STARTUP and course.passing:
            state = replace(state, started=True, ready="readinessProbe" not in self.spec)
        elif course.spec.kind is Kind.READINESS and course.passing is not None:
            state = replace(state, ready=course.passing)
        self._set(state)

    async def _unhealthy(self, kind: Kind, process: Process) -> None:
        text = f"Container {self.name} failed {kind.value.lower()} probe, will be restarted"
        self._pod.event(NORMAL, "Killing", text, self.name)
        await self._end(process, self._own_deadline())

    def _own_deadline(self) -> Deadline:
        grace = self._pod.pod["spec"].get("terminationGracePeriodSeconds", 30)
        end = asyncio.get_running_loop().time() + grace
        return lambda: end

    async def _end(self, process: Process, deadline: Deadline) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook:
            passed, why = await bounded(self._hook(hook, _PRE_STOP_S), process, deadline)
            if not passed:
                self._pod.event(WARNING, "FailedPreStopHook", f"PreStopHook failed: {why}")
        await end_process(process, deadline)

    async def _hook(self, hook: Object, timeout: float) -> tuple[bool, str]:
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
            return True, ""
        return await probes.ask(hook, self._target, timeout, self._run_command)

    async def _run_command(self, argv: list[str], timeout: float) -> tuple[int, str]:
        """Run a command beside the container, as exec probes and hooks do."""
        return await run_captured(
            self._pod.node.supervisor,
            Command(tuple(argv), self._environment, self._directory),
            timeout,
        )

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        if seconds and not self._stopping:
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                pass

    def _kill(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    def _set(self, state: ContainerState) -> None:
        if state != self.state:
            self.state = state
            self._pod.changed()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.error("a container's task failed", exc_info=outcome)
