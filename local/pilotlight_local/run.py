"""`pilotlight run`: serve a program of this machine, and follow what it says."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import from_file
from pilotlight.kube.errors import ApiError
from pilotlight.kube.informer import Informer
from pilotlight.kube.resources import PODS, SERVICES
from pilotlight_local.directory import DataDirectory, Running
from pilotlight_local.follow import LogReader, Source, prefix_of
from pilotlight_local.instance import Options
from pilotlight_local.launch import Launched, LaunchError, launch
from pilotlight_local.program import Program, ProgramError, find_program
from pilotlight_local.report import Console

Object = dict[str, Any]

_MANAGER: Final = "pilotlight-run"
_STEP_MS: Final = 50
_DEBOUNCE_MS: Final = 400
_GONE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be served, as it was asked for on the command line."""

    target: str
    arguments: tuple[str, ...] = ()
    name: str | None = None
    namespace: str = "default"
    env: tuple[str, ...] = ()
    watch: bool = False
    container_port: int = 8080
    min_scale: int | None = None
    max_scale: int | None = None
    concurrency: int | None = None


def run_program(options: Options, wish: Wish) -> int:
    """Serve until Ctrl-C; returns the exit code. An instance is started if none is running."""
    try:
        program = find_program(wish.target, wish.arguments, Path.cwd())
        environment = parse_env(wish.env)
    except ProgramError as error:
        raise click.ClickException(str(error)) from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = DataDirectory(options.data_dir).running()
    launched: Launched | None = None
    if running is None or not running.ready:
        try:
            launched = launch(options, Console())
        except LaunchError:
            return 1
        running = DataDirectory(options.data_dir).running()
        if running is None:
            raise click.ClickException("the instance has ended")
    try:
        return asyncio.run(_Run(running, program, wish, environment).run())
    except KeyboardInterrupt:
        return 130
    except ApiError as error:
        raise click.ClickException(error.message) from error
    finally:
        if launched is not None:
            launched.end()


def parse_env(entries: tuple[str, ...]) -> dict[str, str]:
    parsed = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise ProgramError(f"--env {entry!r} must look like NAME=VALUE")
        parsed[name] = value
    return parsed


def manifest(program: Program, wish: Wish, environment: dict[str, str], version: str) -> Object:
    """The Service that serves a program. A new `version` makes a new revision of it."""
    name = wish.name or program.name
    what = {
        "directory": str(program.directory),
        "command": list(program.command),
        "version": version,
    }
    annotations = {names.LOCAL_RUN_ANNOTATION: json.dumps(what)}
    if wish.min_scale is not None:
        annotations[names.MIN_SCALE_ANNOTATION] = str(wish.min_scale)
    if wish.max_scale is not None:
        annotations[names.MAX_SCALE_ANNOTATION] = str(wish.max_scale)
    container: Object = {
        "image": f"local.pilotlight.dev/{name}",
        "ports": [{"containerPort": wish.container_port}],
    }
    if environment:
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    spec: Object = {"containers": [container]}
    if wish.concurrency is not None:
        spec["containerConcurrency"] = wish.concurrency
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {"name": name, "namespace": wish.namespace},
        "spec": {"template": {"metadata": {"annotations": annotations}, "spec": spec}},
    }


def is_ours(service: Object) -> bool:
    """Whether a Service was made by this verb, and not only with its annotation."""
    fields = service["metadata"].get("managedFields") or []
    return any(
        entry.get("manager") == _MANAGER and entry.get("operation") == "Apply" for entry in fields
    )


