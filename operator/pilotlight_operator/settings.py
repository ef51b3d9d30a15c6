"""What the ConfigMaps of the system namespace say, as the plans ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pilotlight import names
from pilotlight.api.admission import AdmissionContext
from pilotlight.config import (
    autoscaler,
    defaults,
    deployment,
    domain,
    features,
    leader_election,
    logging,
    network,
    observability,
)
from pilotlight.config.go_values import ConfigError

# What the flag queueproxy.resource-defaults adds where nothing is configured.
_QUEUE_RESOURCES: Final = {
    "requests": {"memory": "400Mi"},
    "limits": {"cpu": "1000m", "memory": "800Mi"},
}


@dataclass(frozen=True, slots=True)
class Settings:
    """One parsed ConfigMap a field, and where this installation is."""

    deployment: deployment.Deployment
    autoscaler: autoscaler.Autoscaler = field(default_factory=autoscaler.Autoscaler)
    defaults: defaults.Defaults = field(default_factory=defaults.Defaults)
    domain: domain.Domain = field(default_factory=domain.Domain)
    features: features.Features = field(default_factory=features.Features)
    leader_election: leader_election.LeaderElection = field(
        default_factory=leader_election.LeaderElection
    )
    logging: logging.Logging = field(default_factory=logging.Logging)
    network: network.Network = field(default_factory=network.Network)
    observability: observability.Observability = field(default_factory=observability.Observability)
    system_namespace: str = names.SYSTEM_NAMESPACE
    cluster_domain: str = names.CLUSTER_DOMAIN

    @property
    def queue_image(self) -> str:
        return self.deployment.queue_sidecar_image

    @property
    def queue_resources(self) -> dict[str, dict[str, str]]:
        """`requests` and `limits` by resource; those that are not set are left out."""
        given = self.deployment.queue_sidecar_resources
        amounts = {
            "requests": {
                "cpu": given.cpu_request,
                "memory": given.memory_request,
                "ephemeral-storage": given.ephemeral_storage_request,
            },
            "limits": {
                "cpu": given.cpu_limit,
                "memory": given.memory_limit,
                "ephemeral-storage": given.ephemeral_storage_limit,
            },
        }
        defaults: dict[str, dict[str, str]] = {}
        if self.features.queueproxy_resource_defaults is features.Flag.ENABLED:
            defaults = _QUEUE_RESOURCES
        return {
            kind: {
                **defaults.get(kind, {}),
                **{name: amount for name, amount in by_name.items() if amount},
            }
            for kind, by_name in amounts.items()
        }

    @property
    def queue_log_level(self) -> str:
        return self.logging.level("queueproxy")

    @property
    def probes_all_containers(self) -> bool:
        """Whether queue-proxies run the readiness probes of containers that do not serve."""
        return self.features.multi_container_probing is features.Flag.ENABLED

    @property
    def progress_deadline_s(self) -> int:
        return int(self.deployment.progress_deadline_s)

    @property
    def spread_over_nodes(self) -> bool:
        return self.deployment.default_affinity is deployment.Affinity.SPREAD

    @property
    def ingress_class(self) -> str:
        return self.network.ingress_class

    @property
    def http_option(self) -> str:
        """As an Ingress has it: Enabled, Redirected, or nothing."""
        protocol = self.network.http_protocol
        return "" if protocol is network.HTTPProtocol.DISABLED else protocol.value

    @property
    def routes_by_header(self) -> bool:
        return self.features.tag_header_based_routing is features.Flag.ENABLED

    @property
    def gateway_host(self) -> str:
        """Where callers inside the cluster reach the activators."""
        return names.service_host(
            names.ACTIVATOR_SERVICE, self.system_namespace, self.cluster_domain
        )

    def log_url(self, revision_uid: str) -> str:
        return self.observability.revision_url_template.replace("${REVISION_UID}", revision_uid)

    def admission(self, **request: Any) -> AdmissionContext:
        """The context of one admission request."""
        return AdmissionContext(
            defaults=self.defaults,
            features=self.features,
            autoscaler=self.autoscaler,
            cluster_domain=self.cluster_domain,
            **request,
        )


Parser = Callable[[Mapping[str, str]], Any]
_PARSERS: Final[dict[str, tuple[str, Parser]]] = {
    names.CONFIG_AUTOSCALER: ("autoscaler", autoscaler.parse),
    names.CONFIG_DEFAULTS: ("defaults", defaults.parse),
    names.CONFIG_DEPLOYMENT: ("deployment", deployment.parse),
    names.CONFIG_DOMAIN: ("domain", domain.parse),
    names.CONFIG_FEATURES: ("features", features.parse),
    names.CONFIG_LEADER_ELECTION: ("leader_election", leader_election.parse),
    names.CONFIG_LOGGING: ("logging", logging.parse),
    names.CONFIG_NETWORK: ("network", network.parse),
    names.CONFIG_OBSERVABILITY: ("observability", observability.parse),
}
__all__ = ["ConfigError", "Settings", "changed", "initial", "is_read"]


def is_read(config_map: str) -> bool:
    return config_map in _PARSERS


def changed(settings: Settings, config_map: str, data: Mapping[str, str]) -> Settings:
    """The settings with one ConfigMap replaced. Raises ConfigError for one that is no good."""
    attribute, parse = _PARSERS[config_map]
    if config_map == names.CONFIG_DOMAIN:
        return replace(settings, domain=domain.parse(data, settings.cluster_domain))
    parsed = {attribute: parse(data)}
    return replace(settings, **parsed)


_QUEUE_IMAGE: Final = ("queue-sidecar-image", "queueSidecarImage")


def initial(
    config_maps: Mapping[str, Mapping[str, str]], system_namespace: str, cluster_domain: str
) -> tuple[Settings, dict[str, ConfigError]]:
    """The settings at start, and what is wrong with which ConfigMap: such a one counts as empty.

    Raises ConfigError without an image of the queue-proxy: no pod can be made then.
    """
    given = config_maps.get(names.CONFIG_DEPLOYMENT) or {}
    settings = Settings(
        deployment=deployment.parse({key: given[key] for key in _QUEUE_IMAGE if key in given}),
        domain=domain.Domain(cluster_domain=cluster_domain),
        system_namespace=system_namespace,
        cluster_domain=cluster_domain,
    )
    faults = {}
    for name in _PARSERS:
        try:
            if name in config_maps:
                settings = changed(settings, name, config_maps[name])
        except ConfigError as error:
            faults[name] = error
    return settings, faults
