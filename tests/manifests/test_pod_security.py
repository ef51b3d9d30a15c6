"""Every pod of ours could run in a namespace that enforces the level `restricted`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from pilotlight import names
from pilotlight.api.admission import default
from pilotlight.config.features import Features, SecurePodDefaults
from pilotlight_local.kustomize import build
from pilotlight_operator.desired.deployment import deployment
from tests.api.builders import Obj, context, service_of
from tests.manifests.pod_security import violations
from tests.manifests.test_overlays import PLACES
from tests.operator.simulation import SETTINGS

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
SAFE: Final[Obj] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def templates(documents: list[Any]) -> dict[str, Obj]:
    """What pods are made from, by the name of the object that has it."""
    return {
        obj["metadata"]["name"]: obj["spec"]["template"]
        for obj in documents
        if "template" in (obj.get("spec") or {})
    }


@pytest.mark.parametrize("place", PLACES)
def test_components(place: str) -> None:
    pods = templates(build(MANIFESTS / place))
    assert set(pods) == {names.OPERATOR, names.AUTOSCALER, names.ACTIVATOR}
    assert [text for pod in pods.values() for text in violations(pod)] == []


def test_monitoring() -> None:
    text = (MANIFESTS / "monitoring" / "prometheus-deployment.yaml").read_text()
    pods = templates([document for document in yaml.safe_load_all(text) if document])
    assert pods
    assert [text for pod in pods.values() for text in violations(pod)] == []


def revision_pod(spec: Obj, features: Features | None = None) -> Obj:
    """What the operator makes pods of for a Service with this pod spec."""
    where = context() if features is None else context(features=features)
    admitted = default(service_of(spec), None, where)["spec"]["template"]["spec"]
    revision = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "r", "namespace": "default", "uid": "u", "labels": {}},
        "spec": admitted,
    }
    template: Obj = deployment(revision, SETTINGS)["spec"]["template"]
    return template


def test_a_revision_whose_containers_are_safe() -> None:
    ports = [{"containerPort": 80}]
    containers = [
        {"image": "a.b/app", "securityContext": SAFE, "ports": ports},
        {"image": "a.b/side", "securityContext": SAFE},
    ]
    assert violations(revision_pod({"containers": containers})) == []


def test_a_revision_with_probes_and_a_security_context_of_the_pod() -> None:
    get = {"httpGet": {"path": "/"}}
    container = {
        "image": "a.b/app",
        "securityContext": {key: SAFE[key] for key in ("allowPrivilegeEscalation", "capabilities")},
        "readinessProbe": get,
        "livenessProbe": get,
    }
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert violations(revision_pod({"containers": [container], "securityContext": pod})) == []


def test_secure_defaults_are_enough_by_themselves() -> None:
    spec = {"containers": [{"image": "a.b/app"}]}
    features = Features(secure_pod_defaults=SecurePodDefaults.ENABLED)
    assert violations(revision_pod(spec, features)) == []


def test_the_queue_proxy_is_safe_whatever_the_container_is() -> None:
    found = violations(revision_pod({"containers": [{"image": "a.b/app"}]}))
    assert found
    assert not [text for text in found if text.startswith(f"{names.QUEUE_PROXY}:")]


def _unset(context: Obj, name: str) -> None:
    del context[name]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda pod, c: pod.update(hostNetwork=True), "hostNetwork"),
        (lambda pod, c: pod.update(volumes=[{"name": "v", "hostPath": {}}]), "volume v: hostPath"),
        (
            lambda pod, c: pod.update(securityContext={"runAsNonRoot": False}),
            "pod: runAsNonRoot",
        ),
        (lambda pod, c: c["securityContext"].update(runAsUser=0), "c: runAsUser"),
        (lambda pod, c: c["securityContext"].update(privileged=True), "c: privileged"),
        (lambda pod, c: _unset(c["securityContext"], "runAsNonRoot"), "c: runAsNonRoot"),
        (lambda pod, c: _unset(c["securityContext"], "seccompProfile"), "c: seccompProfile"),
        (lambda pod, c: _unset(c["securityContext"], "capabilities"), "c: capabilities.drop"),
        (
            lambda pod, c: _unset(c["securityContext"], "allowPrivilegeEscalation"),
            "c: allowPrivilegeEscalation",
        ),
        (
            lambda pod, c: c["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            "c: seccompProfile",
        ),
        (
            lambda pod, c: c["securityContext"].update(
                capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}
            ),
            "c: capabilities.add",
        ),
        (lambda pod, c: c.update(ports=[{"hostPort": 80}]), "c: hostPort"),
        (
            lambda pod, c: c.update(readinessProbe={"httpGet": {"host": "10.0.0.1"}}),
            "c: readinessProbe: host",
        ),
    ],
)
def test_the_check_finds(spoil: Callable[[Obj, Obj], None], found: str) -> None:
    container = {"name": "c", "securityContext": copy.deepcopy(SAFE)}
    pod: Obj = {"containers": [container]}
    assert violations({"spec": pod}) == []
    spoil(pod, container)
    assert violations({"spec": pod}) == [found]
