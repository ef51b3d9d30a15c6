"""TLS at a port of its own, for pods in which a certificate is mounted. Imported only there."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import Final, NamedTuple

_log: Final = logging.getLogger("tls")

RELOAD_S: Final = 60.0
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CURVES: Final = {
    "X25519": "X25519", "CurveP256": "prime256v1", "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}  # fmt: skip


class TLSSettings(NamedTuple):
    """As config-deployment spells them; empty leaves the choice to OpenSSL."""

    min_version: str = ""
    max_version: str = ""
    cipher_suites: str = ""
    """Go's names, comma-separated; they concern TLS 1.2."""
    curve_preferences: str = ""


class Certificates:
    """A server's context whose certificate follows the files. Raises OSError, ssl.SSLError (which
    is one) or ValueError for what cannot be used.
    """

    def __init__(self, directory: str, settings: TLSSettings) -> None:
        self._paths = (f"{directory}/tls.crt", f"{directory}/tls.key")
        self.context = _context(settings)
        self._loaded = self._stamp()
        self.context.load_cert_chain(*self._paths)

    async def follow(self, interval_s: float = RELOAD_S) -> None:
        """Load the files again when they have changed. Connections that are open stay."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                stamp = self._stamp()
                if stamp != self._loaded:
                    self.context.load_cert_chain(*self._paths)
                    self._loaded = stamp
                    _log.info("the certificate has been renewed")
            except OSError as error:
                _log.warning("the certificate cannot be loaded", extra={"error": str(error)})

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        stats = [os.stat(path) for path in self._paths]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)


def _context(settings: TLSSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS["1.2"]
    context.set_alpn_protocols(["http/1.1"])
    if settings.min_version:
        context.minimum_version = _version(settings.min_version)
    if settings.max_version:
        context.maximum_version = _version(settings.max_version)
    if settings.cipher_suites:
        context.set_ciphers(":".join(_cipher(name) for name in _names(settings.cipher_suites)))
    curves = _names(settings.curve_preferences)
    if curves:
        # OpenSSL's interface in Python takes one: the one preferred.
        if curves[0] not in _CURVES:
            raise ValueError(f"unknown curve {curves[0]!r}, must be one of {', '.join(_CURVES)}")
        context.set_ecdh_curve(_CURVES[curves[0]])
    return context


def _version(text: str) -> ssl.TLSVersion:
    if text not in _VERSIONS:
        raise ValueError(f"unknown TLS version {text!r}, must be 1.2 or 1.3")
    return _VERSIONS[text]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _cipher(name: str) -> str:
    """`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256` to OpenSSL."""
    exchange, found, cipher = name.removeprefix("TLS_").partition("_WITH_")
    if not found:
        raise ValueError(f"unknown cipher suite {name!r}")
    cipher = cipher.replace("AES_", "AES").replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
    return f"{exchange}_{cipher}".replace("RSA_AES", "RSA-AES").replace("_", "-")
