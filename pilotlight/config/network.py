"""ConfigMap `config-network`: hosts, ingresses, TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pilotlight.config.go_values import ConfigError, Keys, parse_bool
from pilotlight.config.templates import check_template, render_template
from pilotlight.config.yaml_values import mapping

ISTIO_CLASS: Final = "istio.ingress.networking.knative.dev"
CERT_MANAGER_CLASS: Final = "cert-manager.certificate.networking.knative.dev"
DOMAIN_TEMPLATE: Final = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
TAG_TEMPLATE: Final = "{{.Tag}}-{{.Name}}"
_DOMAIN_FIELDS: Final = ("Name", "Namespace", "Domain")
_DOMAIN_MAPS: Final = ("Annotations", "Labels")
_TAG_FIELDS: Final = ("Name", "Tag")


class HTTPProtocol(Enum):
    """What plain HTTP gets where there is TLS."""

    ENABLED = "Enabled"
    REDIRECTED = "Redirected"
    DISABLED = "Disabled"


class MeshMode(Enum):
    """Whether pods may be reached by their own addresses."""

    AUTO = "auto"
    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Network:
    """Hosts, ingresses, TLS."""

    ingress_class: str = ISTIO_CLASS
    certificate_class: str = CERT_MANAGER_CLASS
    domain_template: str = DOMAIN_TEMPLATE
    tag_template: str = TAG_TEMPLATE
    external_domain_tls: bool = False
    cluster_local_domain_tls: bool = False
    system_internal_tls: bool = False
    http_protocol: HTTPProtocol = HTTPProtocol.ENABLED
    rollout_duration_s: int = 0
    """How long traffic takes to move to a new revision; 0 is at once."""
    autocreate_cluster_domain_claims: bool = False
    namespace_wildcard_cert_selector: Mapping[str, Any] | None = None
    """A label selector, as in Kubernetes."""
    enable_mesh_pod_addressability: bool = False
    mesh_compatibility_mode: MeshMode = MeshMode.AUTO
    default_external_scheme: str = "http"

    def host(self, name: str, namespace: str, domain: str, metadata: Mapping[str, Any]) -> str:
        """The host of a Route (or of a tag of it: `name` is then what `tagged` gives)."""
        return render_template(
            self.domain_template,
            {
                "Name": name,
                "Namespace": namespace,
                "Domain": domain,
                "Annotations": metadata.get("annotations") or {},
                "Labels": metadata.get("labels") or {},
            },
        )

    def tagged(self, tag: str, name: str) -> str:
        """What stands for the name of a Route in the host of one of its tags."""
        return render_template(self.tag_template, {"Tag": tag, "Name": name}) if tag else name


def parse(data: Mapping[str, str]) -> Network:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    return Network(
        ingress_class=keys.text("ingress-class", "ingress.class", default=ISTIO_CLASS),
        certificate_class=keys.text(
            "certificate-class", "certificate.class", default=CERT_MANAGER_CLASS
        ),
        domain_template=_template(
            keys, ("domain-template", "domainTemplate"), DOMAIN_TEMPLATE, _DOMAIN_FIELDS
        ),
        tag_template=_template(keys, ("tag-template", "tagTemplate"), TAG_TEMPLATE, _TAG_FIELDS),
        external_domain_tls=keys.parsed(
            _enabled_loosely, False, "external-domain-tls", "auto-tls", "autoTLS"
        ),
        cluster_local_domain_tls=keys.parsed(_enabled, False, "cluster-local-domain-tls"),
        system_internal_tls=_system_internal_tls(keys),
        http_protocol=keys.parsed(
            _http_protocol, HTTPProtocol.ENABLED, "http-protocol", "httpProtocol"
        ),
        rollout_duration_s=_rollout_duration(keys),
        autocreate_cluster_domain_claims=keys.boolean(
            False, "autocreate-cluster-domain-claims", "autocreateClusterDomainClaims"
        ),
        namespace_wildcard_cert_selector=keys.parsed(
            _selector, None, "namespace-wildcard-cert-selector"
        ),
        enable_mesh_pod_addressability=keys.boolean(False, "enable-mesh-pod-addressability"),
        mesh_compatibility_mode=_mesh_mode(keys),
        default_external_scheme=keys.text(
            "default-external-scheme", "defaultExternalScheme", default="http"
        ),
    )


def _template(keys: Keys, names: tuple[str, ...], default: str, fields: tuple[str, ...]) -> str:
    def read(text: str) -> str:
        if not text:
            return default
        check_template(text, fields, _DOMAIN_MAPS if "Domain" in fields else ())
        return text

    return keys.parsed(read, default, *names)


def _enabled_loosely(text: str) -> bool:
    return text.strip().lower() == "enabled"


def _enabled(text: str) -> bool:
    value = text.strip().lower()
    if value in ("enabled", "disabled"):
        return value == "enabled"
    raise ValueError(f'"{text}" is neither Enabled nor Disabled')


def _system_internal_tls(keys: Keys) -> bool:
    if keys.find("system-internal-tls"):
        return keys.parsed(_enabled, False, "system-internal-tls")
    return keys.parsed(parse_bool, False, "internal-encryption")


def _http_protocol(text: str) -> HTTPProtocol:
    for protocol in HTTPProtocol:
        if protocol.value.lower() == text.strip().lower():
            return protocol
    wanted = f"httpProtocol {text} in config-network ConfigMap is not supported"
    raise ConfigError("http-protocol", text, wanted, wanted)


def _rollout_duration(keys: Keys) -> int:
    seconds = keys.integer(0, "rollout-duration", "rolloutDuration")
    if seconds < 0:
        text = f"rollout-duration must be a positive integer, but was {seconds}"
        raise ConfigError("rollout-duration", str(seconds), text, text)
    return seconds


def _selector(text: str) -> Mapping[str, Any] | None:
    return mapping(text) or None


def _mesh_mode(keys: Keys) -> MeshMode:
    """A mode that nobody knows is the default, as Knative has it."""
    text = keys.text("mesh-compatibility-mode").strip().lower()
    return next((mode for mode in MeshMode if mode.value == text), MeshMode.AUTO)
