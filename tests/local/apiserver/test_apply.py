from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.apiserver.builtin.shapes import shape_of
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.patches.apply import apply
from pilotlight_local.apiserver.patches.fieldset import (
    compare,
    difference,
    intersection,
    of,
    paths,
    union,
)
from pilotlight_local.apiserver.patches.managed import APPLY, UPDATE, Writer, after_update
from pilotlight_local.apiserver.values import copy_json, same_json
from tests.local.apiserver.harness import relaxed

SHAPE = shape_of("Deployment")
Object = dict[str, Any]


def _writer(manager: str, operation: str = APPLY) -> Writer:
    return Writer(manager, operation, "apps/v1", "", "2026-01-01T00:00:00Z")


def _object(**spec: Any) -> Object:
    return {"metadata": {"name": "x"}, "spec": spec}


def _containers(*items: Object) -> Object:
    return {"template": {"spec": {"containers": list(items)}}}


def _applied(live: Object | None, manager: str, config: Object, force: bool = False) -> Object:
    made = apply(live, config, SHAPE, _writer(manager), force)
    return {**made.obj, "metadata": {**made.obj["metadata"], "managedFields": made.entries}}


def _updated(live: Object, manager: str, change: Object) -> Object:
    new = {**live, "spec": change}
    entries = after_update(live, new, SHAPE, _writer(manager, UPDATE))
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def _owners(obj: Object) -> dict[str, list[str]]:
    return {
        entry["manager"]: sorted(paths(entry["fieldsV1"]))
        for entry in obj["metadata"]["managedFields"]
    }


def test_applying_creates_and_owns() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    assert obj["spec"] == {"replicas": 1, "paused": True}
    assert _owners(obj) == {"a": [".spec.paused", ".spec.replicas"]}


def test_what_is_no_longer_applied_is_removed() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    obj = _applied(obj, "a", _object(replicas=2))
    assert obj["spec"] == {"replicas": 2}


def test_what_another_manager_owns_too_stays() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    obj = _applied(obj, "b", _object(paused=True))
    obj = _applied(obj, "a", _object(replicas=1))
    assert obj["spec"] == {"replicas": 1, "paused": True}
    assert _owners(obj) == {"a": [".spec.replicas"], "b": [".spec.paused"]}


def test_a_conflict_names_the_manager_and_the_field() -> None:
    obj = _applied(None, "a", _object(replicas=1))
    with pytest.raises(ApiError) as caught:
        _applied(obj, "b", _object(replicas=2))
    error = caught.value
    assert (error.status, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "a": .spec.replicas'
    assert [cause.field for cause in error.causes] == [".spec.replicas"]
    assert error.causes[0].reason == "FieldManagerConflict"


def test_a_forced_apply_takes_the_field() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    obj = _applied(obj, "b", _object(replicas=2), force=True)
    assert obj["spec"] == {"replicas": 2, "paused": True}
    assert _owners(obj) == {"a": [".spec.paused"], "b": [".spec.replicas"]}


def test_an_update_conflicts_in_other_words() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    obj = _updated(obj, "edit", {"replicas": 3, "paused": False})
    assert _owners(obj) == {"edit": [".spec.paused", ".spec.replicas"]}
    with pytest.raises(ApiError) as caught:
        _applied(obj, "a", _object(replicas=1, paused=True))
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "edit" using apps/v1:\n'
        "- .spec.replicas\n- .spec.paused"
    )


def test_items_of_a_list_map_are_owned_one_by_one() -> None:
    obj = _applied(None, "a", _object(**_containers({"name": "x", "image": "1"})))
    sidecar = {"name": "y", "image": "2"}
    obj = _applied(obj, "b", _object(**_containers(sidecar)))
    assert [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] == ["x", "y"]
    obj = _applied(obj, "a", _object(replicas=1))
    assert obj["spec"]["template"]["spec"]["containers"] == [sidecar]


def test_an_item_goes_with_what_was_defaulted_in_it() -> None:
    obj = _applied(None, "a", _object(**_containers({"name": "x"}, {"name": "y"})))
    obj["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always"
    obj = _applied(obj, "a", _object(**_containers({"name": "x"})))
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "x"}]


