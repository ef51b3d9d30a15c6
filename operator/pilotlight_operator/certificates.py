"""The certificate of the admission webhooks: made by the operator itself, kept in a Secret."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotlight import names

LIFETIME: Final = timedelta(days=365)
RENEWED_BEFORE: Final = timedelta(days=90)
_SKEW: Final = timedelta(hours=1)
_KEY_FIELD: Final = "server-key.pem"
_CERTIFICATE_FIELD: Final = "server-cert.pem"
_CA_FIELD: Final = "ca-cert.pem"


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """All in PEM. `ca` is what the API server has to trust."""

    key: bytes
    certificate: bytes
    ca: bytes

    def to_secret_data(self) -> dict[str, str]:
        fields = {_KEY_FIELD: self.key, _CERTIFICATE_FIELD: self.certificate, _CA_FIELD: self.ca}
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


def generate(hosts: list[str], now: datetime) -> ServingCertificate:
    """A certificate for `hosts` from an authority whose key is thrown away at once."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, now)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(hosts[-1]), authority.subject, key, now)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(authority_key, hashes.SHA256())
    )
    return ServingCertificate(
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        ca=authority.public_bytes(serialization.Encoding.PEM),
    )


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


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    name = _name("pilotlight webhooks")
    return (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
