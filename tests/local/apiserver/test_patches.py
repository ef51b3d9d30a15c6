from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.apiserver.builtin.shapes import shape_of
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.patches.merge import json_patch, merge_patch
from pilotlight_local.apiserver.patches.strategic import strategic_patch
from pilotlight_local.apiserver.values import copy_json, same_json
from tests.local.apiserver.harness import relaxed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("abc", min_size=1, max_size=1), JSON, max_size=4)
POD = shape_of("Pod")
DEPLOYMENT = shape_of("Deployment")
SERVICE = shape_of("Service")


# The examples of RFC 7386, appendix A, for objects.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@relaxed
@given(OBJECTS, OBJECTS)
def test_a_merge_patch_changes_neither_argument_and_is_idempotent(target: Any, patch: Any) -> None:
    before = copy_json(target), copy_json(patch)
    once = merge_patch(target, patch)
    assert same_json(merge_patch(once, patch), once)
    assert same_json([target, patch], list(before))


def test_json_patch() -> None:
    target = {"a": {"b": [1, 2]}}
    patch = [
        {"op": "test", "path": "/a/b/0", "value": 1},
        {"op": "add", "path": "/a/b/-", "value": 3},
        {"op": "remove", "path": "/a/b/0"},
    ]
    assert json_patch(target, patch) == {"a": {"b": [2, 3]}}
    assert target == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({"op": "add"}, 400),
        ([{"op": "what", "path": "/a"}], 400),
        ([{"op": "remove", "path": "/nope"}], 422),
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "replace", "path": "", "value": 2}], 422),
        ([{"op": "remove", "path": "/a"}] * 10_001, 413),
    ],
)
def test_json_patches_that_fail(patch: Any, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1}, patch)
    assert caught.value.status == status


def _pod(**spec: Any) -> dict[str, Any]:
    return {"spec": spec}


STRATEGIC = {
    "a list-map merges by its key": (
        POD,
        _pod(containers=[{"name": "a", "image": "x"}, {"name": "b"}]),
        _pod(containers=[{"name": "b", "image": "y"}]),
        _pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]),
    ),
    "a new item is appended": (
        POD,
        _pod(containers=[{"name": "a"}]),
        _pod(containers=[{"name": "b"}]),
        _pod(containers=[{"name": "a"}, {"name": "b"}]),
    ),
    "an item is deleted": (
        POD,
        _pod(containers=[{"name": "a"}, {"name": "b"}]),
        _pod(containers=[{"name": "a", "$patch": "delete"}]),
        _pod(containers=[{"name": "b"}]),
    ),
    "a list-map is replaced": (
        POD,
        _pod(containers=[{"name": "a"}, {"name": "b"}]),
        _pod(containers=[{"name": "c"}, {"$patch": "replace"}]),
        _pod(containers=[{"name": "c"}]),
    ),
    "an ordinary list is replaced": (
        POD,
        _pod(tolerations=[{"key": "a"}]),
        _pod(tolerations=[{"key": "b"}]),
        _pod(tolerations=[{"key": "b"}]),
    ),
    "null removes": (POD, _pod(a=1, b=2), _pod(a=None), _pod(b=2)),
    "a map is replaced": (
        POD,
        _pod(securityContext={"a": 1}),
        _pod(securityContext={"$patch": "replace", "b": 2}),
        _pod(securityContext={"b": 2}),
    ),
    "a map is deleted": (
        POD,
        _pod(securityContext={"a": 1}),
        _pod(securityContext={"$patch": "delete"}),
        _pod(),
    ),
    "primitives are a union": (
        POD,
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    "primitives are deleted": (
        POD,
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    "keys are retained": (
        DEPLOYMENT,
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
    "order is set": (
        POD,
        _pod(containers=[{"name": "a"}, {"name": "b"}]),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                "containers": [{"name": "c"}],
            }
        },
        _pod(containers=[{"name": "c"}, {"name": "b"}, {"name": "a"}]),
    ),
    "nested lists merge": (
        POD,
        _pod(containers=[{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y"}]}]),
        _pod(containers=[{"name": "a", "env": [{"name": "X", "value": "2"}]}]),
        _pod(containers=[{"name": "a", "env": [{"name": "X", "value": "2"}, {"name": "Y"}]}]),
    ),
    "service ports merge by number": (
        SERVICE,
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81}]}},
        {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}},
        {"spec": {"ports": [{"port": 80, "name": "a", "targetPort": 8080}, {"port": 81}]}},
    ),
    "selectors merge as maps": (
        DEPLOYMENT,
        {"spec": {"selector": {"matchLabels": {"a": "1"}}}},
        {"spec": {"selector": {"matchLabels": {"b": "2"}}}},
        {"spec": {"selector": {"matchLabels": {"a": "1", "b": "2"}}}},
    ),
}


@pytest.mark.parametrize(("shape", "target", "patch", "result"), STRATEGIC.values(), ids=STRATEGIC)
def test_strategic_patch(shape: Any, target: Any, patch: Any, result: Any) -> None:
    before = copy_json(target)
    assert strategic_patch(target, patch, shape) == result
    assert target == before


def test_strategic_patches_that_fail() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: name"):
        strategic_patch({}, _pod(containers=[{"image": "x"}]), POD)
    with pytest.raises(ApiError, match="Unknown patch type found: odd"):
        strategic_patch({}, {"$patch": "odd"}, POD)
