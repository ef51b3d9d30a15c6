"""The objects that are measured, as plain dicts: Services, and the same program bare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pilotlight.kube.client import Object
from pilotlight.names import AUTOSCALING_PREFIX

ANNOUNCE: Final = "BENCH_ANNOUNCE"
PORT: Final = 8080
_FIRST_PORT: Final = 8012
_SHORTEST_WINDOW: Final[Mapping[str, str]] = {"window": "6s"}


def service(
    name: str,
    image: str,
    *,
    env: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] = _SHORTEST_WINDOW,
    concurrency: int | None = None,
) -> Object:
    """A Service that sleeps after six idle seconds, unless the autoscaling `annotations` (without
    their prefix) say otherwise.
    """
    spec: dict[str, Any] = {"containers": [{"image": image, "env": _env(env or {})}]}
    if concurrency is not None:
        spec["containerConcurrency"] = concurrency
    prefixed = {AUTOSCALING_PREFIX + key: value for key, value in annotations.items()}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": {"metadata": {"annotations": prefixed}, "spec": spec}},
    }


def pod_spec(image: str, env: Mapping[str, str] | None = None) -> Object:
    """What a pod of a Service would be without Pilotlight: two containers and no volume. The second
    one is the program; the first stands where the queue-proxy does.
    """
    first = {"PORT": str(_FIRST_PORT)}
    second = {"PORT": str(PORT), **(env or {})}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [
            {"name": "first", "image": image, "env": _env(first)},
            {"name": "program", "image": image, "env": _env(second)},
        ],
    }


def pod(name: str, image: str, env: Mapping[str, str] | None = None) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": pod_spec(image, env),
    }


def deployment(name: str, image: str, replicas: int) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(image)},
        },
    }


def front(name: str) -> Object:
    """A Kubernetes Service in front of the Deployment of that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT}]},
    }


def _env(variables: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]
