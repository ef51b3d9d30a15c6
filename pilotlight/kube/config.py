"""Where the Kubernetes API is and how to speak to it: a kubeconfig, or a service account."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeConfigError(Exception):
    """The API cannot be reached with what the environment says; names the file and the field."""


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """How to reach one API server. `token_path` is read again for each connection's header, since
    a service account's token is replaced while the process lives.
    """

    server: str
    ca: str | None = None
    insecure: bool = False
    token: str | None = None
    token_path: Path | None = None
    client_certificate: tuple[Path, Path] | None = None
    namespace: str = "default"

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context for the server, None for plain HTTP."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate is not None:
            context.load_cert_chain(*self.client_certificate)
        return context

    def bearer(self) -> str | None:
        if self.token_path is not None:
            return self.token_path.read_text().strip()
        return self.token


def from_environment(environ: Mapping[str, str] = os.environ) -> KubeConfig:
    """The file that $KUBECONFIG names, or the service account of the pod, or ~/.kube/config."""
    named = environ.get("KUBECONFIG")
    if named:
        return from_file(Path(named.split(os.pathsep)[0]))
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if host and port:
        return KubeConfig(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            ca=(_ACCOUNT / "ca.crt").read_text(),
            token_path=_ACCOUNT / "token",
            namespace=(_ACCOUNT / "namespace").read_text().strip(),
        )
    return from_file(Path.home() / ".kube" / "config")


def from_file(path: Path) -> KubeConfig:
    """The current context of a kubeconfig file."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise KubeConfigError(f"{path}: cannot be read as a kubeconfig: {error}") from error
    if not isinstance(document, dict):
        raise KubeConfigError(f"{path}: is not a kubeconfig")
    context = _named(document, "contexts", document.get("current-context"), path)["context"]
    cluster = _named(document, "clusters", context.get("cluster"), path)["cluster"]
    user = _named(document, "users", context.get("user"), path).get("user") or {}
    token_file = user.get("tokenFile")
    return KubeConfig(
        server=str(cluster["server"]).rstrip("/"),
        ca=_content(cluster, "certificate-authority", path),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        token=user.get("token"),
        token_path=path.parent / token_file if token_file else None,
        client_certificate=_client_certificate(user, path),
        namespace=context.get("namespace") or "default",
    )


def _named(document: dict[str, Any], section: str, name: Any, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return dict(entry)
    raise KubeConfigError(f"{path}: {section} has no entry named {name!r}")


def _content(entry: Mapping[str, Any], key: str, path: Path) -> str | None:
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"]).decode()
    if entry.get(key):
        return (path.parent / str(entry[key])).read_text()
    return None


def _client_certificate(user: Mapping[str, Any], path: Path) -> tuple[Path, Path] | None:
    if user.get("client-certificate") and user.get("client-key"):
        return path.parent / user["client-certificate"], path.parent / user["client-key"]
    if user.get("client-certificate-data") and user.get("client-key-data"):
        return _written(user, "client-certificate-data"), _written(user, "client-key-data")
    return None


def _written(user: Mapping[str, Any], key: str) -> Path:
    """The ssl module loads client certificates from files only."""
    import tempfile

    with tempfile.NamedTemporaryFile("wb", suffix=".pem", delete=False) as file:
        file.write(base64.b64decode(user[key]))
    return Path(file.name)
