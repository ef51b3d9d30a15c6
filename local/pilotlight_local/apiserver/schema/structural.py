"""Structural schemas of custom resources: compiled once, then pruning and defaulting.

A schema (OpenAPI v3 as CustomResourceDefinitions write it) becomes a tree of `Node`s, over which
pruning, defaulting and validation walk together with the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotlight_local.apiserver.shapes import ANY, ATOMIC, LEAF, LIST_MAP, MAP, SET, Shape
from pilotlight_local.apiserver.values import Object, copy_json, encode

UNSET: Final = object()
MAX_DEPTH: Final = 200

_OBJECT_META: Final = frozenset({
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation",
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels",
    "annotations", "ownerReferences", "finalizers", "managedFields",
})  # fmt: skip
_TYPED: Final = frozenset({"apiVersion", "kind", "metadata"})


class SchemaError(ValueError):
    """A schema that cannot be compiled: where, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True)
class Rule:
    """One `x-kubernetes-validations` entry."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = "FieldValueInvalid"
    field_path: str = ""
    optional_old: bool = False


@dataclass(slots=True)
class Node:
    """One schema. `checks` are the keywords about values alone, by name."""

    type: str = ""
    properties: dict[str, Node] = field(default_factory=dict)
    additional: Node | bool | None = None
    items: Node | None = None
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    default: Any = UNSET
    required: tuple[str, ...] = ()
    checks: dict[str, Any] = field(default_factory=dict)
    junctors: dict[str, list[Node]] = field(default_factory=dict)
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    map_type: str = "granular"
    rules: tuple[Rule, ...] = ()
    has_defaults: bool = False
    root: bool = False

    def member(self, name: str) -> Node | bool | None:
        """The schema of an object's member: True for anything, None for a member it lacks."""
        found = self.properties.get(name)
        if found is not None:
            return found
        return self.additional or (True if self.preserve else None)


_CHECKS: Final = (
    "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "multipleOf", "format",
    "uniqueItems",
)  # fmt: skip


def compile_schema(schema: Mapping[str, Any], root: bool = False) -> Node:
    """Compiles a schema; raises SchemaError."""
    node = _compile(schema, "", 0)
    node.root = root
    if root:
        node.type = node.type or "object"
    return node


def _compile(schema: Any, path: str, depth: int) -> Node:
    if not isinstance(schema, Mapping):
        raise SchemaError(path, "must be an object")
    if depth > MAX_DEPTH:
        raise SchemaError(path, f"nested deeper than {MAX_DEPTH}")
    node = Node(
        type=schema.get("type") or "",
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(schema.get("x-kubernetes-int-or-string")),
        nullable=bool(schema.get("nullable")),
        default=schema.get("default", UNSET),
        required=tuple(schema.get("required") or ()),
        list_type=schema.get("x-kubernetes-list-type") or "atomic",
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        map_type=schema.get("x-kubernetes-map-type") or "granular",
    )
    node.checks = {name: schema[name] for name in _CHECKS if schema.get(name) is not None}
    if "enum" in node.checks:
        node.checks["enum"] = [encode(item) for item in schema["enum"]], list(schema["enum"])
    if schema.get("pattern"):
        node.checks["pattern"] = _pattern(schema["pattern"], path), schema["pattern"]
    node.rules = tuple(_rule(rule) for rule in schema.get("x-kubernetes-validations") or ())
    _compile_parts(node, schema, path, depth)
    node.has_defaults = _has_defaults(node)
    return node


def _compile_parts(node: Node, schema: Mapping[str, Any], path: str, depth: int) -> None:
    for name, inner in (schema.get("properties") or {}).items():
        node.properties[name] = _compile(inner, f"{path}.properties[{name}]", depth + 1)
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        node.additional = _compile(additional, f"{path}.additionalProperties", depth + 1)
    elif additional is not None:
        node.additional = bool(additional)
    if schema.get("items") is not None:
        node.items = _compile(schema["items"], f"{path}.items", depth + 1)
    for name in ("allOf", "anyOf", "oneOf"):
        if schema.get(name):
            node.junctors[name] = [
                _compile(inner, f"{path}.{name}[{i}]", depth + 1)
                for i, inner in enumerate(schema[name])
            ]
    if schema.get("not") is not None:
        node.junctors["not"] = [_compile(schema["not"], f"{path}.not", depth + 1)]


def _has_defaults(node: Node) -> bool:
    inner = [*node.properties.values(), node.items, node.additional]
    return any(
        isinstance(part, Node) and (part.default is not UNSET or part.has_defaults)
        for part in inner
    )


