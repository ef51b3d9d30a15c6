from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster.counting import (
    EVERYBODY,
    KUBERNETES,
    OTHERS,
    AuditLog,
    Request,
    count_audit,
    count_metrics,
    who,
)
from benchmarks.cluster.writes import rows_of

OPERATOR = "system:serviceaccount:knative-serving:operator"


def event(user: str, verb: str, resource: str, **changes: Any) -> str:
    reference = {"resource": resource, "namespace": "bench", "name": "x", **changes}
    stage = reference.pop("stage", "ResponseComplete")
    return json.dumps(
        {"stage": stage, "verb": verb, "user": {"username": user}, "objectRef": reference}
    )


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (OPERATOR, "operator"),
        ("system:serviceaccount:kube-system:replicaset-controller", KUBERNETES),
        ("system:node:one", KUBERNETES),
        ("system:kube-scheduler", KUBERNETES),
        ("kubernetes-admin", OTHERS),
        ("system:serviceaccount:default:operator", OTHERS),
    ],
)
def test_who_a_user_is(user: str, expected: str) -> None:
    assert who(user) == expected


def test_an_audit_log_is_counted_by_user_verb_and_resource() -> None:
    lines = [
        event(OPERATOR, "create", "revisions"),
        event(OPERATOR, "create", "revisions", stage="RequestReceived"),
        event(OPERATOR, "patch", "services", subresource="status"),
        event(OPERATOR, "patch", "services", subresource="status"),
        event(OPERATOR, "patch", "services", namespace="another"),
        event("system:kube-scheduler", "create", "pods", subresource="binding"),
        json.dumps({"stage": "ResponseComplete", "verb": "get", "user": {"username": "x"}}),
    ]
    assert count_audit(lines, {"bench"}) == {
        Request("operator", "create", "revisions"): 1,
        Request("operator", "patch", "services/status"): 2,
        Request(KUBERNETES, "create", "pods/binding"): 1,
    }


@pytest.mark.parametrize(
    ("verb", "resource", "expected"),
    [
        ("create", "revisions", True),
        ("update", "pods/status", True),
        ("patch", "services/status", True),
        ("delete", "pods", True),
        ("get", "pods", False),
        ("watch", "pods", False),
        ("create", "events", False),
        ("update", "leases", False),
        ("create", "tokenreviews", False),
        ("create", "subjectaccessreviews", False),
    ],
)
def test_what_is_a_write(verb: str, resource: str, expected: bool) -> None:
    assert Request("operator", verb, resource).is_write is expected


def sample(
    verb: str, resource: str, value: str, *, code: str = "200", subresource: str = ""
) -> str:
    return (
        f'apiserver_request_total{{code="{code}",dry_run="",group="",resource="{resource}",'
        f'scope="resource",subresource="{subresource}",verb="{verb}",version="v1"}} {value}'
    )


def test_metrics_are_counted_over_all_codes() -> None:
    lines = [
        "# TYPE apiserver_request_total counter",
        sample("PATCH", "pods", "3", subresource="status"),
        sample("APPLY", "pods", "1", subresource="status", code="409"),
        sample("POST", "deployments", "1.2e+01"),
        sample("WATCH", "pods", "7", code="0"),
        'apiserver_request_duration_seconds_count{verb="POST",resource="pods"} 99',
    ]
    assert count_metrics("\n".join(lines)) == {
        Request(EVERYBODY, "patch", "pods/status"): 4,
        Request(EVERYBODY, "create", "deployments"): 12,
        Request(EVERYBODY, "watch", "pods"): 7,
    }


def test_a_log_is_read_from_its_end_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("before\n")
    log = AuditLog(path)
    assert list(log.lines()) == []
    with path.open("a") as file:
        file.write("one\ntwo\nthr")
    assert list(log.lines()) == ["one\n", "two\n"]
    path.write_text("")
    with pytest.raises(OSError, match="was rotated"):
        list(log.lines())


def test_rows_have_the_components_together_and_one_by_one() -> None:
    first = Counter(
        {
            Request("operator", "create", "revisions"): 4,
            Request("operator", "get", "pods"): 9,
            Request("autoscaler", "patch", "podautoscalers/status"): 2,
            Request("autoscaler", "update", "leases"): 5,
            Request(KUBERNETES, "create", "pods"): 1,
            Request(OTHERS, "patch", "services"): 1,
        }
    )
    second = Counter({Request("operator", "create", "revisions"): 6})
    rows = {(row.subject, row.figure): row for row in rows_of("api", [first, second])}
    assert (rows["pilotlight", "writes"].min, rows["pilotlight", "writes"].max) == (6, 6)
    assert rows["autoscaler", "writes"].max == 2
    assert rows["operator", "get pods"].max == 9
    assert rows["autoscaler", "update leases"].max == 5
    assert rows[KUBERNETES, "writes"].median == 0.5
    assert not [subject for subject, _ in rows if subject == OTHERS]


def test_without_users_there_are_no_components() -> None:
    counts = Counter({Request(EVERYBODY, "create", "pods"): 3})
    assert {row.subject for row in rows_of("api", [counts])} == {EVERYBODY}
