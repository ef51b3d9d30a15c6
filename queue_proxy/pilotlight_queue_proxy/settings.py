"""The queue-proxy's environment, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pilotlight import names
from pilotlight.http.limits import Timeouts
from pilotlight_queue_proxy.observability import (
    Observability,
    ObservabilityError,
    parse_observability,
)
from pilotlight_queue_proxy.probe import ProbeError, ProbeSpec, parse_probes

_ANY_ADDRESS = "0.0.0.0"
_LARGEST_PORT = 65535
_QUEUE_PER_SLOT = 10


class SettingsError(ValueError):
    """A variable of the environment has no usable value; the text names it and the rule."""


class Identity(NamedTuple):
    """Whose queue-proxy this is."""

    namespace: str
    service: str
    configuration: str
    revision: str
    revision_uid: str
    pod: str
    pod_ip: str


class Reporting(NamedTuple):
    """Where load is reported. Endpoints are "name:port"; without a key nothing is reported."""

    autoscaler: str
    activator: str
    key: bytes


class Settings(NamedTuple):
    """See the variables' names in `parse`."""

    identity: Identity
    reporting: Reporting
    bind: str
    port: int
    user_port: int
    user_socket: str
    """The path of a UNIX socket at which the container listens in place of the port, or empty."""
    admin_port: int
    metrics_port: int
    concurrency: int
    """Requests in the user's container at a time; 0 sets no limit."""
    timeouts: Timeouts
    probes: tuple[ProbeSpec, ...]
    log_level: str
    observability: Observability = Observability()
    http2_detection: bool = False
    """Whether an HTTP probe is tried as HTTP/2 with prior knowledge first."""
    autometric_port: int = names.QUEUE_AUTOMETRIC_PORT
    profiling_port: int = names.QUEUE_PROFILING_PORT
    tls: tuple[str, str, str, str] = ("", "", "", "")
    """Least and greatest version, cipher suites, curves, as config-deployment spells them."""
    tls_port: int = names.QUEUE_TLS_PORT
    certificates: str = names.CERTIFICATES_PATH
    """The directory of `tls.crt` and `tls.key`; without them there is no TLS."""
    quiet_s: float = 30.0
    """Without requests that bypass the activator, before a draining pod believes that nobody
    knows it any more."""

    @property
    def h2c(self) -> bool:
        """Whether the user's container speaks HTTP/2: the port says what its own is named."""
        return self.port == names.QUEUE_H2C_PORT

    @property
    def queue_length(self) -> int:
        """Requests that may wait for a slot."""
        return _QUEUE_PER_SLOT * self.concurrency

    @property
    def address(self) -> str:
        """Where this pod takes requests, as collectors are told."""
        ip = self.identity.pod_ip or (self.bind if self.bind != _ANY_ADDRESS else "127.0.0.1")
        return f"[{ip}]:{self.port}" if ":" in ip else f"{ip}:{self.port}"


def parse(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; SettingsError names the variable and the rule."""
    system = environ.get(names.ENV_SYSTEM_NAMESPACE) or names.SYSTEM_NAMESPACE
    user_port = _port(environ, "USER_PORT", names.DEFAULT_USER_PORT)
    user_socket = environ.get(names.ENV_USER_SOCKET, "")
    observability = _observability(environ)
    return Settings(
        identity=Identity(
            namespace=_required(environ, "SERVING_NAMESPACE"),
            service=environ.get("SERVING_SERVICE", ""),
            configuration=environ.get("SERVING_CONFIGURATION", ""),
            revision=_required(environ, "SERVING_REVISION"),
            revision_uid=environ.get(names.ENV_REVISION_UID, ""),
            pod=environ.get("SERVING_POD", ""),
            pod_ip=environ.get("SERVING_POD_IP", ""),
        ),
        reporting=Reporting(
            autoscaler=_endpoint(
                environ, names.ENV_AUTOSCALER, names.AUTOSCALER_REPORTS_SERVICE, system
            ),
            activator=_endpoint(
                environ, names.ENV_ACTIVATOR, names.ACTIVATOR_REPORTS_SERVICE, system
            ),
            key=_key(environ),
        ),
        bind=environ.get(names.ENV_BIND) or _ANY_ADDRESS,
        port=_port(environ, "QUEUE_SERVING_PORT", names.QUEUE_HTTP_PORT),
        user_port=user_port,
        user_socket=user_socket,
        admin_port=names.QUEUE_ADMIN_PORT,
        metrics_port=observability.metrics_port,
        concurrency=_number(environ, "CONTAINER_CONCURRENCY", 0),
        timeouts=Timeouts(
            total_s=_number(environ, "REVISION_TIMEOUT_SECONDS", 300),
            response_start_s=_number(environ, "REVISION_RESPONSE_START_TIMEOUT_SECONDS", 0),
            idle_s=_number(environ, "REVISION_IDLE_TIMEOUT_SECONDS", 0),
        ),
        probes=_probes(environ, user_port, user_socket),
        log_level=_log_level(environ),
        observability=observability,
        tls=(
            environ.get("QUEUE_PROXY_TLS_MIN_VERSION", ""),
            environ.get("QUEUE_PROXY_TLS_MAX_VERSION", ""),
            environ.get("QUEUE_PROXY_TLS_CIPHER_SUITES", ""),
            environ.get("QUEUE_PROXY_TLS_CURVE_PREFERENCES", ""),
        ),
        tls_port=_port(environ, "QUEUE_SERVING_TLS_PORT", names.QUEUE_TLS_PORT),
        http2_detection=environ.get("ENABLE_HTTP2_AUTO_DETECTION", "").lower() == "true",
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} must be set and not empty")
    return value


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"{name} is {text!r}, must be a whole number, not negative")
    return int(text)


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    port = _number(environ, name, default)
    if not 1 <= port <= _LARGEST_PORT:
        raise SettingsError(f"{name} is {port}, must be between 1 and {_LARGEST_PORT}")
    return port


def _endpoint(environ: Mapping[str, str], name: str, service: str, namespace: str) -> str:
    default = f"{names.service_host(service, namespace)}:{names.REPORT_PORT}"
    endpoint = environ.get(name) or default
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"{name} is {endpoint!r}, must be of the form name:port")
    return endpoint


def _key(environ: Mapping[str, str]) -> bytes:
    try:
        return bytes.fromhex(environ.get(names.ENV_KEY, ""))
    except ValueError:
        raise SettingsError(f"{names.ENV_KEY} must be hexadecimal") from None


def _probes(environ: Mapping[str, str], user_port: int, user_socket: str) -> tuple[ProbeSpec, ...]:
    text = environ.get("SERVING_READINESS_PROBE", "")
    try:
        probes = parse_probes(text, user_port)
    except ProbeError as error:
        raise SettingsError(f"SERVING_READINESS_PROBE: {error}") from None
    if not user_socket:
        return probes
    return tuple(p._replace(socket=user_socket) if p.port == user_port else p for p in probes)


def _observability(environ: Mapping[str, str]) -> Observability:
    try:
        return parse_observability(environ.get("OBSERVABILITY_CONFIG", ""))
    except ObservabilityError as error:
        raise SettingsError(f"OBSERVABILITY_CONFIG: {error}") from None


_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning"}


def _log_level(environ: Mapping[str, str]) -> str:
    """Knative's level names; what is graver than `warn` is `error` here."""
    level = environ.get("SERVING_LOGGING_LEVEL") or environ.get(names.ENV_LOG_LEVEL) or "info"
    return _LEVELS.get(level.lower(), "error")
