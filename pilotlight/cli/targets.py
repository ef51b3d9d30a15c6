"""`pilotlight targets`: what Prometheus is to scrape, for one that cannot ask Kubernetes itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.config import KubeConfigError, from_environment, from_file
from pilotlight.kube.informer import Informer
from pilotlight.kube.resources import PODS
from pilotlight.names import SYSTEM_NAMESPACE

COMPONENT_PORT: Final = "admin"
PROXY_PORT: Final = "http-usermetric"

Group = dict[str, Any]


@click.command(short_help="Keep a file current with what Prometheus is to scrape.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The Kubernetes to look at; else $KUBECONFIG, else ~/.kube/config.",
)
@click.option("--once", is_flag=True, help="Write it and end, do not follow.")
def targets(file: Path, kubeconfig: Path | None, once: bool) -> None:
    """Keep FILE current with what Prometheus is to scrape, in the format of its file discovery:
    every component, and the proxy beside every program. Goes on until Ctrl-C.
    """
    try:
        config = from_environment() if kubeconfig is None else from_file(kubeconfig)
    except (KubeConfigError, OSError) as error:
        raise click.ClickException(str(error)) from error
    asyncio.run(_follow(KubeClient(config), file, once))


def targets_of(pods: Iterable[Object]) -> list[Group]:
    """Target groups of Prometheus' file discovery, one for each address, in the order of these."""
    groups = [
        {"targets": [address], "labels": labels} for pod in pods for address, labels in _ports(pod)
    ]
    return sorted(groups, key=lambda group: group["targets"])


def _ports(pod: Object) -> Iterator[tuple[str, dict[str, str]]]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    address = status.get("podIP")
    if not address or status.get("phase") != "Running":
        return
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if _wanted(port.get("name"), metadata["namespace"]):
                labels = {
                    "namespace": metadata["namespace"],
                    "pod": metadata["name"],
                    "container": container["name"],
                }
                yield f"{address}:{port['containerPort']}", labels


def _wanted(port: str | None, namespace: str) -> bool:
    return port == PROXY_PORT or (port == COMPONENT_PORT and namespace == SYSTEM_NAMESPACE)


async def _follow(client: KubeClient, file: Path, once: bool) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with client:
        informer = Informer(client, PODS)
        informer.on_event(lambda *_: changed.set())
        following = asyncio.create_task(informer.run(), name="pods")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait(
                [asyncio.create_task(informer.synced(), name="synced"), stopping],
                return_when=asyncio.FIRST_COMPLETED,
            )
            while not stop.is_set():
                changed.clear()
                _write(file, targets_of(informer.items.values()))
                if once:
                    break
                change = asyncio.create_task(changed.wait(), name="change")
                await asyncio.wait([change, stopping], return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
        finally:
            stopping.cancel()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


def _write(file: Path, groups: list[Group]) -> None:
    """At once, so that Prometheus never reads half a list."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(groups, indent=1) + "\n")
    fresh.replace(file)


if __name__ == "__main__":
    targets()
