"""The volumes of a pod, as far as a Revision may have them."""

from __future__ import annotations

from typing import Annotated

from pilotlight.api.model import (
    ATOMIC,
    ATOMIC_MAP,
    Anything,
    Int32,
    Int64,
    Model,
    Quantity,
    defaulted,
    gated,
    optional,
    required,
)

_MODE = "Permission bits of the file, 0 to 511."
_DEFAULT_MODE = "Permission bits of files that set none, 0 to 511."
_ITEMS = "Which keys become which files; left out, each key becomes a file of its name."


class KeyToPath(Model):
    """A key that becomes a file."""

    key: str = required("The key.")
    path: str = required("Where the file is, relative to the mount.")
    mode: Int32 | None = optional(_MODE)


class ConfigMapVolumeSource(Model):
    """A ConfigMap as files."""

    name: str = defaulted("", "Name of the ConfigMap.")
    items: Annotated[list[KeyToPath], ATOMIC] | None = optional(_ITEMS)
    default_mode: Int32 | None = optional(_DEFAULT_MODE)
    may_be_absent: bool | None = optional(
        "Whether the ConfigMap or a key of it may be missing.", alias="optional"
    )


class SecretVolumeSource(Model):
    """A Secret as files."""

    secret_name: str | None = optional("Name of the Secret.")
    items: Annotated[list[KeyToPath], ATOMIC] | None = optional(_ITEMS)
    default_mode: Int32 | None = optional(_DEFAULT_MODE)
    may_be_absent: bool | None = optional(
        "Whether the Secret or a key of it may be missing.", alias="optional"
    )


class ConfigMapProjection(Model):
    """A ConfigMap among other sources of one volume."""

    name: str = defaulted("", "Name of the ConfigMap.")
    items: Annotated[list[KeyToPath], ATOMIC] | None = optional(_ITEMS)
    may_be_absent: bool | None = optional(
        "Whether the ConfigMap or a key of it may be missing.", alias="optional"
    )


class SecretProjection(Model):
    """A Secret among other sources of one volume."""

    name: str = defaulted("", "Name of the Secret.")
    items: Annotated[list[KeyToPath], ATOMIC] | None = optional(_ITEMS)
    may_be_absent: bool | None = optional(
        "Whether the Secret or a key of it may be missing.", alias="optional"
    )


class ServiceAccountTokenProjection(Model):
    """A token of the pod's service account as a file."""

    path: str = required("Where the file is, relative to the mount.")
    audience: str | None = optional("Whom the token is for; left out, the API server.")
    expiration_seconds: Int64 | None = optional("How long the token is valid.")


class ObjectFieldSelector(Model):
    """A field of the pod."""

    field_path: str = required("Path of the field, as metadata.labels.")
    api_version: str | None = optional("API version that the path is written for.")


class ResourceFieldSelector(Model):
    """A resource of a container."""

    resource: str = required("The resource, as limits.cpu.")
    container_name: str | None = optional("The container.")
    divisor: Quantity | None = optional("Unit of the value; left out, 1.")


class DownwardAPIVolumeFile(Model):
    """A fact about the pod as a file."""

    path: str = required("Where the file is, relative to the mount.")
    field_ref: Annotated[ObjectFieldSelector, ATOMIC_MAP] | None = optional("A field of the pod.")
    resource_field_ref: Annotated[ResourceFieldSelector, ATOMIC_MAP] | None = optional(
        "A resource of a container."
    )
    mode: Int32 | None = optional(_MODE)


class DownwardAPIProjection(Model):
    """Facts about the pod among other sources of one volume."""

    items: Annotated[list[DownwardAPIVolumeFile], ATOMIC] | None = optional("The files.")


class VolumeProjection(Model):
    """One source of a projected volume: exactly one of the fields."""

    config_map: Annotated[ConfigMapProjection, ATOMIC_MAP] | None = optional("A ConfigMap.")
    secret: Annotated[SecretProjection, ATOMIC_MAP] | None = optional("A Secret.")
    service_account_token: ServiceAccountTokenProjection | None = optional("A token.")
    downward_api: DownwardAPIProjection | None = optional(
        "Facts about the pod.", alias="downwardAPI"
    )


class ProjectedVolumeSource(Model):
    """Several sources in one volume."""

    sources: Annotated[list[VolumeProjection], ATOMIC] | None = optional("The sources.")
    default_mode: Int32 | None = optional(_DEFAULT_MODE)


class Volume(Model):
    """Files for the containers: a name and exactly one source."""

    name: str = required("Name by which containers mount the volume.")
    config_map: Annotated[ConfigMapVolumeSource, ATOMIC_MAP] | None = optional("A ConfigMap.")
    secret: SecretVolumeSource | None = optional("A Secret.")
    projected: ProjectedVolumeSource | None = optional("Several sources at one place.")
    empty_dir: Anything | None = gated("kubernetes.podspec-volumes-emptydir")
    persistent_volume_claim: Anything | None = gated("kubernetes.podspec-persistent-volume-claim")
    host_path: Anything | None = gated("kubernetes.podspec-volumes-hostpath")
    csi: Anything | None = gated("kubernetes.podspec-volumes-csi")
    ephemeral: Anything | None = gated("kubernetes.podspec-volumes-ephemeral")
    image: Anything | None = gated("kubernetes.podspec-volumes-image")
