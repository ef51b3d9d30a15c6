"""TLS where a certificate is mounted."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotlight.certificates import CertificateRequest, ServingCertificate, generate
from pilotlight.http import Target, fetch
from pilotlight_queue_proxy.tls_port import Certificates, TLSSettings
from tests.http.peers import Peers, until
from tests.queue_proxy.test_proxy import Pod, pod

__all__ = ["pod"]


def write(directory: Path, name: str = "kn-user") -> ServingCertificate:
    made = generate(CertificateRequest("test", (name,), timedelta(hours=1)), datetime.now(UTC))
    (directory / "tls.key").write_bytes(made.key)
    (directory / "tls.crt").write_bytes(made.certificate)
    return made


def trusting(made: ServingCertificate) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=made.ca.decode())
    context.check_hostname = False
    return context


async def test_the_same_requests_over_tls(pod: Pod, tmp_path: Path) -> None:
    made = write(tmp_path)
    proxy = await pod.start(certificates=str(tmp_path), tls_port=0, tls=("1.3", "", "", ""))
    assert proxy.extras is not None
    target = Target("127.0.0.1", proxy.extras.tls_port, b"/", [(b"Host", b"a")], ssl=trusting(made))
    answer = await fetch(target, timeout_s=5)
    assert (answer.status, answer.body) == (200, b"app")
    assert pod.app.seen[0].request.host == b"a"


async def test_a_certificate_that_is_no_good_costs_tls_only(
    pod: Pod, peers: Peers, tmp_path: Path
) -> None:
    write(tmp_path)
    (tmp_path / "tls.key").write_text("nothing")
    proxy = await pod.start(certificates=str(tmp_path), tls_port=0)
    assert proxy.extras is not None
    assert proxy.extras.tls_port == 0
    await peers.connect(proxy.port)


async def test_a_new_certificate_is_taken_and_open_connections_stay(tmp_path: Path) -> None:
    first = write(tmp_path)
    certificates = Certificates(str(tmp_path), TLSSettings())
    following = asyncio.get_running_loop().create_task(certificates.follow(0.01))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=certificates.context)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(first))
    second = write(tmp_path, "other")

    async def accepts(made: ServingCertificate) -> bool:
        try:
            _, other = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(made))
        except ssl.SSLError:
            return False
        other.close()
        return True

    async with asyncio.timeout(5):
        while not await accepts(second):
            await asyncio.sleep(0.01)
    assert not await accepts(first)
    writer.write(b"still here")
    assert await reader.read(100) == b"still here"
    (tmp_path / "tls.crt").unlink()
    await asyncio.sleep(0.03)
    assert not following.done()
    following.cancel()
    writer.close()
    server.close()
    await until(lambda: following.done())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (TLSSettings(min_version="1.1"), "unknown TLS version '1.1'"),
        (TLSSettings(curve_preferences="P9"), "unknown curve 'P9'"),
        (TLSSettings(cipher_suites="AES"), "unknown cipher suite 'AES'"),
        (TLSSettings(cipher_suites="TLS_A_WITH_B"), "No cipher can be selected"),
    ],
)
def test_what_openssl_does_not_know(tmp_path: Path, settings: TLSSettings, complaint: str) -> None:
    write(tmp_path)
    with pytest.raises((ValueError, OSError)) as caught:
        Certificates(str(tmp_path), settings)
    assert complaint in str(caught.value)


def test_gos_names_are_understood(tmp_path: Path) -> None:
    write(tmp_path)
    asked = (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,"
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_RSA_WITH_AES_128_GCM_SHA256"
    )
    made = Certificates(str(tmp_path), TLSSettings("1.2", "1.2", asked, "CurveP256,X25519"))
    names = {cipher["name"] for cipher in made.context.get_ciphers()}
    wanted = {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }
    assert wanted <= names
    assert made.context.maximum_version is ssl.TLSVersion.TLSv1_2
