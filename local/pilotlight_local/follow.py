"""Logs of pods through the API, for people."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig, from_file
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import PODS
from pilotlight_local.directory import Running

Object = dict[str, Any]
Print = Callable[[str], None]

_COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue", "bright_red")
_COMPONENTS: Final = (names.OPERATOR, names.AUTOSCALER, names.ACTIVATOR)
_OWN: Final = "local"
_FOLLOW_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Source:
    """A container's log, and how its lines are marked."""

    namespace: str
    pod: str
    container: str
    prefix: str = ""


class LogReader:
    """Reads logs over HTTP, so that it sees what kubectl would see."""

    def __init__(self, config: KubeConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> LogReader:
        ssl_context = self._config.ssl_context()
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl_context if ssl_context else True)
        headers = {"Authorization": f"Bearer {self._config.bearer()}"}
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(
        self, source: Source, show: Print, *, follow: bool, tail: int | None = None
    ) -> None:
        """Print a log's lines, with `follow` until the container ends. Nothing if there is none."""
        if self._session is None:
            raise RuntimeError("the reader is not open")
        params = {"container": source.container, "follow": str(follow).lower()}
        if tail is not None:
            params["tailLines"] = str(tail)
        url = self._config.server + PODS.path(source.namespace, source.pod) + "/log"
        try:
            async with self._session.get(url, params=params) as response:
                if response.status != 200:
                    return
                async for line in response.content:
                    show(source.prefix + line.decode(errors="replace").rstrip("\n"))
        except aiohttp.ClientError:
            return  # the pod or the server has gone


def prefix_of(pod: str, number: int) -> str:
    return click.style(f"{pod} | ", fg=_COLOURS[number % len(_COLOURS)])


def show_logs(
    running: Running, target: str | None, container: str | None, *, follow: bool, tail: int
) -> None:
    """Print logs of the instance itself, of components or of a pod."""
    if target in (None, _OWN):
        _show_own(Path(running.data_dir) / "logs" / "local.log", target is None, tail)
        if target == _OWN:
            if follow:
                _follow_own(Path(running.data_dir) / "logs" / "local.log")
            return
    asyncio.run(_show_pods(running, target, container, follow=follow, tail=tail))


def _show_own(path: Path, mark: bool, tail: int) -> None:
    prefix = prefix_of(_OWN, len(_COLOURS) - 1) if mark else ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in deque(file, maxlen=tail):
                click.echo(prefix + line.rstrip("\n"))
    except OSError:
        return


def _follow_own(path: Path) -> None:
    """This file belongs to another process, which cannot be asked: look at it now and then."""

    async def look() -> None:
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(0, 2)
            while True:
                if line := file.readline():
                    click.echo(line.rstrip("\n"))
                else:
                    await asyncio.sleep(_FOLLOW_PAUSE_S)

    try:
        asyncio.run(look())
    except KeyboardInterrupt:
        sys.exit(0)


async def _show_pods(
    running: Running, target: str | None, container: str | None, *, follow: bool, tail: int
) -> None:
    config = from_file(Path(running.kubeconfig))
    async with KubeClient(config) as client, LogReader(config) as reader:
        sources = await _sources(client, target, container)
        async with asyncio.TaskGroup() as group:
            for source in sources:
                reading = reader.read(source, click.echo, follow=follow, tail=tail)
                if follow:
                    group.create_task(reading, name=f"log of {source.pod}")
                else:
                    await reading


async def _sources(client: KubeClient, target: str | None, container: str | None) -> list[Source]:
    try:
        if target is not None and "/" in target:
            namespace, _, name = target.partition("/")
            pods = [await client.get(PODS, namespace, name)]
        else:
            pods = await _component_pods(client, target)
    except ApiError as error:
        raise click.ClickException(error.message) from error
    found = []
    for number, pod in enumerate(pods):
        metadata = pod["metadata"]
        wanted = [c["name"] for c in pod["spec"]["containers"] if container in (None, c["name"])]
        for name in wanted:
            single = len(pods) == 1 and len(wanted) == 1
            label = f"{metadata['name']}/{name}" if len(wanted) > 1 else metadata["name"]
            prefix = "" if single else prefix_of(label, number)
            found.append(Source(metadata["namespace"], metadata["name"], name, prefix))
    return found


async def _component_pods(client: KubeClient, component: str | None) -> list[Object]:
    pods: list[Object] = (await client.list(PODS, names.SYSTEM_NAMESPACE))["items"]
    wanted = _COMPONENTS if component is None else (component,)
    found = [
        pod for pod in pods if (pod["metadata"].get("labels") or {}).get(names.APP_LABEL) in wanted
    ]
    if component is not None and not found:
        known = ", ".join([*_COMPONENTS, _OWN])
        raise click.ClickException(
            f"there is no component {component!r} ({known}); a pod is given as NAMESPACE/POD"
        )
    return found
