"""What admission decides by, beside the object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pilotlight.config.autoscaler import Autoscaler
from pilotlight.config.defaults import Defaults
from pilotlight.config.features import Features
from pilotlight.names import CLUSTER_DOMAIN


class Operation(StrEnum):
    """What the client asks for."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class AdmissionContext:
    """Who asks for what, and what is configured."""

    operation: Operation = Operation.CREATE
    user: str = ""
    subresource: str = ""
    dry_run: bool = False
    defaults: Defaults = field(default_factory=Defaults)
    features: Features = field(default_factory=Features)
    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    cluster_domain: str = CLUSTER_DOMAIN

    @property
    def is_create(self) -> bool:
        return self.operation is Operation.CREATE

    @property
    def is_update(self) -> bool:
        return self.operation is Operation.UPDATE
