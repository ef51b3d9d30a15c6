"""Deployments and pods of Revisions, with Knative's queue-proxy."""

from __future__ import annotations

import copy
import json

from e2e.knative.past import Object, Past, below, child_of, name_of, uid_of


def deployment_of(past: Past, revision: Object) -> Object:
    labels, annotations = below(revision)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_of(
            revision,
            f"{name_of(revision)}-deployment",
            {**labels, "serving.knative.dev/deployment-hash": "1a2b3c4"},
            annotations,
        ),
        "spec": {
            "replicas": past.replicas,
            "selector": {"matchLabels": {"serving.knative.dev/revisionUID": uid_of(revision)}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        **annotations,
                        "kubectl.kubernetes.io/default-container": "user-container",
                    },
                },
                "spec": _pod(past, revision),
            },
        },
    }


def _pod(past: Past, revision: Object) -> Object:
    user = copy.deepcopy(revision["spec"]["containers"][0])
    del user["readinessProbe"]
    user["image"] = past.digest or user["image"]
    user["ports"] = [{"name": "user-port", "containerPort": 8080, "protocol": "TCP"}]
    user["env"] = [*user.get("env", ()), {"name": "PORT", "value": "8080"}, *_identity(revision)]
    user["lifecycle"] = {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    user["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return {
        "containers": [user, _queue_proxy(revision)],
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 300,
    }


def _queue_proxy(revision: Object) -> Object:
    """Knative's own image is not to be had: the suite's program stands in for it, when it is
    configured as one.
    """
    labels = revision["metadata"]["labels"]
    values = {
        "SERVING_NAMESPACE": revision["metadata"]["namespace"],
        "SERVING_SERVICE": labels["serving.knative.dev/service"],
        "SERVING_CONFIGURATION": labels["serving.knative.dev/configuration"],
        "SERVING_REVISION": name_of(revision),
        "QUEUE_SERVING_PORT": "8012",
        "QUEUE_SERVING_TLS_PORT": "8112",
        "CONTAINER_CONCURRENCY": "0",
        "REVISION_TIMEOUT_SECONDS": "300",
        "USER_PORT": "8080",
        "SERVING_READINESS_PROBE": json.dumps(
            {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}, "successThreshold": 1}
        ),
    }
    ports = {"http-autometric": 9090, "http-usermetric": 9091, "queue-port": 8012}
    asked = {"httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}], "port": 8012}
    return {
        "name": "queue-proxy",
        "image": revision["spec"]["containers"][0]["image"],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
        ],
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "readinessProbe": {"httpGet": asked, "successThreshold": 1, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "25m"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _identity(revision: Object) -> list[Object]:
    labels = revision["metadata"]["labels"]
    values = {
        "K_REVISION": name_of(revision),
        "K_CONFIGURATION": labels["serving.knative.dev/configuration"],
        "K_SERVICE": labels["serving.knative.dev/service"],
    }
    return [{"name": name, "value": value} for name, value in values.items()]
