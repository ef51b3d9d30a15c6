"""Manifests for tests: small, valid, and easy to break."""

from __future__ import annotations

import copy
from typing import Any

from pilotlight.api.admission import AdmissionContext, Operation, default, validate
from pilotlight.config.autoscaler import Autoscaler
from pilotlight.config.defaults import Defaults
from pilotlight.config.features import Features

Obj = dict[str, Any]
PREFIX = "spec.template.spec"


def service(**container: Any) -> Obj:
    return service_of({"containers": [{"image": "example.com/hello", **container}]})


def service_of(spec: Obj, *, name: str = "hello", annotations: Obj | None = None) -> Obj:
    metadata = {"annotations": annotations} if annotations else {}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"metadata": metadata, "spec": copy.deepcopy(spec)}},
    }


def configuration(**container: Any) -> Obj:
    return {**service(**container), "kind": "Configuration"}


def revision(**container: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "hello-00001", "namespace": "default"},
        "spec": {"containers": [{"image": "example.com/hello", **container}]},
    }


def route(*traffic: Obj) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"traffic": list(traffic)},
    }


def ingress(*splits: Obj) -> Obj:
    paths = [{"splits": list(splits)}]
    return {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"rules": [{"hosts": ["hello.default.example.com"], "http": {"paths": paths}}]},
    }


def split(percent: int | None = None, **changes: Any) -> Obj:
    backend = {"serviceNamespace": "default", "serviceName": "hello-00001", "servicePort": 80}
    given = {} if percent is None else {"percent": percent}
    return {**backend, **given, **changes}


def pod_autoscaler(**spec: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-00001-deployment"}
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {"name": "hello-00001", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "protocolType": "http1", **spec},
    }


def domain_mapping(name: str = "hello.example.com", **ref: Any) -> Obj:
    whole = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello", **ref}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ref": whole},
    }


def context(
    operation: Operation = Operation.CREATE,
    *,
    user: str = "",
    features: Features | None = None,
    defaults: Defaults | None = None,
    autoscaler: Autoscaler | None = None,
) -> AdmissionContext:
    return AdmissionContext(
        operation=operation,
        user=user,
        features=features or Features(),
        defaults=defaults or Defaults(),
        autoscaler=autoscaler or Autoscaler(),
    )


def refusal(obj: Obj, where: AdmissionContext | None = None) -> str:
    """What a CREATE is refused with, defaulting first; empty when it passes."""
    where = where or context()
    return validate(default(obj, None, where), None, where).render()


def refusal_of_update(old: Obj, new: Obj, user: str = "bob") -> str:
    """What an UPDATE is refused with, after the old object was made by alice."""
    made = default(old, None, context(user="alice"))
    where = context(Operation.UPDATE, user=user)
    return validate(default(new, made, where), made, where).render()
