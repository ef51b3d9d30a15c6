"""What was installed with kubectl can be applied once more at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.conftest import Deploy
from e2e.harness import Cluster, Object
from e2e.kubectl import Kubectl
from pilotlight import names

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]

_KINDS: Final = (
    "namespaces,customresourcedefinitions,serviceaccounts,roles,clusterroles,rolebindings"
    ",clusterrolebindings,configmaps,secrets,services,deployments.apps,poddisruptionbudgets"
    ",networkpolicies,mutatingwebhookconfigurations,validatingwebhookconfigurations"
)


@pytest.fixture(name="kubectl")
def kubectl_fixture(cluster: Cluster, tmp_path: Path) -> Kubectl:
    return Kubectl(cluster.kubeconfig, names.SYSTEM_NAMESPACE, tmp_path)


def installed(kubectl: Kubectl) -> list[Object]:
    """The objects that were applied with kubectl."""
    selector = "--selector=app.kubernetes.io/name=knative-serving"
    found = kubectl.json("get", _KINDS, "--all-namespaces", selector)["items"]
    annotated = names.LAST_APPLIED_ANNOTATION
    return [obj for obj in found if annotated in obj["metadata"].get("annotations", {})]


def versions(objects: list[Object]) -> dict[str, object]:
    """What changes when somebody changes them, and not when their status does. Deployments are
    changed by other tests meanwhile.
    """
    return {
        f"{obj['kind']} {obj['metadata']['name']}": obj["metadata"].get("generation")
        or obj["metadata"]["resourceVersion"]
        for obj in objects
        if obj["kind"] != "Deployment"
    }


def is_scaled(obj: Object, applied: Object) -> bool:
    """Whether it has another number of pods, as a test may want it."""
    return bool(
        obj["kind"] == "Deployment" and obj["spec"]["replicas"] != applied["spec"]["replicas"]
    )


def test_applying_again_changes_nothing(kubectl: Kubectl, deploy: Deploy) -> None:
    before = installed(kubectl)
    if not before:
        pytest.skip("this was not installed with kubectl")
    applied = [
        (obj, json.loads(obj["metadata"]["annotations"][names.LAST_APPLIED_ANNOTATION]))
        for obj in before
    ]
    items = [manifest for obj, manifest in applied if not is_scaled(obj, manifest)]
    given = {"apiVersion": "v1", "kind": "List", "items": items}
    kubectl("apply", "--filename=-", given=given)
    assert versions(installed(kubectl)) == versions(before)
    assert kubectl("diff", "--filename=-", given=given) == ""
    # Secrets and webhooks are as the operator has filled them in.
    with pytest.raises(ApiException, match="Traffic targets sum to 50"):
        deploy(name="wrong", traffic=[{"latestRevision": True, "percent": 50}])
    deploy(name="right").ready()
