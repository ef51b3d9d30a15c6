"""ConfigMap `config-deployment`: how the pods of revisions are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pilotlight.config.go_values import SECOND, ConfigError, Keys, format_duration, parse_set
from pilotlight.config.kube_names import dns1123_subdomain
from pilotlight.config.yaml_values import mapping

_SKIPPED_REGISTRIES: Final = "kind.local,ko.local,dev.local"


class Affinity(Enum):
    """How the pods of a revision are spread that does not say so itself."""

    SPREAD = "prefer-spread-revision-over-nodes"
    NONE = "none"


class TokenMount(Enum):
    """Whether pods get the token of their service account that do not say so themselves."""

    AUTO = "auto"
    """When the manifest names a service account: a pod without volumes starts sooner."""
    ALWAYS = "always"
    """As Kubernetes and Knative do."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class QueueProxyResources:
    """Requests and limits of the sidecar, spelled as in Kubernetes; None is none."""

    cpu_request: str | None = "25m"
    cpu_limit: str | None = None
    memory_request: str | None = None
    memory_limit: str | None = None
    ephemeral_storage_request: str | None = None
    ephemeral_storage_limit: str | None = None


@dataclass(frozen=True, slots=True)
class QueueProxyTLS:
    """TLS of the sidecar, passed on as it is."""

    min_version: str = ""
    max_version: str = ""
    cipher_suites: str = ""
    curve_preferences: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeClass:
    """A runtime class for pods whose labels hold all of the selector."""

    name: str
    selector: tuple[tuple[str, str], ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.selector)


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the pods of revisions are made."""

    queue_sidecar_image: str
    progress_deadline_s: float = 600.0
    digest_resolution_timeout_s: float = 10.0
    registries_skipping_tag_resolving: frozenset[str] = parse_set(_SKIPPED_REGISTRIES)
    queue_sidecar_resources: QueueProxyResources = QueueProxyResources()
    queue_sidecar_tls: QueueProxyTLS = QueueProxyTLS()
    queue_sidecar_token_audiences: frozenset[str] = frozenset()
    queue_sidecar_rootca: str = ""
    default_affinity: Affinity = Affinity.SPREAD
    runtime_classes: tuple[RuntimeClass, ...] = ()
    pod_is_always_schedulable: bool = False
    """A pod that finds no place is not an error: somebody adds nodes."""
    service_account_token: TokenMount = TokenMount.AUTO
    """The only key that Knative does not have."""

    def runtime_class_name(self, labels: Mapping[str, str]) -> str | None:
        """The class for a pod with these labels: the longest selector wins, then the name."""
        fitting = [c for c in self.runtime_classes if c.selects(labels)]
        best = min(fitting, key=lambda c: (-len(c.selector), c.name), default=None)
        return best.name if best else None


def parse(data: Mapping[str, str]) -> Deployment:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    image = keys.text("queue-sidecar-image", "queueSidecarImage")
    if not image:
        text = "queue-sidecar-image cannot be empty or unset"
        raise ConfigError("queue-sidecar-image", image, text, text)
    config = Deployment(
        queue_sidecar_image=image,
        progress_deadline_s=keys.seconds(600.0, "progress-deadline", "progressDeadline"),
        digest_resolution_timeout_s=keys.seconds(
            10.0, "digest-resolution-timeout", "digestResolutionTimeout"
        ),
        registries_skipping_tag_resolving=parse_set(
            keys.text(
                "registries-skipping-tag-resolving",
                "registriesSkippingTagResolving",
                default=_SKIPPED_REGISTRIES,
            )
        ),
        queue_sidecar_resources=_resources(keys),
        queue_sidecar_tls=_tls(keys),
        queue_sidecar_token_audiences=parse_set(keys.text("queue-sidecar-token-audiences")),
        queue_sidecar_rootca=keys.text("queue-sidecar-rootca"),
        default_affinity=_affinity(keys),
        runtime_classes=_runtime_classes(keys),
        pod_is_always_schedulable=keys.boolean(False, "pod-is-always-schedulable"),
        service_account_token=_token_mount(keys),
    )
    _check(config, data)
    return config


def _resources(keys: Keys) -> QueueProxyResources:
    return QueueProxyResources(
        cpu_request=keys.quantity("25m", "queue-sidecar-cpu-request", "queueSidecarCPURequest"),
        cpu_limit=keys.quantity(None, "queue-sidecar-cpu-limit", "queueSidecarCPULimit"),
        memory_request=keys.quantity(
            None, "queue-sidecar-memory-request", "queueSidecarMemoryRequest"
        ),
        memory_limit=keys.quantity(None, "queue-sidecar-memory-limit", "queueSidecarMemoryLimit"),
        ephemeral_storage_request=keys.quantity(
            None, "queue-sidecar-ephemeral-storage-request", "queueSidecarEphemeralStorageRequest"
        ),
        ephemeral_storage_limit=keys.quantity(
            None, "queue-sidecar-ephemeral-storage-limit", "queueSidecarEphemeralStorageLimit"
        ),
    )


def _tls(keys: Keys) -> QueueProxyTLS:
    return QueueProxyTLS(
        min_version=keys.text("queue-sidecar-tls-min-version"),
        max_version=keys.text("queue-sidecar-tls-max-version"),
        cipher_suites=keys.text("queue-sidecar-tls-cipher-suites"),
        curve_preferences=keys.text("queue-sidecar-tls-curve-preferences"),
    )


def _affinity(keys: Keys) -> Affinity:
    def read(text: str) -> Affinity:
        try:
            return Affinity(text)
        except ValueError:
            raise ConfigError(
                "default-affinity-type",
                text,
                f"unsupported default-affinity-type value {text!r}",
                f'unsupported default-affinity-type value "{text}"',
            ) from None

    return keys.parsed(read, Affinity.SPREAD, "default-affinity-type", "defaultAffinityType")


def _token_mount(keys: Keys) -> TokenMount:
    def read(text: str) -> TokenMount:
        try:
            return TokenMount(text)
        except ValueError:
            raise ValueError(f'"{text}" is none of auto, always, never') from None

    return keys.parsed(read, TokenMount.AUTO, "service-account-token")


def _runtime_classes(keys: Keys) -> tuple[RuntimeClass, ...]:
    return keys.parsed(_read_runtime_classes, (), "runtime-class-name", "runtimeClassName")


def _read_runtime_classes(text: str) -> tuple[RuntimeClass, ...]:
    if not text.strip():
        return ()
    classes = []
    for name, value in mapping(text).items():
        faults = dns1123_subdomain(name)
        if faults:
            raise ValueError(f'"{name}" is no name of a runtime class: {", ".join(faults)}')
        classes.append(RuntimeClass(name, _selector(name, value)))
    return tuple(sorted(classes, key=lambda c: c.name))


def _selector(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    labels = (value or {}).get("selector") or {} if isinstance(value or {}, dict) else None
    if not isinstance(labels, dict):
        raise ValueError(f'the runtime class "{name}" needs a map with the key selector')
    return tuple(sorted((str(key), str(label)) for key, label in labels.items()))


def _check(config: Deployment, data: Mapping[str, str]) -> None:
    deadline = config.progress_deadline_s
    spelled = format_duration(round(deadline * SECOND))
    if deadline <= 0:
        text = f"progress-deadline cannot be a non-positive duration, was {spelled}"
        raise ConfigError("progress-deadline", data.get("progress-deadline", ""), text, text)
    if not deadline.is_integer():
        text = f"progress-deadline must be rounded to a whole second, was: {spelled}"
        raise ConfigError("progress-deadline", data.get("progress-deadline", ""), text, text)
    timeout = config.digest_resolution_timeout_s
    if timeout <= 0:
        spelled = format_duration(round(timeout * SECOND))
        text = f"digest-resolution-timeout cannot be a non-positive duration, was {spelled}"
        raise ConfigError(
            "digest-resolution-timeout", data.get("digest-resolution-timeout", ""), text, text
        )
