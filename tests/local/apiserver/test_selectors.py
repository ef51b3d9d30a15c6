from __future__ import annotations

import pytest

from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.selectors import from_object, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a = b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a in (b, c)", {"a": "c"}, True),
        ("a in (b,c)", {}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b,c)", {"a": "b"}, False),
        ("x.io/a=b,c in (d),!e", {"x.io/a": "b", "c": "d"}, True),
        ("x.io/a=b,c in (d),!e", {"x.io/a": "b", "c": "d", "e": "f"}, False),
        ("n>3", {"n": "4"}, True),
        ("n<3", {"n": "4"}, False),
        ("n>3", {"n": "four"}, False),
        ("a=", {"a": ""}, True),
        ("in=in", {"in": "in"}, True),
    ],
)
def test_labels(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parse_labels(text).matches(labels) is matches


@pytest.mark.parametrize("text", ["a b", "=b", "a in b", "a,,b", "a in (b", "n>x", "a=b c=d", "-a"])
def test_malformed_labels_are_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_labels(text)
    assert caught.value.status == 400


def test_a_selector_object() -> None:
    selector = from_object(
        {
            "matchLabels": {"a": "b"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["d"]},
                {"key": "e", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.matches({"a": "b", "c": "d"})
    assert not selector.matches({"a": "b", "c": "d", "e": ""})
    with pytest.raises(ApiError, match="not a valid label selector operator"):
        from_object({"matchExpressions": [{"key": "a", "operator": "Is"}]})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("metadata.name=x", True),
        ("metadata.name!=x", False),
        ("metadata.name=x,status.phase=Running", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", True),
        ("spec.hostNetwork=true", True),
    ],
)
def test_fields(text: str, matches: bool) -> None:
    obj = {
        "metadata": {"name": "x"},
        "spec": {"hostNetwork": True},
        "status": {"phase": "Running"},
    }
    assert parse_fields(text, ("", "pods"))(obj) is matches


def test_fields_that_are_not_supported() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.replicas"):
        parse_fields("spec.replicas=1", ("apps", "deployments"))
    assert parse_fields("spec.color=red", ("x", "y"), ["spec.color"])({"spec": {"color": "red"}})
    with pytest.raises(ApiError, match="invalid field selector"):
        parse_fields("metadata.name", ("", "pods"))
