"""DomainMapping of `serving.knative.dev/v1beta1`."""

from __future__ import annotations

from pilotlight.api.meta import Addressable, Resource, Status
from pilotlight.api.model import Model, optional, required


class KReference(Model):
    """An object that can be reached."""

    kind: str = required("Kind of the object.")
    name: str = required("Name of the object.")
    api_version: str | None = optional("API version of the object.")
    namespace: str | None = optional("Namespace of the object; left out, the DomainMapping's.")
    group: str | None = optional("API group, in place of the API version.")
    address: str | None = optional("Name of one of the object's addresses.")


class SecretTLS(Model):
    """A certificate that somebody else takes care of."""

    secret_name: str = required("Name of the Secret with the certificate.")


class DomainMappingSpec(Model):
    """What the domain leads to."""

    ref: KReference = required("What the domain leads to.")
    tls: SecretTLS | None = optional("The domain's own certificate.")


class DomainMappingStatus(Status):
    """Where the domain is reached."""

    url: str | None = optional("URL of the domain.")
    address: Addressable | None = optional("URL of the domain.")


class DomainMapping(Resource):
    """A domain of one's own for a Service. The name of the object is the domain."""

    spec: DomainMappingSpec | None = optional("What is wanted.")
    status: DomainMappingStatus | None = optional("What is.")
