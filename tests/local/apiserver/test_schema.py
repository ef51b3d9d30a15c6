from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.apiserver.schema.cel import RuleCheck
from pilotlight_local.apiserver.schema.structural import (
    Pruning,
    SchemaError,
    apply_defaults,
    compile_schema,
)
from pilotlight_local.apiserver.schema.validate import validate
from pilotlight_local.apiserver.values import copy_json, same_json
from tests.local.apiserver.harness import relaxed

Object = dict[str, Any]


def _spec(**properties: Any) -> Object:
    return {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties}},
    }


def _pruned(schema: Object, obj: Object) -> tuple[Object, list[str]]:
    pruning = Pruning(wants_paths=True)
    pruning.run(obj, compile_schema(schema, root=True))
    return obj, pruning.paths


def test_pruning_removes_what_is_not_declared() -> None:
    schema = _spec(
        a={"type": "string"},
        items={"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
        bag={"type": "object", "additionalProperties": {"type": "object", "properties": {}}},
    )
    obj, paths = _pruned(
        schema,
        {
            "kind": "X",
            "metadata": {"name": "x", "colour": "red"},
            "spec": {"a": "", "z": 1, "items": [{"b": 1, "c": 2}], "bag": {"k": {"q": 1}}},
            "more": 1,
        },
    )
    assert obj == {
        "kind": "X",
        "metadata": {"name": "x"},
        "spec": {"a": "", "items": [{"b": 1}], "bag": {"k": {}}},
    }
    assert sorted(paths) == [
        "metadata.colour",
        "more",
        "spec.bag.k.q",
        "spec.items[0].c",
        "spec.z",
    ]


def test_pruning_keeps_what_may_be_unknown() -> None:
    keep = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    inner = {**keep, "properties": {"known": {"type": "object", "properties": {}}}}
    schema = _spec(any=keep, part=inner, free={"type": "object", "additionalProperties": True})
    spec = {"any": {"a": {"b": 1}}, "part": {"known": {"x": 1}, "y": 1}, "free": {"a": {"b": 1}}}
    obj, paths = _pruned(schema, {"spec": spec})
    assert obj["spec"] == {
        "any": {"a": {"b": 1}},
        "part": {"known": {}, "y": 1},
        "free": {"a": {"b": 1}},
    }
    assert paths == ["spec.part.known.x"]


def test_pruning_knows_embedded_objects() -> None:
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": {"type": "object", "properties": {"a": {}}}},
    }
    obj, _ = _pruned(
        _spec(pod=embedded),
        {
            "spec": {
                "pod": {
                    "kind": "P",
                    "apiVersion": "v1",
                    "metadata": {"name": "p", "odd": 1},
                    "spec": {"a": 1, "b": 2},
                    "c": 3,
                }
            }
        },
    )
    assert obj["spec"]["pod"] == {
        "kind": "P",
        "apiVersion": "v1",
        "metadata": {"name": "p"},
        "spec": {"a": 1},
    }


DEFAULTS = {
    "missing": ({"spec": {}}, {"spec": {"n": 1, "deep": {"x": "y"}}}),
    "given": ({"spec": {"n": 0}}, {"spec": {"n": 0, "deep": {"x": "y"}}}),
    "null gives way": ({"spec": {"n": None}}, {"spec": {"n": 1, "deep": {"x": "y"}}}),
    "null may stay": (
        {"spec": {"maybe": None}},
        {"spec": {"maybe": None, "n": 1, "deep": {"x": "y"}}},
    ),
    "inside of defaults": (
        {"spec": {"deep": {}}},
        {"spec": {"n": 1, "deep": {"x": "y"}}},
    ),
    "inside of lists": (
        {"spec": {"list": [{}]}},
        {"spec": {"n": 1, "deep": {"x": "y"}, "list": [{"p": "TCP"}]}},
    ),
    "no parent, no default": ({}, {}),
}


@pytest.mark.parametrize(("obj", "result"), DEFAULTS.values(), ids=DEFAULTS)
def test_defaults(obj: Object, result: Object) -> None:
    node = compile_schema(
        _spec(
            n={"type": "integer", "default": 1},
            maybe={"type": "integer", "nullable": True, "default": 7},
            deep={
                "type": "object",
                "default": {},
                "properties": {"x": {"type": "string", "default": "y"}},
            },
            list={
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"p": {"type": "string", "default": "TCP"}},
                },
            },
        ),
        root=True,
    )
    result = copy_json(result)
    if "spec" in result and "maybe" not in result["spec"]:
        result["spec"]["maybe"] = 7
    apply_defaults(obj, node)
    assert obj == result
    again = copy_json(obj)
    apply_defaults(again, node)
    assert same_json(again, obj)


