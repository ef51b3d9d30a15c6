"""Volumes that the cluster's configuration adds to a pod. By default there is none: the kubelet
looks for mounted volumes only every 300 ms, and a pod without any starts sooner.
"""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.config.features import Flag
from pilotlight_operator.objects import Obj, annotations_of
from pilotlight_operator.settings import Settings

_POD_INFO: Final = "pod-info"
_TOKENS: Final = "knative-token-volume"
_CERTIFICATES: Final = "server-certs"
_VAR_LOG: Final = "knative-var-log"
_TOKEN_S: Final = 3600
_LOG_NAME: Final = "K_INTERNAL_POD_NAME"
_LOG_NAMESPACE: Final = "K_INTERNAL_POD_NAMESPACE"


def volumes(revision: Obj, settings: Settings) -> list[Obj]:
    """What the mounts below refer to."""
    found: list[Obj] = []
    if _wants_pod_info(revision, settings):
        item = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
        found.append({"name": _POD_INFO, "downwardAPI": {"items": [item]}})
    audiences = sorted(settings.deployment.queue_sidecar_token_audiences)
    if audiences:
        sources = [{"serviceAccountToken": _token(audience)} for audience in audiences]
        found.append({"name": _TOKENS, "projected": {"sources": sources}})
    if settings.network.system_internal_tls:
        # A pod starts without it as well, and its queue-proxy without TLS then.
        secret = {"secretName": names.SERVING_CERTS_SECRET, "optional": True}
        found.append({"name": _CERTIFICATES, "secret": secret})
    if settings.observability.enable_var_log_collection:
        found.append({"name": _VAR_LOG, "emptyDir": {}})
    return found


def of_queue_proxy(revision: Obj, settings: Settings) -> list[Obj]:
    found: list[Obj] = []
    if _wants_pod_info(revision, settings):
        found.append(_mount(_POD_INFO, "/etc/podinfo"))
    if settings.deployment.queue_sidecar_token_audiences:
        found.append(_mount(_TOKENS, "/var/run/secrets/tokens"))
    if settings.network.system_internal_tls:
        found.append(_mount(_CERTIFICATES, names.CERTIFICATES_PATH))
    return found


def with_logs(container: Obj, settings: Settings) -> Obj:
    """A user's container whose /var/log somebody on the node collects, if that is switched on."""
    if not settings.observability.enable_var_log_collection:
        return container
    place = f"$({_LOG_NAMESPACE})_$({_LOG_NAME})_{container['name']}"
    mount = {"name": _VAR_LOG, "mountPath": "/var/log", "subPathExpr": place}
    return {
        **container,
        "env": [
            *(container.get("env") or ()),
            _from_field(_LOG_NAME, "metadata.name"),
            _from_field(_LOG_NAMESPACE, "metadata.namespace"),
        ],
        "volumeMounts": [*(container.get("volumeMounts") or ()), mount],
    }


def _wants_pod_info(revision: Obj, settings: Settings) -> bool:
    flag = settings.features.queueproxy_mount_podinfo
    asked = annotations_of(revision).get(names.POD_INFO_ANNOTATION, "")
    return flag is Flag.ENABLED or (flag is Flag.ALLOWED and asked.lower() == "enabled")


def _token(audience: str) -> Obj:
    return {"audience": audience, "expirationSeconds": _TOKEN_S, "path": audience}


def _mount(name: str, path: str) -> Obj:
    return {"name": name, "mountPath": path, "readOnly": True}


def _from_field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
