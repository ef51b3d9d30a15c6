"""What config-observability asks of a queue-proxy, as the environment has it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from pilotlight import names

NONE = "none"
PROMETHEUS = "prometheus"
_LARGEST_PORT = 65535


class ObservabilityError(ValueError):
    """The text cannot be used; it says why."""


class Observability(NamedTuple):
    """As of a queue-proxy that nobody has told anything."""

    log_template: str = ""
    """Of the request log; empty: there is none."""
    log_probes: bool = False
    metrics: str = PROMETHEUS
    metrics_host: str = ""
    """Where Prometheus scrapes; empty: as all other ports."""
    metrics_port: int = names.QUEUE_METRICS_PORT
    metrics_endpoint: str = ""
    """Where metrics are pushed."""
    metrics_interval_s: float = 0.0
    traces: str = NONE
    traces_endpoint: str = ""
    traces_rate: float = 0.0
    """Of requests that say nothing about it themselves, 0 to 1."""
    profiling: bool = False


def parse_observability(text: str) -> Observability:
    """Read the JSON object that the operator writes. Raises ObservabilityError."""
    if not text:
        return Observability()
    import json

    try:
        given = json.loads(text)
    except ValueError as error:
        raise ObservabilityError(f"is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise ObservabilityError("must be an object")
    metrics, tracing = _object(given, "requestMetrics"), _object(given, "tracing")
    host, port = _endpoint(str(metrics.get("endpoint") or ""), metrics.get("protocol"))
    return Observability(
        log_template=_log_template(given),
        log_probes=bool(given.get("enableProbeRequestLog")),
        metrics=str(metrics.get("protocol") or NONE),
        metrics_host=host,
        metrics_port=port,
        metrics_endpoint=str(metrics.get("endpoint") or ""),
        metrics_interval_s=_number(metrics.get("exportInterval")),
        traces=str(tracing.get("protocol") or NONE),
        traces_endpoint=str(tracing.get("endpoint") or ""),
        traces_rate=_number(tracing.get("samplingRate")),
        profiling=_object(given, "runtime").get("profiling") == "enabled",
    )


def _object(given: dict[str, Any], field: str) -> dict[str, Any]:
    value = given.get(field) or {}
    if not isinstance(value, dict):
        raise ObservabilityError(f"{field} must be an object")
    return value


def _number(value: Any) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or value < 0:
        raise ObservabilityError(f"{value!r} must be a number, not negative")
    return float(value)


def _log_template(given: dict[str, Any]) -> str:
    if not given.get("enableRequestLog"):
        return ""
    return str(given.get("requestLogTemplate") or "")


def _endpoint(text: str, protocol: Any) -> tuple[str, int]:
    """The `host:port` at which Prometheus scrapes, either of which may be missing."""
    if not text or protocol != PROMETHEUS:
        return "", names.QUEUE_METRICS_PORT
    host, _, port = text.rpartition(":")
    if not port:
        return host.strip("[]"), names.QUEUE_METRICS_PORT
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= _LARGEST_PORT):
        raise ObservabilityError(f"requestMetrics.endpoint is {text!r}, must be host:port")
    return host.strip("[]"), int(port)
