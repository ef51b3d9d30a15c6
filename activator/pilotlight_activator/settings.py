"""The process's settings: environment in, frozen values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight import names
from pilotlight_activator.errors import SettingsError
from pilotlight_activator.objects import split_address

_ANY: Final = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports to listen on; 0 takes a free one."""

    external: int = names.GATEWAY_PORT
    internal: int = names.ACTIVATOR_HTTP_PORT
    reports: int = names.REPORT_PORT
    admin: int = names.ADMIN_PORT


@dataclass(frozen=True, slots=True)
class Queueing:
    """Bounds of what waits."""

    revision_count: int = 10_000
    """Requests that may wait for one Revision; Knative's activator has the same depth."""
    revision_size: int = 64 << 20
    """Bytes that these may hold."""
    count: int = 50_000
    """Requests that may wait in the process."""
    size: int = 256 << 20
    """Bytes that these may hold."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The end of the process, in seconds."""

    linger_s: float = 10.0
    """How long listeners still accept after readiness has failed, so that those who send to us
    notice first: endpoints are taken away in a second or two, load balancers are slower."""
    drain_s: float = 300.0
    """How long requests under way may take then; a Revision's default timeout."""
    parting_s: float = 2.0
    """How long a client's connection has been idle, at least, when it is closed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them."""

    bind: str = _ANY
    gateways: tuple[int, ...] = ()
    """Inherited descriptors of sockets that listen for the external gateway, besides its port."""
    pod: str = "activator"
    pod_ip: str = ""
    namespace: str = names.SYSTEM_NAMESPACE
    autoscaler: str = ""
    """`name:port` of the autoscalers' report listeners."""
    log_level: str = "info"
    ports: Ports = Ports()
    queueing: Queueing = Queueing()
    shutdown: Shutdown = Shutdown()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that an environment gives.

    Raises:
        SettingsError: a variable cannot be used.
    """
    namespace = environ.get(names.ENV_SYSTEM_NAMESPACE) or names.SYSTEM_NAMESPACE
    bind = environ.get(names.ENV_BIND) or _ANY
    default = Queueing(), Shutdown()
    autoscaler = names.service_host(names.AUTOSCALER_REPORTS_SERVICE, namespace)
    return Settings(
        bind=bind,
        gateways=_read_gateways(environ),
        pod=environ.get(names.ENV_POD_NAME) or "activator",
        pod_ip=environ.get(names.ENV_POD_IP) or ("" if bind == _ANY else bind),
        namespace=namespace,
        autoscaler=_address(environ, names.ENV_AUTOSCALER, f"{autoscaler}:{names.REPORT_PORT}"),
        log_level=environ.get(names.ENV_LOG_LEVEL) or "info",
        queueing=Queueing(
            revision_count=_whole(environ, names.ENV_QUEUE_REQUESTS, default[0].revision_count),
            revision_size=_whole(environ, names.ENV_QUEUE_BYTES, default[0].revision_size),
        ),
        shutdown=Shutdown(
            linger_s=_seconds(environ, names.ENV_LINGER_SECONDS, default[1].linger_s),
            drain_s=_seconds(environ, names.ENV_DRAIN_SECONDS, default[1].drain_s),
        ),
    )


def _read_gateways(environ: Mapping[str, str]) -> tuple[int, ...]:
    value = environ.get(names.ENV_GATEWAY) or ""
    parts = value.split(",") if value else []
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise SettingsError(f"{names.ENV_GATEWAY}={value!r} must be numbers separated by commas")
    return tuple(int(part) for part in parts)


def _address(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    try:
        split_address(value)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
    return value


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit()):
        raise SettingsError(f"{name}={value!r} must be a whole number, 0 or more")
    return int(value)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name)
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SettingsError(f"{name}={value!r} must be a number of seconds, 0 or more")
    return seconds
