"""What the API shows: PodAutoscalers, Deployments, pods and the cluster's settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pilotlight import names
from pilotlight.config import autoscaler as autoscaler_config
from pilotlight.config import leader_election
from pilotlight.config.go_values import ConfigError, Keys
from pilotlight.config.leader_election import LeaderElection
from pilotlight.kube.client import KubeClient
from pilotlight.kube.informer import Change, Informer
from pilotlight.kube.resources import CONFIG_MAPS, DEPLOYMENTS, POD_AUTOSCALERS, PODS
from pilotlight_autoscaler.control import Control, Settings
from pilotlight_autoscaler.settings import DEFAULT_PROGRESS_DEADLINE_S

_log: Final = logging.getLogger("watch")

Object = dict[str, Any]
T = TypeVar("T")


class Watches:
    """Follows the API and tells the control. PodAutoscalers are taken in only when everything
    about them is there: settings, replicas and pods."""

    def __init__(self, client: KubeClient, control: Control, namespace: str) -> None:
        self._control = control
        self.complete = asyncio.Event()
        """Set when everything has been read once."""
        self.election = LeaderElection()
        self._configs: dict[str, Any] = {}
        self.config_errors: dict[str, str] = {}
        """By ConfigMap: why its present content is not used."""
        self._autoscalers = Informer(client, POD_AUTOSCALERS)
        self._deployments = Informer(client, DEPLOYMENTS, label_selector=names.REVISION_LABEL)
        self._pods = Informer(client, PODS, label_selector=names.REVISION_LABEL)
        self._config_maps = Informer(client, CONFIG_MAPS, namespace=namespace)
        self._autoscalers.on_event(self._on_autoscaler)
        self._deployments.on_event(self._on_deployment)
        self._pods.on_event(self._on_pod)
        self._config_maps.on_event(self._on_config_map)

    @property
    def trouble(self) -> str | None:
        """Which resource cannot be followed at present."""
        if not self.complete.is_set():
            return "the API has not been read yet"
        for informer in self._informers():
            if not informer.connected:
                return f"{informer.resource.plural} cannot be followed"
        return None

    async def run(self) -> None:
        """Follow the API until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers():
                group.create_task(informer.run(), name=f"watch of {informer.resource.plural}")
            for informer in self._informers():
                await informer.synced()
            self.complete.set()
            for obj in list(self._autoscalers.items.values()):
                self._on_autoscaler("ADDED", obj, None)
            _log.info("the API was read", extra={"revisions": len(self._control.targets)})

    def check(self) -> None:
        """Tell the control whether what the API showed is still current."""
        self._control.api_current = self._pods.connected

    def _informers(self) -> tuple[Informer, ...]:
        return self._config_maps, self._deployments, self._pods, self._autoscalers

    def _on_autoscaler(self, change: Change, obj: Object, _: Object | None) -> None:
        if not self.complete.is_set():
            return
        key = _key(obj["metadata"], obj["metadata"]["name"])
        notes = obj["metadata"].get("annotations") or {}
        default = self._control.settings.autoscaler.pod_autoscaler_class
        ours = notes.get(names.CLASS_ANNOTATION, default) == names.KPA_CLASS
        if ours and change != "DELETED" and not obj["metadata"].get("deletionTimestamp"):
            self._control.see_autoscaler(key, obj)
        else:
            self._control.lose_autoscaler(key)

    def _on_deployment(self, change: Change, obj: Object, _: Object | None) -> None:
        metadata = obj["metadata"]
        key = _key(metadata, metadata["labels"][names.REVISION_LABEL])
        replicas = (obj.get("spec") or {}).get("replicas")
        gone = change == "DELETED"
        self._control.see_replicas(
            key, None if gone else 1 if replicas is None else replicas, metadata["resourceVersion"]
        )

    def _on_pod(self, change: Change, obj: Object, _: Object | None) -> None:
        metadata = obj["metadata"]
        key = _key(metadata, metadata["labels"][names.REVISION_LABEL])
        fleet = self._control.fleet(key)
        if change == "DELETED":
            fleet.forget(metadata["name"])
        else:
            fleet.see(obj)
        self._control.see_pods(key)

    def _on_config_map(self, change: Change, obj: Object, _: Object | None) -> None:
        name = obj["metadata"]["name"]
        data = {} if change == "DELETED" else obj.get("data") or {}
        if name == names.CONFIG_LEADER_ELECTION:
            self.election = self._parsed(name, leader_election.parse, data, self.election)
        if name not in (names.CONFIG_AUTOSCALER, names.CONFIG_DEPLOYMENT):
            return
        current = self._control.settings
        autoscaler, deadline_s = current.autoscaler, current.progress_deadline_s
        if name == names.CONFIG_AUTOSCALER:
            autoscaler = self._parsed(name, autoscaler_config.parse, data, autoscaler)
        else:
            deadline_s = self._parsed(name, _progress_deadline, data, deadline_s)
        settings = Settings(autoscaler, deadline_s)
        if settings != current:
            _log.info("settings changed", extra={"config": name})
            self._control.see_settings(settings)

    def _parsed(
        self, name: str, parse: Callable[[Mapping[str, str]], T], data: Mapping[str, str], old: T
    ) -> T:
        """The content of a ConfigMap; the old one while the new one cannot be used."""
        try:
            value = parse(data)
        except ConfigError as error:
            self.config_errors[name] = str(error)
            _log.error(
                "a ConfigMap cannot be used: the settings before it stay",
                extra={"config": name, "error": str(error)},
            )
            return old
        self.config_errors.pop(name, None)
        return value


def _progress_deadline(data: Mapping[str, str]) -> float:
    """The one setting of config-deployment that matters here; the others may be wrong."""
    keys = ("progress-deadline", "progressDeadline")
    seconds = Keys(data).seconds(DEFAULT_PROGRESS_DEADLINE_S, *keys)
    if seconds <= 0:
        raise ConfigError(keys[0], f"{seconds:g}s", "must be positive")
    return seconds


def _key(metadata: Mapping[str, Any], name: str) -> str:
    return f"{metadata['namespace']}/{name}"