def test_a_member_of_an_item_is_removed_and_others_stay() -> None:
    full = {"name": "x", "image": "1", "env": [{"name": "A", "value": "1"}, {"name": "B"}]}
    obj = _applied(None, "a", _object(**_containers(full)))
    obj = _applied(obj, "a", _object(**_containers({"name": "x", "env": [{"name": "B"}]})))
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "x", "env": [{"name": "B"}]}]


def test_ports_are_told_apart_by_a_defaulted_protocol() -> None:
    first = {"name": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    obj = _applied(None, "a", _object(**_containers(first)))
    again = {"name": "x", "ports": [{"containerPort": 80, "name": "web"}]}
    obj = _applied(obj, "a", _object(**_containers(again)))
    ports = obj["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 80, "name": "web"}] or ports == [
        {"containerPort": 80, "protocol": "TCP", "name": "web"}
    ]


def test_applying_the_same_again_changes_nothing() -> None:
    config = _object(replicas=1, **_containers({"name": "x", "image": "1"}))
    once = _applied(None, "a", config)
    assert same_json(_applied(once, "a", config), once)


def test_removed_by_somebody_and_applied_again() -> None:
    obj = _applied(None, "a", _object(replicas=1, paused=True))
    obj = _updated(obj, "edit", {"replicas": 1})
    assert _owners(obj) == {"a": [".spec.replicas"]}
    assert _applied(obj, "a", _object(replicas=1, paused=True))["spec"]["paused"] is True


NAMES = st.sampled_from(["x", "y", "z"])
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES}, optional={"image": st.sampled_from("12"), "tty": st.booleans()}
    ),
    max_size=3,
    unique_by=lambda item: item["name"],
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 2),
        "selector": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12")),
        "template": st.fixed_dictionaries(
            {}, optional={"spec": st.fixed_dictionaries({}, optional={"containers": ITEMS})}
        ),
    },
)


@relaxed
@given(SPECS, SPECS, SPECS)
def test_a_sole_manager_gets_exactly_what_it_applies(first: Any, second: Any, third: Any) -> None:
    obj = None
    for spec in (first, second, third):
        obj = _applied(obj, "a", {"metadata": {"name": "x"}, "spec": copy_json(spec)})
    assert obj is not None
    left = of(obj["spec"], SHAPE.member("spec")) if obj["spec"] else None
    assert difference(left, of(third, SHAPE.member("spec"))) is None or not third
    if "replicas" in third:
        assert obj["spec"]["replicas"] == third["replicas"]
    wanted = third.get("template", {}).get("spec", {}).get("containers", [])
    found = obj["spec"].get("template", {}).get("spec", {}).get("containers", [])
    assert found == wanted


@relaxed
@given(SPECS, SPECS)
def test_two_managers_never_lose_each_others_fields(mine: Any, theirs: Any) -> None:
    obj = _applied(None, "a", {"metadata": {"name": "x"}, "spec": copy_json(mine)})
    obj = _applied(obj, "b", {"metadata": {"name": "x"}, "spec": copy_json(theirs)}, force=True)
    obj = _applied(obj, "a", {"metadata": {"name": "x"}, "spec": {}})
    shape = SHAPE.member("spec")
    kept = of(obj["spec"], shape) if obj.get("spec") else None
    wanted = of(theirs, shape) if theirs else None
    lost = difference(wanted, kept)
    # Empty maps and lists have no members to be seen in.
    assert [path for path in paths(lost) if _at(theirs, path)] == []


def _at(spec: Any, path: str) -> Any:
    for name in path.split("[")[0].strip(".").split("."):
        spec = spec.get(name) if isinstance(spec, dict) else None
    return spec


@relaxed
@given(SPECS, SPECS)
def test_sets_obey_their_laws(left: Any, right: Any) -> None:
    shape = SHAPE.member("spec")
    a, b = of(left, shape), of(right, shape)
    both = union(a, b)
    assert difference(both, both) is None
    assert union(a, a) == a
    assert difference(difference(both, b), b) == difference(both, b)
    assert set(paths(intersection(a, b))) == set(paths(a)) & set(paths(b))
    assert set(paths(union(a, b))) == set(paths(a)) | set(paths(b))
    assert set(paths(difference(a, b))) == set(paths(a)) - set(paths(b))
    assert compare(left, copy_json(left), shape) == (None, None)
