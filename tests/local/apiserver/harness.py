"""What the tests of the API server share: a running server, fake logs, and makers of objects."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.podlog import LogRequest
from pilotlight_local.apiserver.server import ApiServer

Object = dict[str, Any]
TOKEN = "sesame"

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For machines that do several things at once."""


class FakeLogs:
    """Three lines of log, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[LogRequest] = []

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.asked.append(request)
        lines = [b"one\n", b"two\n", b"three\n"]
        for line in lines[-request.tail :] if request.tail else lines:
            yield line


@dataclass
class Running:
    """A running server and a client of it."""

    server: ApiServer
    session: aiohttp.ClientSession
    logs: FakeLogs

    @property
    def cluster(self) -> Cluster:
        return self.server.cluster

    async def call(
        self, method: str, path: str, body: Any = None, status: int | None = None, **headers: str
    ) -> Any:
        """The decoded answer; `status` is asserted when it is given."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, json=body, headers=names) as response:
            answer = await response.json(content_type=None)
            if status is not None:
                assert response.status == status, answer
            return answer


@dataclass
class Secured:
    """A server with TLS, and the kubeconfig that leads to it."""

    server: ApiServer
    config: Path
    logs: FakeLogs


def make_deployment(name: str = "web", **spec: Any) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def make_pod(name: str = "pod", namespace: str = "default", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }


def make_crd(schema: Object, **version: Any) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "lamps", "kind": "Lamp", "shortNames": ["lp"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": schema}},
                    **version,
                }
            ],
        },
    }


def self_signed(directory: Path, name: str) -> tuple[bytes, ssl.SSLContext]:
    """A certificate that is its own authority: in PEM, and the server's side of TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = directory / "self-signed.pem"
    path.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return pem, context
