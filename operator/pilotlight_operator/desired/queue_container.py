"""The queue-proxy's container."""

from __future__ import annotations

import json
from typing import Final

from pilotlight import names
from pilotlight.config.features import Flag
from pilotlight.config.observability import NONE, PROMETHEUS
from pilotlight_operator.desired import mounts, probe
from pilotlight_operator.desired.pod import queue_port, user_port
from pilotlight_operator.desired.resources import queue_resources
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)
from pilotlight_operator.settings import Settings

_SECURITY: Final[Obj] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def queue_container(revision: Obj, settings: Settings) -> Obj:
    container = {
        "name": names.QUEUE_PROXY,
        "image": settings.queue_image,
        "ports": _ports(revision, settings),
        "env": _environment(revision, settings),
        "readinessProbe": probe.of_queue_proxy(revision),
        "resources": queue_resources(revision, settings.queue_resources),
        "securityContext": _SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    mounted = mounts.of_queue_proxy(revision, settings)
    return {**container, "volumeMounts": mounted} if mounted else container


def _ports(revision: Obj, settings: Settings) -> list[Obj]:
    profiling = settings.observability.runtime_profiling
    return [
        _port("http-autometric", names.QUEUE_AUTOMETRIC_PORT),
        _port("http-usermetric", _metrics_port(settings)),
        *([_port("profiling-port", names.QUEUE_PROFILING_PORT)] if profiling else []),
        _port(names.QUEUE_PORT_NAME, queue_port(revision)),
        _port("https-port", names.QUEUE_TLS_PORT),
    ]


def _metrics_port(settings: Settings) -> int:
    metrics = settings.observability.request_metrics
    port = metrics.endpoint.rpartition(":")[2] if metrics.protocol == PROMETHEUS else ""
    return int(port) if port.isdigit() else names.QUEUE_METRICS_PORT


def _port(name: str, number: int) -> Obj:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _environment(revision: Obj, settings: Settings) -> list[Obj]:
    spec, labels = spec_of(revision), labels_of(revision)
    tls = settings.deployment.queue_sidecar_tls
    values = {
        "SERVING_NAMESPACE": namespace_of(revision),
        "SERVING_SERVICE": labels.get(names.SERVICE_LABEL, ""),
        "SERVING_CONFIGURATION": labels.get(names.CONFIGURATION_LABEL, ""),
        "SERVING_REVISION": name_of(revision),
        "QUEUE_SERVING_PORT": str(queue_port(revision)),
        "QUEUE_SERVING_TLS_PORT": str(names.QUEUE_TLS_PORT),
        "CONTAINER_CONCURRENCY": _number(spec, "containerConcurrency"),
        "REVISION_TIMEOUT_SECONDS": _number(spec, "timeoutSeconds"),
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": _number(spec, "responseStartTimeoutSeconds"),
        "REVISION_IDLE_TIMEOUT_SECONDS": _number(spec, "idleTimeoutSeconds"),
        "SERVING_LOGGING_CONFIG": settings.logging.zap_logger_config,
        "SERVING_LOGGING_LEVEL": settings.queue_log_level,
        "USER_PORT": str(user_port(revision)),
        "SYSTEM_NAMESPACE": settings.system_namespace,
        "SERVING_READINESS_PROBE": probe.encoded(revision, settings.probes_all_containers),
        "ENABLE_HTTP2_AUTO_DETECTION": _enabled(settings.features.autodetect_http2),
        "ENABLE_HTTP_FULL_DUPLEX": _full_duplex(revision),
        "ROOT_CA": settings.deployment.queue_sidecar_rootca,
        "QUEUE_PROXY_TLS_MIN_VERSION": tls.min_version,
        "QUEUE_PROXY_TLS_MAX_VERSION": tls.max_version,
        "QUEUE_PROXY_TLS_CIPHER_SUITES": tls.cipher_suites,
        "QUEUE_PROXY_TLS_CURVE_PREFERENCES": tls.curve_preferences,
        "ENABLE_MULTI_CONTAINER_PROBES": str(settings.probes_all_containers).lower(),
        "OBSERVABILITY_CONFIG": _observability(settings),
        names.ENV_REVISION_UID: uid_of(revision),
        names.ENV_AUTOSCALER: _reports(names.AUTOSCALER_REPORTS_SERVICE, settings),
        names.ENV_ACTIVATOR: _reports(names.ACTIVATOR_REPORTS_SERVICE, settings),
    }
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        _from_field("SERVING_POD", "metadata.name"),
        _from_field("SERVING_POD_IP", "status.podIP"),
        _from_field("HOST_IP", "status.hostIP"),
        {
            "name": names.ENV_KEY,
            "valueFrom": {
                "secretKeyRef": {
                    "name": names.key_secret_name(name_of(revision)),
                    "key": names.REVISION_KEY_FIELD,
                }
            },
        },
    ]


def _number(spec: Obj, field: str) -> str:
    return str(int(spec.get(field) or 0))


def _full_duplex(revision: Obj) -> str:
    value = annotations_of(revision).get(names.FULL_DUPLEX_ANNOTATION, "")
    return "true" if value.lower() == "enabled" else "false"


def _enabled(flag: Flag) -> str:
    return "true" if flag is Flag.ENABLED else "false"


def _observability(settings: Settings) -> str:
    """What concerns the queue-proxy, as JSON: what is off is left out, so that a pod is not
    replaced for a template that nobody uses.
    """
    given = settings.observability
    told: Obj = {}
    if given.enable_request_log:
        told["enableRequestLog"] = True
        told["requestLogTemplate"] = given.request_log_template
        if given.enable_probe_request_log:
            told["enableProbeRequestLog"] = True
    metrics = given.request_metrics
    if metrics.protocol != NONE:
        told["requestMetrics"] = {"protocol": metrics.protocol}
        if metrics.endpoint:
            told["requestMetrics"]["endpoint"] = metrics.endpoint
        if metrics.export_interval_s:
            told["requestMetrics"]["exportInterval"] = metrics.export_interval_s
    tracing = given.tracing
    if tracing.protocol != NONE:
        told["tracing"] = {"protocol": tracing.protocol, "samplingRate": tracing.sampling_rate}
        if tracing.endpoint:
            told["tracing"]["endpoint"] = tracing.endpoint
    if given.runtime_profiling:
        told["runtime"] = {"profiling": "enabled"}
    return json.dumps(told, separators=(",", ":"))


def _reports(service: str, settings: Settings) -> str:
    host = names.service_host(service, settings.system_namespace, settings.cluster_domain)
    return f"{host}:{names.REPORT_PORT}"


def _from_field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
