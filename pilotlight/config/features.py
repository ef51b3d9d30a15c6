"""ConfigMap `config-features`: what may be used that is not on by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Final


class Flag(Enum):
    """A feature is on for all, on for those who ask for it by annotation, or off."""

    ENABLED = "Enabled"
    ALLOWED = "Allowed"
    DISABLED = "Disabled"


class SecurePodDefaults(Enum):
    """How far pods are made safe that do not say how safe they are."""

    ENABLED = "Enabled"
    ALLOW_ROOT_BOUNDED = "AllowRootBounded"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Features:
    """Every feature flag, by the name of its key in snake case."""

    multi_container: Flag = Flag.ENABLED
    multi_container_probing: Flag = Flag.DISABLED
    podspec_affinity: Flag = Flag.DISABLED
    podspec_topologyspreadconstraints: Flag = Flag.DISABLED
    podspec_hostaliases: Flag = Flag.DISABLED
    podspec_nodeselector: Flag = Flag.DISABLED
    podspec_tolerations: Flag = Flag.DISABLED
    podspec_fieldref: Flag = Flag.DISABLED
    podspec_runtimeclassname: Flag = Flag.DISABLED
    podspec_securitycontext: Flag = Flag.DISABLED
    podspec_shareprocessnamespace: Flag = Flag.DISABLED
    podspec_priorityclassname: Flag = Flag.DISABLED
    podspec_schedulername: Flag = Flag.DISABLED
    podspec_dnspolicy: Flag = Flag.DISABLED
    podspec_dnsconfig: Flag = Flag.DISABLED
    podspec_hostipc: Flag = Flag.DISABLED
    podspec_hostpid: Flag = Flag.DISABLED
    podspec_hostnetwork: Flag = Flag.DISABLED
    podspec_init_containers: Flag = Flag.DISABLED
    podspec_volumes_emptydir: Flag = Flag.ENABLED
    podspec_volumes_hostpath: Flag = Flag.DISABLED
    podspec_volumes_csi: Flag = Flag.DISABLED
    podspec_volumes_ephemeral: Flag = Flag.DISABLED
    podspec_volumes_image: Flag = Flag.DISABLED
    podspec_volumes_mount_propagation: Flag = Flag.DISABLED
    podspec_persistent_volume_claim: Flag = Flag.DISABLED
    podspec_persistent_volume_write: Flag = Flag.DISABLED
    containerspec_addcapabilities: Flag = Flag.DISABLED
    queueproxy_mount_podinfo: Flag = Flag.DISABLED
    queueproxy_resource_defaults: Flag = Flag.DISABLED
    tag_header_based_routing: Flag = Flag.DISABLED
    autodetect_http2: Flag = Flag.DISABLED
    secure_pod_defaults: SecurePodDefaults = SecurePodDefaults.DISABLED


def _key(field: str) -> str:
    """The key of a flag: Knative puts some of them under a prefix."""
    name = field.replace("_", "-")
    if name.startswith(("podspec-", "containerspec-")):
        return f"kubernetes.{name}"
    return name.replace("queueproxy-", "queueproxy.", 1)


KEYS: Final[dict[str, str]] = {field.name: _key(field.name) for field in fields(Features)}
_FLAGS: Final = {flag.value.lower(): flag for flag in Flag}
_SECURE: Final = {level.value.lower(): level for level in SecurePodDefaults}


def parse(data: Mapping[str, str]) -> Features:
    """Read the ConfigMap's data. A value that is none leaves the default, as Knative has it."""
    flags = {}
    for field, key in KEYS.items():
        values: Mapping[str, Flag | SecurePodDefaults] = (
            _SECURE if field == "secure_pod_defaults" else _FLAGS
        )
        value = values.get(data.get(key, "").strip().lower())
        if value is not None:
            flags[field] = value
    return Features(**flags)  # type: ignore[arg-type]  # the table above pairs fields and types