WORDS = {
    "type": (
        {"type": "integer"},
        "x",
        'spec.f: Invalid value: "string": spec.f in body must be of type integer: "string"',
    ),
    "null": (
        {"type": "array", "items": {"type": "string"}},
        None,
        'spec.f: Invalid value: "null": spec.f in body must be of type array: "null"',
    ),
    "boolean is no number": (
        {"type": "number"},
        True,
        'spec.f: Invalid value: "boolean": spec.f in body must be of type number: "boolean"',
    ),
    "enum": (
        {"type": "string", "enum": ["a", "b"]},
        "c",
        'spec.f: Unsupported value: "c": supported values: "a", "b"',
    ),
    "pattern": (
        {"type": "string", "pattern": "^a+$"},
        "b",
        "spec.f: Invalid value: \"b\": spec.f in body should match '^a+$'",
    ),
    "a newline does not match the end": (
        {"type": "string", "pattern": "^a+$"},
        "a\n",
        "spec.f: Invalid value: \"a\\n\": spec.f in body should match '^a+$'",
    ),
    "minimum": (
        {"type": "integer", "minimum": 1},
        0,
        "spec.f: Invalid value: 0: spec.f in body should be greater than or equal to 1",
    ),
    "exclusive minimum": (
        {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
        1,
        "spec.f: Invalid value: 1: spec.f in body should be greater than 1",
    ),
    "maximum": (
        {"type": "number", "maximum": 1.5},
        2,
        "spec.f: Invalid value: 2: spec.f in body should be less than or equal to 1.5",
    ),
    "multiple": (
        {"type": "integer", "multipleOf": 5},
        7,
        "spec.f: Invalid value: 7: spec.f in body should be a multiple of 5",
    ),
    "minLength": (
        {"type": "string", "minLength": 1},
        "",
        'spec.f: Invalid value: "": spec.f in body should be at least 1 chars long',
    ),
    "maxLength": (
        {"type": "string", "maxLength": 2},
        "abc",
        "spec.f: Too long: may not be more than 2 bytes",
    ),
    "maxItems": (
        {"type": "array", "items": {"type": "string"}, "maxItems": 1},
        ["a", "b"],
        "spec.f: Too many: 2: must have at most 1 item",
    ),
    "minItems": (
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        [],
        "spec.f: Invalid value: 0: spec.f in body should have at least 1 items",
    ),
    "required": (
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
        {},
        "spec.f.a: Required value",
    ),
    "list-map": (
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        [{"name": "data"}, {"name": "data"}],
        'spec.f[1]: Duplicate value: {"name":"data"}',
    ),
    "list-set": (
        {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        ["a", "a"],
        'spec.f[1]: Duplicate value: "a"',
    ),
    "format": (
        {"type": "string", "format": "date-time"},
        "today",
        'spec.f: Invalid value: "today": spec.f in body must be of type date-time: "today"',
    ),
    "int32": (
        {"type": "integer", "format": "int32"},
        1 << 31,
        "spec.f: Invalid value: 2147483648: Checked value must be of type integer with format"
        " int32 in spec.f",
    ),
    "anyOf": (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {},
        'spec.f: Invalid value: "": "spec.f" must validate at least one schema (anyOf)',
    ),
    "oneOf": (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {"a": "", "b": ""},
        'spec.f: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found'
        " 2 valid alternatives",
    ),
    "not": (
        {"type": "string", "not": {"enum": ["a"]}},
        "a",
        'spec.f: Invalid value: "": "spec.f" must not validate the schema (not)',
    ),
    "int or string": (
        {"x-kubernetes-int-or-string": True},
        [],
        'spec.f: Invalid value: "array": spec.f in body must be of type integer,string: "array"',
    ),
}


@pytest.mark.parametrize(("schema", "value", "text"), WORDS.values(), ids=WORDS)
def test_validation_speaks_as_kubernetes_does(schema: Object, value: Any, text: str) -> None:
    node = compile_schema(_spec(f=schema), root=True)
    assert validate({"spec": {"f": value}}, node)[0].text == text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 3.0),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "25%"),
        ({"x-kubernetes-int-or-string": True}, 25),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00.123Z"),
        ({"type": "string", "format": "duration"}, "1h30m"),
        ({"type": "string", "pattern": "b"}, "abc"),
        ({"x-kubernetes-preserve-unknown-fields": True}, {"a": [1]}),
        ({"type": "string", "enum": ["1"]}, "1"),
    ],
)
def test_valid_values(schema: Object, value: Any) -> None:
    assert validate({"spec": {"f": value}}, compile_schema(_spec(f=schema), root=True)) == []


