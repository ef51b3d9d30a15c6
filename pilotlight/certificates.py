"""A serving certificate, from an authority that signs it and is forgotten.

The heavy imports are inside: a process that only loads what was made before does not pay for them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_SKEW: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """All in PEM. `ca` is what clients have to trust."""

    key: bytes
    certificate: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What is wanted: `names` are host names or IP addresses, the first of which becomes the
    subject; `authority` names the one that signs.
    """

    authority: str
    names: Sequence[str]
    lifetime: timedelta


def generate(request: CertificateRequest, now: datetime) -> ServingCertificate:
    """Make an authority, let it sign one certificate, and throw its key away."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ends = now + request.lifetime
    authority = (
        _builder((request.authority, request.authority), authority_key, (now, ends))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in request.names])
    certificate = (
        _builder((request.names[0], request.authority), key, (now, ends))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ServingCertificate(private, certificate.public_bytes(pem), authority.public_bytes(pem))


def _builder(
    names: tuple[str, str], key: ec.EllipticCurvePrivateKey, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    """`names`: subject and issuer."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in names)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0] - _SKEW)
        .not_valid_after(valid[1])
        .add_extension(identifier, critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
