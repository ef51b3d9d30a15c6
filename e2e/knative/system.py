"""Knative Serving's own programs, webhooks and definitions."""

from __future__ import annotations

from e2e.knative.past import AUTOSCALING, NETWORKING, SERVING, WEBHOOK, Object, port_of


def definitions() -> list[Object]:
    """The kinds that only Knative has."""
    return [
        _definition(AUTOSCALING, "metrics", "Metric"),
        _definition(NETWORKING, "serverlessservices", "ServerlessService"),
    ]


def _definition(group: str, plural: str, kind: str) -> Object:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": anything},
                }
            ],
        },
    }


def control_plane(image: str) -> list[Object]:
    """What of them is called as something of ours, or acts on it. The programs only stand in."""
    found = [
        _component("activator", {"app": "activator", "role": "activator"}, image),
        _component("autoscaler", {"app": "autoscaler"}, image),
        _component("controller", {"app": "controller"}, image),
        _component("webhook", {"app": "webhook", "role": "webhook"}, image),
        _component("net-kourier-controller", {"app": "net-kourier-controller"}, image),
        _service_of("activator-service", {"app": "activator"}, [port_of("http", 80, 8012)]),
        _service_of("autoscaler", {"app": "autoscaler"}, [port_of("http", 8080, 8080)]),
        _service_of("webhook", {"role": "webhook"}, [port_of("https-webhook", 443, 8443)]),
    ]
    for name in ("activator", "webhook"):
        found += [_autoscaled(name), _budget(name)]
    return found


def webhooks() -> list[Object]:
    """They ask the Service `webhook`, whom they trust by a certificate that is none of ours."""
    ours = [SERVING, NETWORKING, AUTOSCALING]
    everything = {"apiGroups": ours, "apiVersions": ["*"], "resources": ["*"], "scope": "*"}
    config = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "scope": "*"}
    own = {"matchLabels": {"app.kubernetes.io/name": "knative-serving"}}
    return [
        _webhook("Mutating", WEBHOOK, "defaulting", everything),
        _webhook("Validating", f"validation.{WEBHOOK}", "resource-validation", everything),
        _webhook("Validating", f"config.{WEBHOOK}", "config-validation", config, own),
    ]


def _component(name: str, labels: Object, image: str) -> Object:
    container = {
        "name": name,
        "image": image,
        "env": [{"name": "NEVER_LISTEN", "value": "true"}],
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _of_the_system(name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _service_of(name: str, selector: Object, ports: list[Object]) -> Object:
    metadata, spec = _of_the_system(name), {"selector": selector, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _autoscaled(name: str) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _of_the_system(name),
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 20},
    }


def _budget(name: str) -> Object:
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _of_the_system(f"{name}-pdb"),
        "spec": {"minAvailable": "80%", "selector": selector},
    }


def _webhook(
    kind: str, name: str, path: str, rule: Object, objects: Object | None = None
) -> Object:
    service = {"name": "webhook", "namespace": "knative-serving", "path": f"/{path}", "port": 443}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": name,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": service, "caBundle": ""},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 10,
                "rules": [{**rule, "operations": ["CREATE", "UPDATE"]}],
                **({"objectSelector": objects} if objects else {}),
            }
        ],
    }


def _of_the_system(name: str) -> Object:
    labels = {"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": "1.20.0"}
    return {"name": name, "namespace": "knative-serving", "labels": labels}
