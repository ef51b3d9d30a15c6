"""What is kept of a test that failed: logs and objects, below `e2e-artifacts/<test>/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kubernetes.client.exceptions import ApiException

from e2e.harness import (
    AUTOSCALER,
    CONFIGURATION,
    DEPLOYMENT,
    INGRESS,
    NAMESPACE,
    POD,
    REVISION,
    ROUTE,
    SERVICE,
    SYSTEM,
    Cluster,
    Kind,
    Object,
)
from pilotlight.cli.instance import LocalInstance

ARTIFACTS: Final = Path(__file__).parents[1] / "e2e-artifacts"
KINDS: Final[tuple[Kind, ...]] = (
    *(SERVICE, CONFIGURATION, ROUTE, REVISION, AUTOSCALER, INGRESS, DEPLOYMENT, POD),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("v1", "Event"),
)
_LONGEST_LOG: Final = 256 * 1024
_LINES: Final = 2000


def folder_of(test: str) -> Path:
    folder = ARTIFACTS / "".join(c if c.isalnum() else "-" for c in test)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep_files(local: LocalInstance, test: str) -> None:
    """Copy the end of every log of an instance of local mode."""
    folder = folder_of(test)
    for log in local.logs.rglob("*"):
        if log.is_file():
            name = "_".join(log.relative_to(local.logs).parts)
            (folder / name).write_bytes(log.read_bytes()[-_LONGEST_LOG:])
    (folder / "about.json").write_text(json.dumps({"test": test, "logs": str(local.logs)}))


def keep_objects(cluster: Cluster, prefix: str, test: str) -> None:
    """Write the objects and the pods' logs of the system's namespace, and of those whose names
    begin with `prefix`.
    """
    folder = folder_of(test)
    names = [str(found["metadata"]["name"]) for found in cluster.list(NAMESPACE, None)]
    for namespace in (*(name for name in names if name.startswith(prefix)), SYSTEM):
        found = {
            f"{kind[1]}s": cluster.list(kind, namespace)
            for kind in (KINDS if namespace != SYSTEM else (DEPLOYMENT, POD, ("v1", "Event")))
        }
        (folder / f"{namespace}.json").write_text(json.dumps(found, indent=1, default=str))
        for pod in found["Pods"]:
            for name, log in _logs(cluster, namespace, pod):
                (folder / name).write_text(log)


def _logs(cluster: Cluster, namespace: str, pod: Object) -> Iterator[tuple[str, str]]:
    name = pod["metadata"]["name"]
    for container in pod["spec"]["containers"]:
        for previous in (False, True):
            try:
                log = cluster.core.read_namespaced_pod_log(
                    name,
                    namespace,
                    container=container["name"],
                    previous=previous,
                    tail_lines=_LINES,
                )
            except ApiException:
                continue  # it has not started, or has no run before this one
            suffix = ".previous" if previous else ""
            yield f"{namespace}_{name}_{container['name']}{suffix}.log", log
