"""ConfigMap `config-observability`: request logs, metrics, traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight.config import log_template
from pilotlight.config.go_values import ConfigError, Keys

NONE: Final = "none"
PROMETHEUS: Final = "prometheus"
_EXPORTED: Final = ("http/protobuf", "grpc")
_METRICS: Final = (NONE, PROMETHEUS, *_EXPORTED)
_TRACES: Final = (NONE, *_EXPORTED, "stdout")
DEFAULT_REQUEST_LOG_TEMPLATE: Final = (
    '{"httpRequest": {"requestMethod": "{{.Request.Method}}", '
    '"requestUrl": "{{js .Request.RequestURI}}", "requestSize": "{{.Request.ContentLength}}", '
    '"status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", '
    '"userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", '
    '"serverIp": "{{.Revision.PodIP}}", "referer": "{{js .Request.Referer}}", '
    '"latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, '
    '"traceId": "{{.TraceID}}"}'
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where metrics go."""

    protocol: str = NONE
    endpoint: str = ""
    export_interval_s: float = 0.0
    """0 leaves the choice to the exporter."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where traces go."""

    protocol: str = NONE
    endpoint: str = ""
    sampling_rate: float = 0.0
    """Part of the requests, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Observability:
    """Request logs, metrics, traces."""

    enable_var_log_collection: bool = False
    revision_url_template: str = ""
    request_log_template: str = DEFAULT_REQUEST_LOG_TEMPLATE
    enable_request_log: bool = False
    enable_probe_request_log: bool = False
    metrics: Metrics = Metrics()
    request_metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()
    runtime_profiling: bool = False
    runtime_export_interval_s: float = 15.0


def parse(data: Mapping[str, str]) -> Observability:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    config = Observability(
        enable_var_log_collection=keys.boolean(False, "logging.enable-var-log-collection"),
        revision_url_template=keys.text("logging.revision-url-template"),
        request_log_template=keys.text(
            "logging.request-log-template", default=DEFAULT_REQUEST_LOG_TEMPLATE
        ),
        enable_request_log=keys.boolean(False, "logging.enable-request-log"),
        enable_probe_request_log=keys.boolean(False, "logging.enable-probe-request-log"),
        metrics=_metrics(keys, "metrics"),
        request_metrics=_metrics(keys, "request-metrics"),
        tracing=_tracing(keys),
        runtime_profiling=keys.parsed(_switched_on, False, "runtime-profiling"),
        runtime_export_interval_s=_interval(keys, "runtime-export-interval", 15.0),
    )
    template = config.request_log_template
    if config.enable_request_log and not template:
        _refuse("logging.enable-request-log", "true", "was set to true, but no template was given")
    try:
        log_template.parse(template)
    except log_template.TemplateError as error:
        _refuse("logging.request-log-template", template, str(error))
    return config


def _metrics(keys: Keys, prefix: str) -> Metrics:
    protocol = keys.text(f"{prefix}-protocol", default=NONE) or NONE
    endpoint = keys.text(f"{prefix}-endpoint")
    if protocol not in _METRICS:
        _refuse(f"{prefix}-protocol", protocol, f"must be one of {', '.join(_METRICS)}")
    _check_endpoint(f"{prefix}-endpoint", protocol, endpoint)
    return Metrics(protocol, endpoint, _interval(keys, f"{prefix}-export-interval", 0.0))


def _tracing(keys: Keys) -> Tracing:
    protocol = keys.text("tracing-protocol", default=NONE) or NONE
    endpoint = keys.text("tracing-endpoint")
    if protocol not in _TRACES:
        _refuse("tracing-protocol", protocol, f"must be one of {', '.join(_TRACES)}")
    _check_endpoint("tracing-endpoint", protocol, endpoint)
    rate = keys.number(0.0, "tracing-sampling-rate")
    if not 0 <= rate <= 1:
        _refuse("tracing-sampling-rate", str(rate), "must be between 0 and 1")
    return Tracing(protocol, endpoint, rate)


def _check_endpoint(key: str, protocol: str, endpoint: str) -> None:
    if protocol in _EXPORTED and not endpoint:
        _refuse(key, endpoint, f"is needed when the protocol is {protocol}")
    if protocol not in (*_EXPORTED, PROMETHEUS) and endpoint:
        _refuse(key, endpoint, f"must be empty when the protocol is {protocol}")


def _interval(keys: Keys, key: str, default: float) -> float:
    seconds = keys.seconds(default, key)
    if seconds < 0:
        _refuse(key, keys.text(key), "must not be negative")
    return seconds


def _switched_on(text: str) -> bool:
    if text in ("enabled", "disabled"):
        return text == "enabled"
    raise ValueError(f'"{text}" is neither enabled nor disabled')


def _refuse(key: str, value: str, rule: str) -> None:
    raise ConfigError(key, value, rule, f'{key} = "{value}": {rule}')
