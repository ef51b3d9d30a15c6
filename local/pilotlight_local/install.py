"""Installing Pilotlight on the embedded cluster, from the manifests that a cluster would get."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pilotlight import names
from pilotlight.config import (
    autoscaler,
    defaults,
    deployment,
    domain,
    features,
    gc,
    leader_election,
    logging,
    network,
    observability,
)
from pilotlight.config.go_values import ConfigError
from pilotlight.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    MUTATING_WEBHOOKS,
    VALIDATING_WEBHOOKS,
    Resource,
)
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.objects import is_true
from pilotlight_local.kubelet.images import component_image, repository
from pilotlight_local.kustomize import build

Object = dict[str, Any]

APPLIED_ANNOTATION: Final = "local.pilotlight.dev/applied"
MANAGER: Final = "pilotlight-local"
_PARSERS: Final[dict[str, Callable[[Mapping[str, str]], object]]] = {
    names.CONFIG_AUTOSCALER: autoscaler.parse,
    names.CONFIG_DEFAULTS: defaults.parse,
    names.CONFIG_DEPLOYMENT: deployment.parse,
    names.CONFIG_DOMAIN: domain.parse,
    names.CONFIG_FEATURES: features.parse,
    names.CONFIG_GC: gc.parse,
    names.CONFIG_LEADER_ELECTION: leader_election.parse,
    names.CONFIG_LOGGING: logging.parse,
    names.CONFIG_NETWORK: network.parse,
    names.CONFIG_OBSERVABILITY: observability.parse,
}
_LATE_KINDS: Final = (MUTATING_WEBHOOKS.kind, VALIDATING_WEBHOOKS.kind)


class InstallError(Exception):
    """Something could not be installed; the text names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What local mode sets in the manifests: the version of the images, the descriptors of the
    gateway's sockets, and values of ConfigMaps by (name, key).
    """

    version: str
    gateway: tuple[int, ...]
    config: Mapping[tuple[str, str], str] = field(default_factory=dict)


def manifests(root: Path, settings: Settings) -> list[Object]:
    """Everything to install, in the order in which it is to be applied: definitions of resources
    first, webhooks last, because what they ask has to run before.
    """
    objects = build(root / "manifests" / "overlays" / "local")
    known = {o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"}
    for name, _ in settings.config:
        if name not in known:
            raise InstallError(f"there is no ConfigMap {name!r}, only {', '.join(sorted(known))}")
    ready = [adapt(obj, settings) for obj in objects]
    _check_config(ready, {name for name, _ in settings.config})
    return sorted(ready, key=_turn)


def _check_config(objects: Iterable[Object], changed: Collection[str]) -> None:
    """Refuse values that the components would only complain of in their logs."""
    for obj in objects:
        name = obj["metadata"]["name"]
        if obj["kind"] != "ConfigMap" or name not in changed or name not in _PARSERS:
            continue
        try:
            _PARSERS[name](obj["data"])
        except ConfigError as error:
            raise InstallError(f"{name} cannot be set so: {error}") from error


def _turn(obj: Object) -> int:
    if obj["kind"] == CUSTOM_RESOURCE_DEFINITIONS.kind:
        return 0
    return 2 if obj["kind"] in _LATE_KINDS else 1


def adapt(obj: Object, settings: Settings) -> Object:
    """An object with local mode's images, gateway and configuration."""
    obj = copy.deepcopy(obj)
    if obj["kind"] == "ConfigMap":
        data = obj.setdefault("data", {})
        for key, value in data.items():
            if component_image(value.strip()) is not None:
                data[key] = f"{repository(value.strip())}:{settings.version}"
        for (name, key), value in settings.config.items():
            if name == obj["metadata"]["name"]:
                data[key] = value
    for container in _containers(obj):
        if component_image(container.get("image", "")) is not None:
            container["image"] = f"{repository(container['image'])}:{settings.version}"
            for entry in container.get("env") or []:
                if component_image(entry.get("value") or "") is not None:
                    entry["value"] = f"{repository(entry['value'])}:{settings.version}"
    if obj["kind"] == "Deployment" and obj["metadata"]["name"] == names.ACTIVATOR:
        for container in _containers(obj):
            _set_variable(container, names.ENV_GATEWAY, ",".join(map(str, settings.gateway)))
    return obj