def _rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(
        rule.get("rule") or "",
        rule.get("message") or "",
        rule.get("messageExpression") or "",
        rule.get("reason") or "FieldValueInvalid",
        rule.get("fieldPath") or "",
        bool(rule.get("optionalOldSelf")),
    )


def _pattern(pattern: str, path: str) -> re.Pattern[str]:
    """Go's `$` and `\\z` are Python's `\\Z`: without it, a trailing newline would pass."""
    text = pattern.replace(r"\z", r"\Z")
    if text.endswith("$") and not text.endswith(r"\$"):
        text = text[:-1] + r"\Z"
    try:
        return re.compile(text)
    except re.error as error:
        raise SchemaError(
            f"{path}.pattern", f"must be a valid regular expression: {error}"
        ) from None


def child(path: str, name: str) -> str:
    """A member's path; names that are not plain are put in brackets."""
    if not path:
        return name
    return f"{path}.{name}"


class Pruning:
    """Removes what a schema does not have, and remembers the paths when it is asked to."""

    def __init__(self, wants_paths: bool = False) -> None:
        self._wants_paths = wants_paths
        self.paths: list[str] = []

    def run(self, obj: Object, node: Node) -> None:
        """Prunes a whole object of a kind, in place."""
        self._typed(obj, node, "")

    def _value(self, value: Any, node: Node | bool | None, path: str) -> None:
        if not isinstance(node, Node):
            return
        if isinstance(value, dict):
            if node.embedded:
                self._typed(value, node, path)
            else:
                self._map(value, node, path, frozenset())
        elif isinstance(value, list) and node.items is not None:
            for index, item in enumerate(value):
                self._value(item, node.items, f"{path}[{index}]")

    def _map(self, value: Object, node: Node, path: str, kept: frozenset[str]) -> None:
        if not node.properties and not node.additional and node.int_or_string:
            return
        gone = []
        for name, item in value.items():
            if name in kept:
                continue
            inner = node.member(name)
            if inner is None:
                gone.append(name)
            elif isinstance(item, dict | list):
                self._value(item, inner, child(path, name))
        for name in gone:
            del value[name]
            if self._wants_paths:
                self.paths.append(child(path, name))

    def _typed(self, value: Object, node: Node, path: str) -> None:
        self._map(value, node, path, _TYPED)
        metadata = value.get("metadata")
        if isinstance(metadata, dict):
            for name in [name for name in metadata if name not in _OBJECT_META]:
                del metadata[name]
                if self._wants_paths:
                    self.paths.append(child(child(path, "metadata"), name))


def apply_defaults(value: Any, node: Node | bool | None) -> None:
    """Fills in defaults, in place; a null that may not be one gives way to a default."""
    if not isinstance(node, Node) or not node.has_defaults:
        return
    if isinstance(value, dict):
        for name, inner in node.properties.items():
            if inner.default is not UNSET and (
                name not in value or (value[name] is None and not inner.nullable)
            ):
                value[name] = copy_json(inner.default)
            if name in value:
                apply_defaults(value[name], inner)
        if isinstance(node.additional, Node):
            for name, item in value.items():
                if name not in node.properties:
                    if item is None and not node.additional.nullable:
                        if node.additional.default is not UNSET:
                            value[name] = copy_json(node.additional.default)
                    else:
                        apply_defaults(item, node.additional)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            apply_defaults(item, node.items)


def shape_of(node: Node, metadata: Shape) -> Shape:
    """The merge rules of a kind's objects."""
    shape = _shape(node)
    return Shape(MAP, fields={**shape.fields, "metadata": metadata}, rest=shape.rest)


def _shape(node: Node | bool | None) -> Shape:
    if not isinstance(node, Node):
        return ANY
    if node.type == "array":
        if node.list_type == "map" and isinstance(node.items, Node):
            defaults = {
                key: node.items.properties[key].default
                for key in node.list_keys
                if key in node.items.properties and node.items.properties[key].default is not UNSET
            }
            return Shape(
                LIST_MAP, item=_shape(node.items), keys=node.list_keys, key_defaults=defaults
            )
        return SET if node.list_type == "set" else Shape(ATOMIC)
    if node.map_type == "atomic":
        return LEAF
    fields = {name: _shape(inner) for name, inner in node.properties.items()}
    if not fields and not isinstance(node.additional, Node):
        return ANY
    rest = _shape(node.additional) if isinstance(node.additional, Node) else None
    return Shape(MAP, fields=fields, rest=rest)
