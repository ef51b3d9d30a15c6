"""The components may do what they have to, and nothing else: roles against the API's audit log."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from e2e.conftest import MANIFESTS, Deploy, requests_of
from e2e.harness import (
    CORE_SERVICE,
    DEPLOYMENT,
    ENDPOINTS,
    IMAGE,
    READY_S,
    SERVICE,
    SLOW,
    Cluster,
    Deployed,
    Object,
    wait_until,
)
from e2e.rights import Right, compare, granted, told
from pilotlight import names
from pilotlight_local.kustomize import build

pytestmark = pytest.mark.e2e

_USED_S: Final = 30.0 * SLOW

_SERVING: Final = names.SERVING_GROUP
UNSEEN: Final = {
    # An owner reference that blocks its owner's deletion needs it on clusters whose admission
    # checks that (OwnerReferencesPermissionEnforcement). There is no request of its own for it.
    *(
        Right(names.OPERATOR, "update", _SERVING, f"{plural}/finalizers")
        for plural in ("services", "configurations", "revisions", "routes")
    ),
    # Looked at when a child that is about to be made has just been made by somebody else, before
    # the watch shows it. That moment cannot be brought about at will.
    *(
        Right(names.OPERATOR, "get", group, plural)
        for group, plural in (
            (_SERVING, "configurations"),
            (_SERVING, "revisions"),
            (_SERVING, "routes"),
            (names.AUTOSCALING_GROUP, "podautoscalers"),
            (names.NETWORKING_GROUP, "ingresses"),
        )
    ),
}
"""Rights of which the log need not show a use."""


@pytest.mark.timeout(240)
def test_the_components_have_the_rights_that_they_use_and_no_others(
    cluster: Cluster, deploy: Deploy, namespace: str, audit_log: Path | None
) -> None:
    """Everything for which there is a right happens here, so that the test stands by itself. A
    right that it does not use is either to be taken away or to be used here, too. That none is
    missing, whatever the tests do, is looked at in the end (see the fixture `cluster`).
    """
    if audit_log is None:
        pytest.skip("there is no audit log: PILOTLIGHT_AUDIT_LOG does not name one")
    rights = granted(build(MANIFESTS / "base"))
    assert told(UNSEEN - rights) == "", "these exceptions are for nothing"
    _change_a_service(deploy(name="app", traffic=[_to_latest("now")]))
    _meet_strangers(cluster, deploy, namespace)
    _have_another_gateway(cluster, deploy, namespace)
    full = {"target-utilization-percentage": "100"}
    _shrink(deploy(name="busy", concurrency=1, annotations=full))

    deadline = time.monotonic() + _USED_S
    while (findings := compare(rights, requests_of(audit_log))).surplus - UNSEEN:
        if time.monotonic() > deadline:
            break
        time.sleep(1.0)
    assert told(findings.surplus - UNSEEN) == "", "granted, and not used"
    assert told(findings.wide) == "", "granted everywhere, and used in one namespace alone"


def _change_a_service(service: Deployed) -> None:
    """A new Revision, new labels, a tag that goes, and a Deployment that somebody meddles with."""
    service.ready()
    cluster, namespace = service.cluster, service.namespace
    env = [{"name": "NAME", "value": "two"}]
    spec = {"containers": [{"image": IMAGE, "env": env}]}
    change: Object = {
        "metadata": {"labels": {"team": "blue"}},
        "spec": {"template": {"spec": spec}, "traffic": [_to_latest()]},
    }
    cluster.patch(SERVICE, namespace, service.name, change)
    service.ready()
    wait_until(
        lambda: cluster.get(CORE_SERVICE, namespace, f"now-{service.name}") is None,
        READY_S,
        "the tag's Service is gone",
    )
    name = names.deployment_name(names.revision_name(service.name, 2))
    wrong = {"metadata": {"labels": {names.DEPLOYMENT_HASH_LABEL: "wrong"}}}
    cluster.patch(DEPLOYMENT, namespace, name, wrong)

    def is_put_right() -> bool:
        found = cluster.get(DEPLOYMENT, namespace, name)
        return found is not None and "wrong" not in found["metadata"]["labels"].values()

    wait_until(is_put_right, READY_S, "the Deployment is put right")


def _to_latest(tag: str | None = None) -> Object:
    return {"latestRevision": True, "percent": 100, **({"tag": tag} if tag else {})}


def _meet_strangers(cluster: Cluster, deploy: Deploy, namespace: str) -> None:
    """Names that are taken by what the operator does not watch."""
    taken = {"ports": [{"port": 80}], "selector": {"app": "other"}}
    labels = {"app": "other"}
    held = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": IMAGE}]},
        },
    }
    deployment = names.deployment_name(names.revision_name("held", 1))
    for (api_version, kind), name, spec in (
        (CORE_SERVICE, "taken", taken),
        (DEPLOYMENT, deployment, held),
    ):
        metadata = {"name": name, "namespace": namespace}
        obj = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
        cluster.apply(obj)
    for service in (deploy(name="taken"), deploy(name="held")):
        service.condition("Ready", "False")


def _have_another_gateway(cluster: Cluster, deploy: Deploy, namespace: str) -> None:
    """It is led to the activators by Endpoints, which somebody empties, and somebody else has."""
    other = {"metadata": {"annotations": {names.INGRESS_CLASS_ANNOTATION: "other.example.com"}}}
    foreign = {"name": names.revision_name("foreign", 1), "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": foreign})
    for name in ("door", "foreign"):
        deploy(name=name)
        cluster.patch(SERVICE, namespace, name, other)
    revision = names.revision_name("door", 1)

    def leads_somewhere() -> bool:
        found = cluster.get(ENDPOINTS, namespace, revision)
        return bool(found and found.get("subsets"))

    wait_until(leads_somewhere, READY_S, "the Endpoints lead to the activators")
    cluster.patch(ENDPOINTS, namespace, revision, {"subsets": []})
    wait_until(leads_somewhere, READY_S, "and do so again")


def _shrink(service: Deployed) -> None:
    """Pods that go while one is at work, so that the idle ones have to be named."""
    service.ready()
    with ThreadPoolExecutor(3) as pool:
        for seconds in (4, 4, 25):
            pool.submit(service.ask, f"/sleep?ms={seconds * 1000}")
        wait_until(lambda: len(service.ready_pods()) >= 2, READY_S, "several pods at work")
        wait_until(lambda: len(service.pods()) == 1, 25.0 * SLOW, "one pod is left")
