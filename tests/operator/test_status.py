"""Conditions, reasons and messages by what was observed."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight import names
from pilotlight_operator.objects import Obj
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.status.configuration import ConfigurationFacts, configuration_status
from pilotlight_operator.status.ingress import Served, ingress_status
from pilotlight_operator.status.pods import diagnose, lacks_key
from pilotlight_operator.status.revision import RevisionFacts, is_broken, revision_status
from pilotlight_operator.status.service import ServiceFacts, service_status
from tests.operator.simulation import NOW, conditions

CONTAINER = {"name": "user-container", "image": "i"}
REVISION: Obj = {
    "kind": "Revision",
    "metadata": {"name": "hello-00001", "namespace": "default", "generation": 1},
    "spec": {"containers": [CONTAINER]},
}
QUOTA = 'pods "hello-00001-x" is forbidden: exceeded quota: few'
DEADLINE = 'ReplicaSet "hello-00001-x" has timed out progressing.'


def deployment(*conditions: Obj, replicas: int = 1, **status: int) -> Obj:
    return {
        "metadata": {"name": "d"},
        "spec": {"replicas": replicas},
        "status": {"conditions": list(conditions), **status},
    }


def autoscaler(ready: str = "Unknown", initialized: str = "Unknown", **status: Any) -> Obj:
    items = [
        {"type": "Ready", "status": ready, "reason": "R", "message": "M"},
        {"type": "ScaleTargetInitialized", "status": initialized},
    ]
    return {"metadata": {"name": "a"}, "status": {"conditions": items, **status}}


def pod(user: Obj | None = None, queue: Obj | None = None, *more: Obj) -> Obj:
    containers = [
        {"name": name, **state}
        for name, state in (("user-container", user), ("queue-proxy", queue))
        if state is not None
    ]
    return {
        "metadata": {"name": "p"},
        "status": {"containerStatuses": containers, "conditions": list(more)},
    }


def waiting(reason: str, message: str = "") -> Obj:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, message: str = "", reason: str = "Error") -> Obj:
    last = {"exitCode": code, "message": message, "reason": reason}
    return {"lastState": {"terminated": last}, "state": {"running": {}}}


RUNNING: Obj = {"state": {"running": {}}}
LATE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": DEADLINE,
}
FAILED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": QUOTA,
}
UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


@pytest.mark.parametrize(
    ("facts", "condition", "expected"),
    [
        pytest.param({}, "ResourcesAvailable", ("Unknown", "Deploying", ""), id="nothing yet"),
        pytest.param(
            {"deployment": deployment(), "podautoscaler": autoscaler()},
            "ContainerHealthy",
            ("Unknown", "Deploying", ""),
            id="on its way",
        ),
        pytest.param(
            {
                "deployment": deployment(),
                "podautoscaler": {"metadata": {"annotations": {names.CLASS_ANNOTATION: "x.y"}}},
            },
            "ResourcesAvailable",
            (
                "Unknown",
                "Deploying",
                'No autoscaler of class "x.y" has answered: install one, or set the annotation '
                "autoscaling.knative.dev/class of the template to kpa.autoscaling.knative.dev",
            ),
            id="a class that nobody serves",
        ),
        pytest.param(
            {"deployment": deployment(), "podautoscaler": autoscaler("True", "True")},
            "Ready",
            ("True", "", ""),
            id="the autoscaler says so, whatever the Deployment thinks",
        ),
        pytest.param(
            {
                "deployment": deployment(replicas=0),
                "podautoscaler": autoscaler("False", "True"),
            },
            "Ready",
            ("True", "", ""),
            id="asleep is ready",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(waiting("ErrImagePull", "no such"))]},
            "ResourcesAvailable",
            ("Unknown", "ErrImagePull", "no such"),
            id="unknown image, told at once",
        ),
        pytest.param(
            {
                "deployment": deployment(LATE),
                "pods": [pod(waiting("ImagePullBackOff", "no such"))],
            },
            "ResourcesAvailable",
            ("False", "ImagePullBackOff", "no such"),
            id="unknown image, after the deadline",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(ended(3, "no database\n"))]},
            "ContainerHealthy",
            ("False", "ExitCode3", "Container failed with: no database"),
            id="exits with last words",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(ended(0))]},
            "ContainerHealthy",
            ("False", "ExitCode0", "Container failed with: container exited with no error"),
            id="exits without an error",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(ended(137, reason="OOMKilled"))]},
            "ContainerHealthy",
            (
                "False",
                "ExitCode137",
                "Container failed with: exit code 137 (OOMKilled), and nothing in its log",
            ),
            id="killed",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(RUNNING, ended(1))]},
            "ContainerHealthy",
            ("Unknown", "Deploying", ""),
            id="the queue-proxy's exits are not the user's",
        ),
        pytest.param(
            {"deployment": deployment(), "pods": [pod(None, None, UNSCHEDULED)]},
            "ResourcesAvailable",
            ("False", "Unschedulable", UNSCHEDULED["message"]),
            id="no node",
        ),
        pytest.param(
            {
                "deployment": deployment(),
                "pods": [pod(None, None, UNSCHEDULED)],
                "always_schedulable": True,
            },
            "ResourcesAvailable",
            ("Unknown", "Deploying", ""),
            id="no node, but nodes come",
        ),
        pytest.param(
            {"deployment": deployment(FAILED)},
            "ResourcesAvailable",
            ("False", "FailedCreate", QUOTA),
            id="quota",
        ),
        pytest.param(
            {"deployment": deployment(LATE)},
            "ResourcesAvailable",
            ("False", "ProgressDeadlineExceeded", DEADLINE),
            id="late",
        ),
        pytest.param(
            {"deployment": deployment(LATE), "pods": [pod(RUNNING)]},
            "ResourcesAvailable",
            (
                "False",
                "ProgressDeadlineExceeded",
                f"{DEADLINE} The container runs, but does not become ready on port 8080: let the "
                "program listen on the port that $PORT names, or correct its readiness probe",
            ),
            id="runs and never listens",
        ),
        pytest.param(
            {"deployment": deployment(replicas=0), "podautoscaler": autoscaler("False")},
            "ResourcesAvailable",
            ("False", "ProgressDeadlineExceeded", "Initial scale was never achieved"),
            id="given up",
        ),
        pytest.param(
            {"refusal": Refusal("NotOwned", 'There is an existing Deployment "d"')},
            "ResourcesAvailable",
            ("False", "NotOwned", 'There is an existing Deployment "d"'),
            id="name taken",
        ),
        pytest.param(
            {
                "deployment": deployment(availableReplicas=1, readyReplicas=1),
                "podautoscaler": autoscaler("True", "True"),
                "pods": [pod(ended(1, "long ago"))],
            },
            "Ready",
            ("True", "", ""),
            id="a restart of long ago does not count while pods are available",
        ),
        pytest.param(
            {"deployment": deployment(), "podautoscaler": autoscaler("False")},
            "Active",
            ("False", "R", "M"),
            id="Active follows the autoscaler",
        ),
    ],
)
def test_revision(facts: Obj, condition: str, expected: tuple[str, str, str]) -> None:
    given = RevisionFacts(
        **{
            "revision": REVISION,
            "deployment": None,
            "podautoscaler": None,
            "pods": [],
            **facts,
        }
    )
    status = revision_status(given, NOW)
    assert conditions({"status": status})[condition] == expected
    # Looking again changes nothing.
    again = revision_status(
        RevisionFacts(
            **{
                "revision": {**REVISION, "status": status},
                "deployment": None,
                "podautoscaler": None,
                "pods": [],
                **facts,
            }
        ),
        NOW,
    )
    assert again == status


def test_a_revision_that_was_given_up_keeps_the_reason() -> None:
    first = revision_status(
        RevisionFacts(REVISION, deployment(), autoscaler(), [pod(ended(3, "no database"))]), NOW
    )
    asleep = revision_status(
        RevisionFacts(
            {**REVISION, "status": first}, deployment(replicas=0), autoscaler("False"), []
        ),
        NOW,
    )
    assert conditions({"status": asleep})["Ready"][:2] == ("False", "ExitCode3")


def test_replicas_come_from_the_autoscaler() -> None:
    known = autoscaler(actualScale=2, desiredScale=3)
    status = revision_status(RevisionFacts(REVISION, deployment(), known, []), NOW)
    assert (status["actualReplicas"], status["desiredReplicas"]) == (2, 3)
    unknown = autoscaler(actualScale=0, desiredScale=-1)
    before = {**REVISION, "status": status}
    status = revision_status(RevisionFacts(before, deployment(), unknown, []), NOW)
    assert status["actualReplicas"] == 0
    assert "desiredReplicas" not in status


@pytest.mark.parametrize(
    ("replicas", "ready", "pods", "expected"),
    [
        (1, 0, [pod(ended(1))], True),
        (1, 1, [pod(ended(1))], False),
        (0, 0, [pod(ended(1))], False),
        (1, 0, [pod(waiting("ErrImagePull"))], False),
        (1, 0, [], False),
    ],
    ids=["exits", "one is ready", "none wanted", "may still come", "nothing known"],
)
def test_broken(replicas: int, ready: int, pods: list[Obj], expected: bool) -> None:
    observed = deployment(replicas=replicas, readyReplicas=ready)
    assert is_broken(RevisionFacts(REVISION, observed, None, pods)) is expected


def test_diagnosis_prefers_what_is_final() -> None:
    found = diagnose([pod(waiting("ErrImagePull")), pod(ended(2))], always_schedulable=False)
    assert found is not None
    assert found.reason == "ExitCode2"


def test_init_containers_that_are_done_are_well() -> None:
    done = {"name": "init", "state": {"terminated": {"exitCode": 0}}}
    status = {"initContainerStatuses": [done]}
    assert diagnose([{"metadata": {}, "status": status}], always_schedulable=False) is None


def test_a_missing_key_is_noticed() -> None:
    assert lacks_key([pod(None, waiting("CreateContainerConfigError"))])
    assert not lacks_key([pod(waiting("CreateContainerConfigError"), RUNNING)])


def revision(generation: int, ready: str, message: str = "") -> Obj:
    condition = {"type": "Ready", "status": ready, "message": message}
    labels = {"serving.knative.dev/configurationGeneration": str(generation)}
    return {
        "metadata": {"name": f"hello-{generation:05d}", "labels": labels},
        "status": {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("generation", "revisions", "refusal", "created", "ready", "expected"),
    [
        pytest.param(1, [], "", None, None, ("Unknown", "", ""), id="nothing yet"),
        pytest.param(
            1, [revision(1, "True")], "", "hello-00001", "hello-00001", ("True", "", ""), id="ready"
        ),
        pytest.param(
            2,
            [revision(1, "True"), revision(2, "False", "broken")],
            "",
            "hello-00002",
            "hello-00001",
            ("False", "RevisionFailed", 'Revision "hello-00002" failed with message: broken.'),
            id="the new one failed",
        ),
        pytest.param(
            2,
            [revision(1, "True"), revision(2, "Unknown")],
            "",
            "hello-00002",
            "hello-00001",
            ("Unknown", "", ""),
            id="the new one is on its way",
        ),
        pytest.param(
            1,
            [],
            "no",
            None,
            None,
            ("False", "RevisionFailed", "Revision creation failed with message: no."),
            id="refused",
        ),
    ],
)
def test_configuration(
    generation: int,
    revisions: list[Obj],
    refusal: str,
    created: str | None,
    ready: str | None,
    expected: tuple[str, str, str],
) -> None:
    subject = {"metadata": {"name": "hello", "generation": generation}, "spec": {"template": {}}}
    current = revisions[-1] if revisions else None
    status = configuration_status(ConfigurationFacts(subject, current, revisions, refusal), NOW)
    assert conditions({"status": status})["Ready"] == expected
    assert status.get("latestCreatedRevisionName") == created
    assert status.get("latestReadyRevisionName") == ready


def child(kind: str, observed: int = 1, ready: str = "True", **status: Any) -> Obj:
    condition = {"type": "Ready", "status": ready, "reason": "", "message": ""}
    return {
        "kind": kind,
        "metadata": {"name": "hello", "generation": 1},
        "spec": {"traffic": [{"configurationName": "hello", "percent": 100}]},
        "status": {"observedGeneration": observed, "conditions": [condition], **status},
    }


SERVICE: Obj = {"metadata": {"name": "hello", "generation": 1}, "spec": {}}
TRAFFIC = [{"revisionName": "hello-00001", "percent": 100, "latestRevision": True}]


@pytest.mark.parametrize(
    ("configuration", "route", "condition", "expected"),
    [
        pytest.param(
            child("Configuration", observed=0),
            None,
            "ConfigurationsReady",
            (
                "Unknown",
                "OutOfDate",
                "The Configuration is still working to reflect the latest desired specification.",
            ),
            id="old configuration",
        ),
        pytest.param(
            child("Configuration"),
            child("Route", observed=0),
            "RoutesReady",
            (
                "Unknown",
                "OutOfDate",
                "The Route is still working to reflect the latest desired specification.",
            ),
            id="old route",
        ),
        pytest.param(
            child("Configuration", latestReadyRevisionName="hello-00002"),
            child("Route", traffic=TRAFFIC),
            "RoutesReady",
            (
                "Unknown",
                "TrafficNotMigrated",
                "Traffic is not yet migrated to the latest revision.",
            ),
            id="traffic elsewhere",
        ),
        pytest.param(
            child("Configuration", latestReadyRevisionName="hello-00001"),
            child("Route", traffic=TRAFFIC),
            "Ready",
            ("True", "", ""),
            id="ready",
        ),
        pytest.param(
            Refusal("NotOwned", "taken"),
            None,
            "Ready",
            ("False", "NotOwned", "taken"),
            id="taken",
        ),
    ],
)
def test_service(
    configuration: Obj | Refusal,
    route: Obj | None,
    condition: str,
    expected: tuple[str, str, str],
) -> None:
    status = service_status(ServiceFacts(SERVICE, configuration, route), NOW)
    assert conditions({"status": status})[condition] == expected


INGRESS: Obj = {"metadata": {"name": "hello", "generation": 2}, "spec": {}}


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (None, ("Unknown", "Uninitialized", "Waiting for load balancer to be ready")),
        (
            Served(0, 0),
            (
                "Unknown",
                "Uninitialized",
                "Waiting for load balancer to be ready: no activator is running",
            ),
        ),
        (
            Served(1, 2, "; x"),
            (
                "Unknown",
                "Uninitialized",
                "Waiting for load balancer to be ready: 1 of 2 activators serve it; x",
            ),
        ),
        (Served(2, 2), ("True", "", "")),
    ],
    ids=["not asked", "nobody there", "one lags", "everywhere"],
)
def test_ingress(served: Served | None, expected: tuple[str, str, str]) -> None:
    status = ingress_status(INGRESS, served, "gateway", NOW)
    assert conditions({"status": status})["Ready"] == expected
    assert ("privateLoadBalancer" in status) is (expected[0] == "True")
    assert status["observedGeneration"] == 2
