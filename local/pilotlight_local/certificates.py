"""The API server's own certificate authority, made once per instance directory."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pilotlight.certificates import CertificateRequest, generate

_LIFETIME: Final = timedelta(days=3650)
_RENEWED_BEFORE: Final = timedelta(days=30)
_NAMES: Final = ("kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost")
_ADDRESSES: Final = ("127.0.0.1", "::1")
_REQUEST: Final = CertificateRequest("pilotlight local mode", (*_NAMES, *_ADDRESSES), _LIFETIME)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The authority's certificate in PEM, and the server's side of TLS."""

    ca: bytes
    context: ssl.SSLContext


def certificates(directory: Path, now: datetime) -> Certificates:
    """Those of the directory, or new ones when there are none or they are about to expire."""
    paths = [directory / name for name in ("ca.crt", "server.crt", "server.key")]
    if not all(path.is_file() for path in paths) or _expires_soon(paths[0], now):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = generate(_REQUEST, now)
        for path, content in zip(paths, (made.ca, made.certificate, made.key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[1], paths[2])
    return Certificates(paths[0].read_bytes(), context)


def _expires_soon(path: Path, now: datetime) -> bool:
    """By the file's age, since reading a certificate costs a heavy import at every start."""
    age = timedelta(seconds=now.timestamp() - os.stat(path).st_mtime)
    return age > _LIFETIME - _RENEWED_BEFORE
