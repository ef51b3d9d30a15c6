"""Metadata, conditions and references: the parts that the kinds have in common."""

from __future__ import annotations

from typing import Annotated

from pilotlight.api.model import PRESERVE, Int64, Model, StringMap, optional, required


class OwnerReference(Model):
    """The object that this one belongs to."""

    api_version: str = required("API version of the owner.")
    kind: str = required("Kind of the owner.")
    name: str = required("Name of the owner.")
    uid: str = required("UID of the owner.")
    controller: bool | None = optional("Whether the owner manages this object.")
    block_owner_deletion: bool | None = optional("Whether the owner waits for this object's end.")


class ObjectMeta(Model):
    """What Kubernetes knows of every object."""

    name: str | None = optional("Name, unique in the namespace.")
    generate_name: str | None = optional("Prefix from which the API server makes a name.")
    namespace: str | None = optional("Namespace of the object.")
    uid: str | None = optional("Identity of the object.")
    resource_version: str | None = optional("Version of the object.")
    generation: Int64 | None = optional("Counts the changes of the spec.")
    creation_timestamp: str | None = optional("When the object was created.")
    deletion_timestamp: str | None = optional("When the object was asked to go.")
    labels: StringMap | None = optional("Labels.")
    annotations: StringMap | None = optional("Annotations.")
    finalizers: list[str] | None = optional("Who has to act before the object goes.")
    owner_references: list[OwnerReference] | None = optional("What this object belongs to.")


class TemplateMeta(Model):
    """Metadata that each Revision made from a template gets."""

    name: str | None = optional(
        "Name of the next Revision; it starts with the name of its parent and a dash. Left out, "
        "each generation gets a name of its own."
    )
    generate_name: str | None = None
    namespace: str | None = optional("Not used: a Revision lives beside its parent.")
    labels: StringMap | None = optional("Labels of the Revision.")
    annotations: StringMap | None = optional(
        "Annotations of the Revision; autoscaling.knative.dev/* belong here."
    )
    finalizers: list[str] | None = optional("Finalizers of the Revision.")


PreservedTemplateMeta = Annotated[TemplateMeta, PRESERVE]


class Condition(Model):
    """One aspect of an object's state."""

    type: str = required("Name of the aspect.")
    status: str = required("True, False or Unknown.")
    reason: str | None = optional("Why, as one word for programs.")
    message: str | None = optional("Why, as a sentence for people.")
    severity: str | None = optional("How bad it is when this is not True; left out, an error.")
    last_transition_time: str | None = optional("When this aspect last changed.")


class Status(Model):
    """What every status holds."""

    observed_generation: Int64 | None = optional("The generation that this status speaks of.")
    conditions: list[Condition] | None = optional("The aspects of the object's state.")
    annotations: StringMap | None = optional("Further facts, for programs.")


class Addressable(Model):
    """Where an object is reached."""

    url: str | None = optional("URL of the object.")
    name: str | None = optional("Name of the address.")
    ca_certs: str | None = optional("Certificates that vouch for the address.", alias="CACerts")
    audience: str | None = optional("Audience of the tokens that the address takes.")


class Resource(Model):
    """A whole object."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta | None = None