def test_a_bad_pattern_cannot_be_compiled() -> None:
    with pytest.raises(SchemaError, match="valid regular expression"):
        compile_schema(_spec(f={"type": "string", "pattern": "("}))


def _rules(schema: Object, value: Any, old: Any = None) -> list[str]:
    node = compile_schema(_spec(f=schema), root=True)
    before = {"spec": {"f": old}} if old is not None else None
    return [cause.text for cause in RuleCheck(node).run({"spec": {"f": value}}, before)]


def _object(rule: str, **more: Any) -> Object:
    return {
        "type": "object",
        "properties": {
            "min": {"type": "integer"},
            "max": {"type": "integer"},
            "ratio": {"type": "number"},
            "my-name": {"type": "string"},
            "list": {"type": "array", "items": {"type": "string"}},
        },
        "x-kubernetes-validations": [{"rule": rule, **more}],
    }


CEL = {
    "holds": ("self.min <= self.max", {"min": 1, "max": 2}, True),
    "does not hold": ("self.min <= self.max", {"min": 3, "max": 2}, False),
    "has": ("!has(self.min) || self.min > 0", {}, True),
    "numbers of number type": ("self.ratio < 1.5", {"ratio": 1}, True),
    "escaped names": ("self.my__dash__name.startsWith('a')", {"my-name": "abc"}, True),
    "macros": ("self.list.all(x, x.size() == 1)", {"list": ["a", "bb"]}, False),
    "membership": ("'a' in self.list", {"list": ["a"]}, True),
    "functions": (
        "self.list.isSorted() && self.list.indexOf('b') == 1",
        {"list": ["a", "b"]},
        True,
    ),
    "text functions": ("self.list.join('-').upperAscii() == 'A-B'", {"list": ["a", "b"]}, True),
}


@pytest.mark.parametrize(("rule", "value", "holds"), CEL.values(), ids=CEL)
def test_rules(rule: str, value: Any, holds: bool) -> None:
    found = _rules(_object(rule), value)
    assert found == ([] if holds else [f'spec.f: Invalid value: "object": failed rule: {rule}'])


def test_rules_have_messages_of_their_own() -> None:
    schema = _object("self.min > 5", message="too small", fieldPath=".min")
    assert _rules(schema, {"min": 1}) == ['spec.f.min: Invalid value: "object": too small']
    schema = _object("self.min > 5", messageExpression="'only ' + string(self.min)")
    assert _rules(schema, {"min": 1}) == ['spec.f: Invalid value: "object": only 1']


def test_transition_rules_see_the_old_value() -> None:
    schema = _object("self.min == oldSelf.min", message="is immutable")
    assert _rules(schema, {"min": 1}) == []
    assert _rules(schema, {"min": 1}, {"min": 1}) == []
    assert _rules(schema, {"min": 2}, {"min": 1}) == [
        'spec.f: Invalid value: "object": is immutable'
    ]


def test_a_rule_that_cannot_be_evaluated_refuses() -> None:
    found = _rules(_object("self.min > 1"), {})
    assert len(found) == 1
    assert "rule evaluation error" in found[0]


def test_a_rule_that_cannot_be_compiled_is_not_enforced() -> None:
    assert _rules(_object("self.min >"), {}) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)


@relaxed
@given(st.dictionaries(st.sampled_from(["spec", "status", "metadata", "kind", "x"]), VALUES))
def test_nothing_that_a_client_sends_breaks_the_schema_code(obj: Any) -> None:
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string", "default": "d"}}},
    }
    node = compile_schema(
        {"type": "object", "properties": {"spec": keyed, "status": {"type": "object"}}}, root=True
    )
    Pruning().run(obj, node)
    apply_defaults(obj, node)
    for cause in validate(obj, node):
        assert cause.text
