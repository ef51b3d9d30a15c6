"""What all pods of the node share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotlight.kube.resources import CONFIG_MAPS, SECRETS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.events import Recorder
from pilotlight_local.kubelet.environment import Sources, config_map_data, secret_data
from pilotlight_local.kubelet.images import ImageTable
from pilotlight_local.kubelet.logs import LogStore
from pilotlight_local.kubelet.processes import Supervisor
from pilotlight_local.network import Network


@dataclass(frozen=True, slots=True)
class Node:
    """The machine as a node: its name and capacity, and what pods are made with.

    `environment` is what every program is given, `account_environment` what Pilotlight's own are
    given besides, to speak as the service account of that namespace and name. `gateway` are
    the descriptors of the sockets that the gateway listens on.
    """

    name: str
    capacity: Mapping[str, str]
    cluster: Cluster
    supervisor: Supervisor
    images: ImageTable
    logs: LogStore
    network: Network
    recorder: Recorder
    directory: Path
    environment: Mapping[str, str]
    account_environment: Callable[[str, str], Mapping[str, str]]
    gateway: tuple[int, ...] = ()

    def sources(self, namespace: str) -> Sources:
        """Look-ups of ConfigMaps and Secrets of a namespace."""

        def config_map(name: str) -> dict[str, bytes] | None:
            found = self.cluster.get(CONFIG_MAPS, namespace, name)
            return None if found is None else config_map_data(found)

        def secret(name: str) -> dict[str, bytes] | None:
            found = self.cluster.get(SECRETS, namespace, name)
            return None if found is None else secret_data(found)

        return Sources(config_map, secret)