class _Run:
    def __init__(
        self, running: Running, program: Program, wish: Wish, environment: dict[str, str]
    ) -> None:
        self._running = running
        self._program = program
        self._wish = wish
        self._environment = environment
        self._name = wish.name or program.name
        self._key = (wish.namespace, self._name)
        self._config = from_file(Path(running.kubeconfig))
        self._uid = ""
        self._told = ""
        self._revision = ""
        self._followed: set[tuple[str, str, int]] = set()
        self._pods: dict[str, int] = {}

    async def run(self) -> int:
        async with KubeClient(self._config) as client, LogReader(self._config) as reader:
            await self._refuse_foreign(client)
            await self._deploy(client)
            click.echo(f"{click.style(self._url, bold=True)}  {' '.join(self._program.command)}")
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, stop.set)
            try:
                await self._until(stop, client, reader)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    loop.remove_signal_handler(number)
                await self._remove(client)
        return 0

    @property
    def _url(self) -> str:
        port = self._running.gateway.rpartition(":")[2]
        return f"http://{self._name}.{self._wish.namespace}.localhost:{port}"

    async def _refuse_foreign(self, client: KubeClient) -> None:
        try:
            found = await client.get(SERVICES, *self._key)
        except ApiError as error:
            if error.not_found:
                return
            raise
        if not is_ours(found):
            raise click.ClickException(
                f"Service {self._name!r} is there already and is not of `pilotlight run`: "
                "choose another name with --name"
            )

    async def _deploy(self, client: KubeClient) -> None:
        version = f"{time.time_ns():x}"
        obj = manifest(self._program, self._wish, self._environment, version)
        applied = await client.apply(SERVICES, obj, _MANAGER)
        self._uid = applied["metadata"]["uid"]

    async def _until(self, stop: asyncio.Event, client: KubeClient, reader: LogReader) -> None:
        """Tell what happens until told to stop, or until something of this fails."""
        selector = f"{names.SERVICE_LABEL}={self._name}"
        pods = Informer(client, PODS, namespace=self._wish.namespace, label_selector=selector)
        services = Informer(client, SERVICES, namespace=self._wish.namespace)
        tasks = [
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(pods.run(), name="pods"),
            asyncio.create_task(services.run(), name="services"),
        ]
        logs: set[asyncio.Task[None]] = set()
        pods.on_event(lambda type_, obj, _: self._on_pod(type_, obj, reader, logs))
        services.on_event(lambda type_, obj, _: self._on_service(type_, obj))
        if self._wish.watch:
            tasks.append(asyncio.create_task(self._watch(client), name="files"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in [*tasks, *logs]:
                task.cancel()
            await asyncio.gather(*tasks, *logs, return_exceptions=True)

    def _on_pod(
        self, type_: str, pod: Object, reader: LogReader, logs: set[asyncio.Task[None]]
    ) -> None:
        metadata = pod["metadata"]
        if type_ == "DELETED":
            self._followed = {key for key in self._followed if key[0] != metadata["uid"]}
            self._pods.pop(metadata["uid"], None)
            return
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            key = (metadata["uid"], status["name"], status["restartCount"])
            begun = "running" in status["state"] or "terminated" in status["state"]
            if status["name"] == names.QUEUE_PROXY or not begun or key in self._followed:
                continue
            self._followed.add(key)
            number = self._pods.setdefault(metadata["uid"], len(self._pods))
            prefix = prefix_of(metadata["name"], number)
            source = Source(metadata["namespace"], metadata["name"], status["name"], prefix)
            task = asyncio.create_task(
                reader.read(source, click.echo, follow=True), name=f"log of {source.pod}"
            )
            logs.add(task)
            task.add_done_callback(logs.discard)

    def _on_service(self, type_: str, service: Object) -> None:
        """Say when it is ready, with which revision, or what keeps it from that."""
        if (service["metadata"]["namespace"], service["metadata"]["name"]) != self._key:
            return
        status = service.get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or []}
        ready = conditions.get("Ready", {})
        generation = service["metadata"].get("generation")
        if type_ == "DELETED" or status.get("observedGeneration") != generation:
            return
        revision = status.get("latestReadyRevisionName", "")
        told = ""
        if ready.get("status") == "True" and revision != self._revision:
            self._revision = revision
            told = click.style(f"✓ {revision} is ready", fg="green")
        elif ready.get("status") == "False":
            told = click.style(f"✗ {ready.get('reason')}: {ready.get('message')}", fg="red")
        if told and told != self._told:
            self._told = told
            click.echo(told)

    async def _watch(self, client: KubeClient) -> None:
        import watchfiles

        directory = self._program.directory
        click.echo(f"watching {directory} for changes")
        async for changes in watchfiles.awatch(directory, debounce=_DEBOUNCE_MS, step=_STEP_MS):
            paths = sorted(path.removeprefix(f"{directory}/") for _, path in changes)
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            click.echo(f"{paths[0]}{more} changed: deploying")
            try:
                await self._deploy(client)
            except ApiError as error:
                click.echo(click.style(f"✗ {error.message}", fg="red"))

    async def _remove(self, client: KubeClient) -> None:
        try:
            async with asyncio.timeout(_GONE_S):
                await client.delete(SERVICES, *self._key, self._uid)
                click.echo(f"removed Service {self._name}")
        except (ApiError, TimeoutError):
            pass  # somebody else has removed it, or the instance has ended