def _containers(obj: Object) -> list[Object]:
    template = (obj.get("spec") or {}).get("template") if obj["kind"] == "Deployment" else None
    found: list[Object] = ((template or {}).get("spec") or {}).get("containers") or []
    return found


def _set_variable(container: Object, name: str, value: str) -> None:
    variables = container.setdefault("env", [])
    variables[:] = [entry for entry in variables if entry["name"] != name]
    variables.append({"name": name, "value": value})


def fingerprint(obj: Object) -> str:
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def apply_all(cluster: Cluster, objects: Iterable[Object]) -> int:
    """Apply what is not there yet, or was applied otherwise, and return how many. What has been
    changed by somebody since it was applied stays as it is: a restart is no new installation.
    """
    applied = 0
    for obj in objects:
        try:
            applied += await _apply(cluster, obj)
        except ApiError as error:
            what = f"{obj['kind']} {obj['metadata']['name']}"
            raise InstallError(f"{what} cannot be installed: {error.message}") from error
    return applied


async def _apply(cluster: Cluster, obj: Object) -> bool:
    resource = resource_of(cluster, obj)
    metadata = obj["metadata"]
    key = metadata.get("namespace") or "", metadata["name"]
    mark = fingerprint(obj)
    known = cluster.get(resource, *key)
    if known is not None and (
        (known["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION) == mark
    ):
        return False
    annotations = {**(metadata.get("annotations") or {}), APPLIED_ANNOTATION: mark}
    given = {**obj, "metadata": {**metadata, "annotations": annotations}}
    await cluster.patch(resource, *key, given, "apply", manager=MANAGER, force=True)
    return True


def resource_of(cluster: Cluster, obj: Object) -> Resource:
    """The resource that serves an object's kind. Raises InstallError for an unknown one."""
    group, _, version = obj["apiVersion"].rpartition("/")
    served = cluster.registry.by_kind(group, obj["kind"])
    if served is None:
        raise InstallError(f"{obj['kind']} of {obj['apiVersion']} is not known here")
    return Resource(group, version, served.plural, served.kind, served.namespaced)


async def remove_webhooks(cluster: Cluster) -> None:
    """Forget the webhooks of an earlier life: whom they ask does not run yet."""
    for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        for found in cluster.list(resource):
            await cluster.delete(resource, None, found["metadata"]["name"])


def unavailable(cluster: Cluster, objects: Iterable[Object]) -> list[str]:
    """The installed Deployments that are not available (yet)."""
    waiting = []
    for obj in objects:
        if obj["kind"] != "Deployment":
            continue
        metadata = obj["metadata"]
        found = cluster.get(DEPLOYMENTS, metadata.get("namespace"), metadata["name"])
        current = found is not None and (
            (found.get("status") or {}).get("observedGeneration", 0)
            >= found["metadata"].get("generation", 0)
        )
        if not current or found is None or not _serves(found):
            waiting.append(metadata["name"])
    return waiting


def _serves(deployment: Mapping[str, Any]) -> bool:
    status = deployment.get("status") or {}
    return is_true(deployment, "Available") and (
        (status.get("updatedReplicas") or 0)
        == (status.get("availableReplicas") or 0)
        == deployment["spec"].get("replicas", 1)
    )


class Waiter:
    """Waits until a condition on objects holds, looking only when one of them changes."""

    def __init__(self, cluster: Cluster, resources: Iterable[Resource]) -> None:
        self._changed = asyncio.Event()
        self._unsubscribe = [
            cluster.subscribe(resource, lambda *_: self._changed.set()) for resource in resources
        ]

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            for unsubscribe in self._unsubscribe:
                unsubscribe()
        return True
