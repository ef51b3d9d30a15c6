"""The certificate of the admission webhooks: made by the operator itself, kept in a Secret."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pilotlight import names
from pilotlight.certificates import CertificateRequest, ServingCertificate

LIFETIME: Final = timedelta(days=365)
RENEWED_BEFORE: Final = timedelta(days=90)
_KEY_FIELD: Final = "server-key.pem"
_CERTIFICATE_FIELD: Final = "server-cert.pem"
_CA_FIELD: Final = "ca-cert.pem"


def to_secret_data(held: ServingCertificate) -> dict[str, str]:
    fields = {_KEY_FIELD: held.key, _CERTIFICATE_FIELD: held.certificate, _CA_FIELD: held.ca}
    return {name: base64.b64encode(value).decode() for name, value in fields.items()}


def host_names(namespace: str, cluster_domain: str) -> list[str]:
    """The names by which the API server calls the webhooks' Service."""
    service = names.WEBHOOK_SERVICE
    return [
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        names.service_host(service, namespace, cluster_domain),
    ]


def from_secret_data(data: Mapping[str, str]) -> ServingCertificate | None:
    """What a Secret holds; None for one that holds nothing of use."""
    try:
        return ServingCertificate(
            *(
                base64.b64decode(data[name], validate=True)
                for name in (_KEY_FIELD, _CERTIFICATE_FIELD, _CA_FIELD)
            )
        )
    except (KeyError, binascii.Error):
        return None


def is_good(held: ServingCertificate | None, hosts: list[str], now: datetime) -> bool:
    """Whether a certificate is for these hosts, from the CA beside it, and lasts a while yet."""
    if held is None:
        return False
    try:
        certificate = x509.load_pem_x509_certificate(held.certificate)
        authority = x509.load_pem_x509_certificate(held.ca)
        certificate.verify_directly_issued_by(authority)
        key = serialization.load_pem_private_key(held.key, None)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except Exception:  # whatever is wrong with it: a new one is made
        return False
    return (
        key.public_key() == certificate.public_key()
        and set(hosts) <= set(alternatives.value.get_values_for_type(x509.DNSName))
        and certificate.not_valid_before_utc <= now
        and now + RENEWED_BEFORE <= certificate.not_valid_after_utc
    )


def request(hosts: list[str]) -> CertificateRequest:
    """What to ask for: the full name is the subject, as the API server's errors show it."""
    return CertificateRequest("pilotlight webhooks", hosts[::-1], LIFETIME)


def load(context: ssl.SSLContext, held: ServingCertificate) -> None:
    """Serve with it from the next connection on.

    The ssl module reads files only: these lie in memory, so that the root file system can stay
    read-only and the key never touches a disk.
    """
    paths = []
    descriptors = []
    try:
        for content in (held.certificate, held.key):
            descriptor = os.memfd_create("pilotlight")
            descriptors.append(descriptor)
            os.write(descriptor, content)
            paths.append(f"/proc/self/fd/{descriptor}")
        context.load_cert_chain(*paths)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def now_utc() -> datetime:
    return datetime.now(UTC)
