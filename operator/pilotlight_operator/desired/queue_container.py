"""The queue-proxy's container."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight_operator.desired import probe
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
    return {
        "name": names.QUEUE_PROXY,
        "image": settings.queue_image,
        "ports": _ports(revision),
        "env": _environment(revision, settings),
        "readinessProbe": probe.of_queue_proxy(revision),
        "resources": queue_resources(revision, settings.queue_resources),
        "securityContext": _SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _ports(revision: Obj) -> list[Obj]:
    return [
        _port("http-usermetric", names.QUEUE_METRICS_PORT),
        _port(names.QUEUE_PORT_NAME, queue_port(revision)),
    ]


def _port(name: str, number: int) -> Obj:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _environment(revision: Obj, settings: Settings) -> list[Obj]:
    spec, labels = spec_of(revision), labels_of(revision)
    values = {
        "SERVING_NAMESPACE": namespace_of(revision),
        "SERVING_SERVICE": labels.get(names.SERVICE_LABEL, ""),
        "SERVING_CONFIGURATION": labels.get(names.CONFIGURATION_LABEL, ""),
        "SERVING_REVISION": name_of(revision),
        "QUEUE_SERVING_PORT": str(queue_port(revision)),
        "CONTAINER_CONCURRENCY": _number(spec, "containerConcurrency"),
        "REVISION_TIMEOUT_SECONDS": _number(spec, "timeoutSeconds"),
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": _number(spec, "responseStartTimeoutSeconds"),
        "REVISION_IDLE_TIMEOUT_SECONDS": _number(spec, "idleTimeoutSeconds"),
        "SERVING_LOGGING_LEVEL": settings.queue_log_level,
        "USER_PORT": str(user_port(revision)),
        "SYSTEM_NAMESPACE": settings.system_namespace,
        "SERVING_READINESS_PROBE": probe.encoded(revision),
        "ENABLE_HTTP_FULL_DUPLEX": _full_duplex(revision),
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


def _reports(service: str, settings: Settings) -> str:
    host = names.service_host(service, settings.system_namespace, settings.cluster_domain)
    return f"{host}:{names.REPORT_PORT}"


def _from_field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
