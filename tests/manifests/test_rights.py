"""How the end-to-end tests compare roles with an audit log."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from e2e.rights import Asked, Right, asked, compare, granted, told

Object = dict[str, Any]
ACCOUNT: Final = "system:serviceaccount:knative-serving:operator"


def role(kind: str, namespace: str, *rules: Object) -> list[Object]:
    metadata = {"name": "r", **({"namespace": namespace} if namespace else {})}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": "knative-serving"}
    return [
        {"kind": kind, "metadata": metadata, "rules": list(rules)},
        {
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"kind": kind, "name": "r"},
            "subjects": [subject],
        },
    ]


def rule(group: str, resource: str, *verbs: str, **more: Any) -> Object:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **more}


def event(verb: str, code: int = 200, user: str = ACCOUNT, **reference: str) -> str:
    return json.dumps(
        {
            "verb": verb,
            "user": {"username": user},
            "objectRef": {"apiVersion": "v1", **reference},
            "responseStatus": {"code": code},
        }
    )


def rights_of(*lines: str) -> list[Right]:
    return [request.right for request in asked(lines)]


def operators(verb: str, resource: str, **more: str) -> Right:
    return Right("operator", verb, more.pop("group", ""), resource, **more)


def test_roles_are_taken_apart() -> None:
    found = granted(
        [
            *role("ClusterRole", "", rule("apps", "deployments", "get", "list")),
            *role("Role", "sys", rule("", "secrets", "get", resourceNames=["a", "b"])),
        ]
    )
    assert found == {
        operators("get", "deployments", group="apps"),
        operators("list", "deployments", group="apps"),
        operators("get", "secrets", namespace="sys", name="a"),
        operators("get", "secrets", namespace="sys", name="b"),
    }


def test_requests_are_read_from_the_log() -> None:
    assert rights_of(
        event("get", resource="secrets", namespace="sys", name="a"),
        event("patch", resource="pods", namespace="n", name="p", subresource="status"),
        event("get", user="kubernetes-admin", resource="secrets"),
        event("get", user="system:serviceaccount:default:operator", resource="secrets"),
    ) == [
        operators("get", "secrets", namespace="sys", name="a"),
        operators("patch", "pods/status", namespace="n", name="p"),
    ]


def test_what_is_no_resource_is_passed_over() -> None:
    line = json.dumps({"verb": "get", "user": {"username": ACCOUNT}, "requestURI": "/version"})
    assert rights_of(line) == []


def test_a_creation_has_no_name() -> None:
    line = event("create", 201, resource="pods", namespace="n", name="p")
    assert rights_of(line) == [operators("create", "pods", namespace="n")]


def test_an_apply_that_creates_needs_both() -> None:
    line = event("patch", 201, resource="pods", namespace="n", name="p")
    assert rights_of(line) == [
        operators("patch", "pods", namespace="n", name="p"),
        operators("create", "pods", namespace="n"),
    ]


@pytest.mark.parametrize(("decision", "refused"), [("forbid", True), ("allow", False)])
def test_only_the_authorizer_refuses_for_want_of_a_right(decision: str, refused: bool) -> None:
    line = json.loads(event("create", 403, resource="pods", namespace="n"))
    line["annotations"] = {"authorization.k8s.io/decision": decision}
    (request,) = asked([json.dumps(line)])
    assert request.refused is refused


@pytest.mark.parametrize(
    ("right", "request_", "covers"),
    [
        (operators("get", "pods"), operators("get", "pods", namespace="n", name="p"), True),
        (operators("get", "pods"), operators("get", "pods/status", namespace="n"), False),
        (operators("get", "pods"), operators("list", "pods"), False),
        (operators("get", "pods"), operators("get", "pods", group="other"), False),
        (operators("get", "pods"), Right("activator", "get", "", "pods"), False),
        (operators("list", "pods", namespace="n"), operators("list", "pods"), False),
        (operators("list", "pods", namespace="n"), operators("list", "pods", namespace="n"), True),
        (operators("get", "pods", name="a"), operators("get", "pods", name="b"), False),
        (operators("list", "pods", name="a"), operators("list", "pods"), False),
    ],
)
def test_what_a_right_covers(right: Right, request_: Right, covers: bool) -> None:
    assert right.covers(request_) is covers


def test_what_does_not_fit_is_found() -> None:
    everywhere = operators("list", "pods")
    here = operators("get", "secrets", namespace="knative-serving", name="a")
    needless = operators("delete", "pods")
    broad = operators("list", "configmaps")
    stray = operators("update", "nodes")
    findings = compare(
        [everywhere, here, needless, broad],
        [
            Asked(everywhere, refused=False),
            Asked(here, refused=False),
            Asked(operators("list", "configmaps", namespace="knative-serving"), refused=False),
            Asked(stray, refused=True),
        ],
    )
    assert findings.surplus == {needless}
    assert findings.wide == {broad}
    assert findings.missing == findings.refused == {stray}


def test_rights_are_told_to_people() -> None:
    rights = [
        operators("list", "deployments", group="apps"),
        operators("get", "secrets", namespace="sys", name="a"),
    ]
    assert told(rights) == "operator: get secrets a in sys\noperator: list deployments.apps"
