"""What cannot work says so, and says what to do."""

from __future__ import annotations

import time

import pytest

from e2e.harness import (
    CONFIGURATION,
    IMAGE,
    REVISION,
    ROUTE,
    Cluster,
    Deployed,
    Gateway,
    Wish,
    condition_of,
    wait_for_condition,
)

pytestmark = pytest.mark.e2e

SOON = {"serving.knative.dev/progress-deadline": "4s"}
FAILED_S = 30.0
MISSING = "dev.local/no-such-image"
# The kubelet looks at it after three seconds, whatever the queue-proxy sees before.
LATE = {
    "image": IMAGE,
    "readinessProbe": {"exec": {"command": ["python3", "-c", ""]}, "initialDelaySeconds": 3},
}


@pytest.fixture(scope="module", name="failing")
def failing_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> dict[str, Deployed]:
    """All that fails, applied together, as each takes its time to fail."""
    wishes = [
        Wish(name="missing", image=MISSING, annotations=SOON),
        Wish(name="exits", env={"EXIT_CODE": "7"}, annotations=SOON),
        Wish(name="silent", env={"NEVER_LISTEN": "yes"}, annotations=SOON),
        Wish(name="astray", traffic=[{"revisionName": "astray-nowhere", "percent": 100}]),
    ]
    for wish in wishes:
        cluster.apply(wish.manifest(shared))
    return {wish.name: Deployed(cluster, gateway, shared, wish.name) for wish in wishes}


def revision_condition(service: Deployed, kind: str) -> dict[str, str]:
    name = f"{service.name}-00001"
    return wait_for_condition(
        lambda: service.cluster.get(REVISION, service.namespace, name), kind, "False", FAILED_S
    )


def test_an_unknown_image(failing: dict[str, Deployed]) -> None:
    service = failing["missing"]
    reasons = {"ImagePullBackOff", "ErrImagePull", "ContainerMissing"}
    found = revision_condition(service, "Ready")
    assert found["reason"] in reasons
    assert MISSING in found["message"]
    whole = service.condition("Ready", "False", FAILED_S)
    assert whole["reason"] == "RevisionFailed"
    assert whole["message"].startswith('Revision "missing-00001" failed with message: ')
    assert MISSING in whole["message"]


def test_a_container_that_exits(failing: dict[str, Deployed]) -> None:
    service = failing["exits"]
    found = revision_condition(service, "ContainerHealthy")
    assert found["reason"] == "ExitCode7"
    assert found["message"].startswith("Container failed with: ")
    assert "told to fail" in found["message"]
    whole = service.condition("ConfigurationsReady", "False", FAILED_S)
    assert whole["reason"] == "RevisionFailed"
    assert "told to fail" in whole["message"]


def test_a_container_that_is_never_ready(failing: dict[str, Deployed]) -> None:
    service = failing["silent"]
    found = revision_condition(service, "ResourcesAvailable")
    assert found["reason"] == "ProgressDeadlineExceeded"
    assert found["message"]
    assert service.condition("Ready", "False", FAILED_S)["reason"] == "RevisionFailed"


def test_a_command_probe_is_waited_for(cluster: Cluster, gateway: Gateway, shared: str) -> None:
    """The program answers at once; that it is ready only the kubelet can tell."""
    begun = time.monotonic()
    cluster.apply(Wish(name="late", spec={"containers": [LATE]}).manifest(shared))
    service = Deployed(cluster, gateway, shared, "late")
    service.condition("Ready", "True", FAILED_S)
    assert time.monotonic() - begun >= 3.0
    assert service.ask().status == 200


def test_a_traffic_target_that_is_not_there(failing: dict[str, Deployed]) -> None:
    service = failing["astray"]
    found = service.condition("RoutesReady", "False", FAILED_S)
    assert found["reason"] == "RevisionMissing"
    assert found["message"] == 'Revision "astray-nowhere" referenced in traffic not found.'
    route = service.cluster.get(ROUTE, service.namespace, "astray")
    assert route is not None
    assert condition_of(route, "AllTrafficAssigned")["reason"] == "RevisionMissing"
    configuration = service.cluster.get(CONFIGURATION, service.namespace, "astray")
    assert configuration is not None
    assert condition_of(configuration, "Ready")["status"] == "True"


def test_a_service_recovers_when_it_is_put_right(
    failing: dict[str, Deployed], cluster: Cluster
) -> None:
    service = failing["exits"]
    service.condition("Ready", "False", FAILED_S)
    cluster.apply(Wish(name="exits", env={"NAME": "well"}).manifest(service.namespace))
    service.ready()
    assert service.ask().text == "well"
    assert service.object()["status"]["latestReadyRevisionName"] == "exits-00002"


def test_a_bad_revision_leaves_the_good_one_serving(
    cluster: Cluster, gateway: Gateway, shared: str
) -> None:
    cluster.apply(Wish(name="steady", env={"NAME": "good"}).manifest(shared))
    service = Deployed(cluster, gateway, shared, "steady").ready()
    bad = Wish(name="steady", env={"EXIT_CODE": "1"}, annotations=SOON)
    cluster.apply(bad.manifest(shared))
    service.condition("Ready", "False", FAILED_S)
    assert service.ask().text == "good"
    status = service.object()["status"]
    assert status["latestCreatedRevisionName"] == "steady-00002"
    assert status["latestReadyRevisionName"] == "steady-00001"
