"""Rules about DomainMapping, PodAutoscaler and Ingress, by the text it refuses with."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.api.admission import validate
from tests.api.builders import (
    Obj,
    context,
    domain_mapping,
    ingress,
    pod_autoscaler,
    refusal,
    split,
)


def named(obj: Obj, **metadata: Any) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


INTERNAL: dict[str, tuple[Obj, str]] = {
    "shares": (
        ingress(split(30), split(30)),
        "traffic split percentage must total to 100, but was 60: "
        "spec.rules[0].http.paths[0].splits",
    ),
    "foreign backend": (
        ingress(split(serviceNamespace="other")),
        "service namespace must match ingress namespace: "
        "spec.rules[0].http.paths[0].splits[0].serviceNamespace",
    ),
    "no port": (
        ingress(split(servicePort=0)),
        "missing field(s): spec.rules[0].http.paths[0].splits[0].servicePort",
    ),
    "no rules": ({**ingress(), "spec": {"rules": []}}, "missing field(s): spec"),
    "no rules but an option": (
        {**ingress(), "spec": {"rules": [], "httpOption": "Enabled"}},
        "missing field(s): spec.rules",
    ),
    "rule without http": (
        {**ingress(), "spec": {"rules": [{"hosts": ["a"]}]}},
        "missing field(s): spec.rules[0].http",
    ),
    "no split": (
        {**ingress(), "spec": {"rules": [{"http": {"paths": [{"path": "/"}]}}]}},
        "expected exactly one, got neither: spec.rules[0].http.paths[0].rewriteHost, "
        "spec.rules[0].http.paths[0].splits",
    ),
    "certificate": (
        {**ingress(split()), "spec": {**ingress(split())["spec"], "tls": [{"hosts": ["a"]}]}},
        "missing field(s): spec.tls[0].secretName, spec.tls[0].secretNamespace",
    ),
    "scale target": (
        pod_autoscaler(scaleTargetRef={"kind": "No Kind"}),
        "invalid value: a valid C identifier must start with alphabetic character or '_', "
        "followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  "
        "or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*'): "
        "spec.scaleTargetRef.kind\n"
        "missing field(s): spec.scaleTargetRef.apiVersion, spec.scaleTargetRef.name",
    ),
    "autoscaler's concurrency": (
        pod_autoscaler(containerConcurrency=-1),
        "expected 0 <= -1 <= 1000: spec.containerConcurrency",
    ),
    "empty autoscaler": ({**pod_autoscaler(), "spec": {}}, "missing field(s): spec"),
    "domain of the cluster": (
        domain_mapping("a.svc.cluster.local"),
        'invalid name "a.svc.cluster.local": must not be a subdomain of cluster local domain '
        '"cluster.local": metadata.name',
    ),
    "domain of one part": (
        domain_mapping("example"),
        'invalid name "example": name: Invalid value: "example": should be a domain with at least '
        "two segments separated by dots: metadata.name",
    ),
    "generated domain": (
        named(domain_mapping(), generateName="a"),
        "must not set the field(s): metadata.generateName",
    ),
    "what a domain leads to": (
        domain_mapping(namespace="other", kind=""),
        'mismatched namespaces: spec.ref.namespace\nparent namespace: "default" does not match '
        'ref: "other"\nmissing field(s): spec.ref.kind',
    ),
}


@pytest.mark.parametrize(("obj", "text"), INTERNAL.values(), ids=INTERNAL.keys())
def test_an_internal_object_is_refused_with_the_text(obj: Obj, text: str) -> None:
    assert refusal(obj) == text


@pytest.mark.parametrize(
    "obj", [ingress(split()), ingress(split(90), split(10)), pod_autoscaler(), domain_mapping()]
)
def test_an_internal_object_passes(obj: Obj) -> None:
    assert refusal(obj) == ""


def test_a_lone_split_may_leave_its_share_out() -> None:
    assert not validate(ingress(split()), None, context())
