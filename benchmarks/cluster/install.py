"""From `kubectl apply` to everything ready, on a cluster that has no Pilotlight yet."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from benchmarks.cluster.bed import since
from benchmarks.results import CaseError, Row, row
from pilotlight.cli.cluster import wait_for
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES
from pilotlight.names import CONFIG_DOMAIN, SYSTEM_NAMESPACE

CASE: Final = "install to ready"
OURS: Final = "pilotlight"
_DOMAIN: Final = "example.com"
_READY_S: Final = 180.0
_KUBECTL_S: Final = 120.0


async def install(kube: KubeClient, folder: str) -> list[Row]:
    """Apply a folder of manifests; every Deployment has its replicas ready. It stays installed."""
    if await _is_there(kube):
        raise CaseError(f"{CASE}: there is a namespace {SYSTEM_NAMESPACE} already")
    started = time.monotonic()
    await _kubectl("apply", "-k", folder)
    await wait_for(lambda: _all_ready(kube), _READY_S, lambda: _describe(kube))
    rows = [row(CASE, OURS, "ready_ms", "ms", [since(started)])]
    await _give_domain(kube)
    return rows


def is_rolled_out(deployment: Object) -> bool:
    """Whether the Deployment as it is now has all its replicas, and they are ready."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("readyReplicas", 0) == wanted
    )


async def _give_domain(kube: KubeClient) -> None:
    """Without a domain Services are not reached from outside: the other cases need one."""
    found = await kube.get(CONFIG_MAPS, SYSTEM_NAMESPACE, CONFIG_DOMAIN)
    if not set(found.get("data") or {}) - {"_example"}:
        patch = {"data": {_DOMAIN: ""}}
        await kube.patch(CONFIG_MAPS, (SYSTEM_NAMESPACE, CONFIG_DOMAIN), patch)


async def _is_there(kube: KubeClient) -> bool:
    try:
        await kube.get(NAMESPACES, None, SYSTEM_NAMESPACE)
    except ApiError as error:
        if error.not_found:
            return False
        raise
    return True


async def _all_ready(kube: KubeClient) -> bool:
    found = (await kube.list(DEPLOYMENTS, SYSTEM_NAMESPACE))["items"]
    return bool(found) and all(map(is_rolled_out, found))


async def _describe(kube: KubeClient) -> str:
    found = (await kube.list(DEPLOYMENTS, SYSTEM_NAMESPACE))["items"]
    return ", ".join(one["metadata"]["name"] for one in found if not is_rolled_out(one))


async def _kubectl(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "kubectl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_KUBECTL_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CaseError(f"kubectl {' '.join(arguments)}: {output.decode().strip()}")
