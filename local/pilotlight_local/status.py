"""What runs in an instance, for `pilotlight local status`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import from_file
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import PODS, SERVICES
from pilotlight_local.directory import Running

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """An instance, its pods and its Services; `problem` says why these could not be read."""

    running: Running
    pods: list[Object]
    services: list[Object]
    problem: str = ""


def collect(running: Running) -> Found:
    """Ask the instance's API."""
    return asyncio.run(_collect(running))


async def _collect(running: Running) -> Found:
    try:
        async with KubeClient(from_file(Path(running.kubeconfig))) as client:
            pods = (await client.list(PODS))["items"]
            services = (await client.list(SERVICES))["items"] if running.ready else []
    except ApiError as error:
        return Found(running, [], [], error.message)
    return Found(running, pods, services)


def to_json(found: Found) -> str:
    document = {
        **asdict(found.running),
        "pods": [_pod(pod) for pod in found.pods],
        "services": [_service(service) for service in found.services],
    }
    if found.problem:
        document["problem"] = found.problem
    return json.dumps(document, indent=2)


def show(found: Found) -> None:
    """Print it for a person."""
    from rich.console import Console
    from rich.table import Table

    running = found.running
    state = "ready" if running.ready else "starting"
    click.echo(f"Pilotlight {running.version} is {state} as process {running.pid}")
    click.echo(f"  gateway     {running.gateway}")
    click.echo(f"  API         {running.api}")
    click.echo(f"  kubeconfig  {running.kubeconfig}")
    if found.problem:
        click.echo(f"  problem     {found.problem}")
    console = Console()
    for title, rows in (
        ("Services", [_service(service) for service in found.services]),
        ("Pods", [_pod(pod) for pod in found.pods]),
    ):
        if not rows:
            continue
        table = Table(title=title, title_justify="left", box=None, header_style="bold")
        for column in rows[0]:
            table.add_column(column)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        console.print()
        console.print(table)


def _pod(pod: Object) -> Object:
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    waiting = next(
        (c["state"]["waiting"]["reason"] for c in containers if "waiting" in c["state"]), None
    )
    ending = "Terminating" if pod["metadata"].get("deletionTimestamp") else None
    return {
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "status": ending or waiting or status.get("phase", "Pending"),
        "ready": f"{sum(c['ready'] for c in containers)}/{len(pod['spec']['containers'])}",
        "restarts": sum(c["restartCount"] for c in containers),
        "ip": status.get("podIP"),
    }


def _service(service: Object) -> Object:
    status = service.get("status") or {}
    conditions: list[Object] = status.get("conditions") or []
    ready = next((c for c in conditions if c["type"] == "Ready"), Object())
    return {
        "namespace": service["metadata"]["namespace"],
        "name": service["metadata"]["name"],
        "url": status.get("url"),
        "ready": ready.get("status", "Unknown"),
        "reason": ready.get("reason"),
    }
