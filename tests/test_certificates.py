"""A certificate is as good as the handshake that it makes possible."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotlight.certificates import CertificateRequest, ServingCertificate, generate

REQUEST = CertificateRequest("tests", ("web.ns.svc", "web", "127.0.0.1", "::1"), timedelta(days=1))


def shake_hands(held: ServingCertificate, ca: bytes, name: str, directory: Path) -> None:
    """A TLS handshake in memory; raises ssl.SSLError if the client does not trust the server."""
    for file, content in (("crt", held.certificate), ("key", held.key)):
        (directory / file).write_bytes(content)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(directory / "crt", directory / "key")
    client_side = ssl.create_default_context(cadata=ca.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", ["web", "web.ns.svc", "127.0.0.1", "::1"])
def test_each_name_is_served(tmp_path: Path, name: str) -> None:
    held = generate(REQUEST, datetime.now(UTC))
    shake_hands(held, held.ca, name, tmp_path)


def test_another_name_another_authority_and_another_time_are_refused(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    held, other = generate(REQUEST, now), generate(REQUEST, now)
    past = generate(REQUEST, now - timedelta(days=2))
    for certificate, ca, name in (
        (held, held.ca, "elsewhere"),
        (held, other.ca, "web"),
        (past, past.ca, "web"),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(certificate, ca, name, tmp_path)
