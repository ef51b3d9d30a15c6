"""`x-kubernetes-validations`: CEL rules, compiled once and evaluated over the typed value.

The evaluator is imported when the first rule is met. A rule that it cannot compile (it lacks some
of Kubernetes' own functions) is reported once and not enforced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from pilotlight_local.apiserver.errors import Cause, invalid_value
from pilotlight_local.apiserver.values import same_json

from .cel_functions import functions
from .structural import Node, Rule, child
from .validate import json_type

_log: Final = logging.getLogger("apiserver.cel")
_MAX_PROGRAMS: Final = 4096
_RESERVED: Final = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip


def has_rules(node: Node | bool | None) -> bool:
    """Whether a schema has rules anywhere."""
    if not isinstance(node, Node):
        return False
    inner = (*node.properties.values(), node.items, node.additional)
    return bool(node.rules) or any(has_rules(part) for part in inner)


@lru_cache(maxsize=_MAX_PROGRAMS)
def program(rule: str) -> Any:
    """A compiled expression, None when it cannot be compiled."""
    # Slow to import, and needed by few kinds.
    from celpy.celparser import CELParseError
    from celpy.evaluation import CELEvalError

    try:
        environment = _environment()
        return environment.program(environment.compile(rule), functions=functions())
    except (CELParseError, CELEvalError, ValueError, KeyError) as error:
        _log.warning("a CEL rule is not enforced: %s: %s", rule, error)
        return None


@lru_cache(maxsize=1)
def _environment() -> Any:
    import celpy

    return celpy.Environment()


class RuleCheck:
    """Evaluates every rule of a schema over a value and, on updates, the value before."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._with_rules: dict[int, bool] = {}

    def run(self, value: Any, old: Any) -> list[Cause]:
        """The errors by rules; the value must already be valid by its schema."""
        return list(self._value(value, old, self._root, ""))

    def _interesting(self, node: Node) -> bool:
        found = self._with_rules.get(id(node))
        if found is None:
            found = self._with_rules[id(node)] = has_rules(node)
        return found

    def _value(self, value: Any, old: Any, node: Node, path: str) -> Iterator[Cause]:
        if value is None or not self._interesting(node):
            return
        for rule in node.rules:
            cause = _evaluate(rule, node, value, old, path)
            if cause is not None:
                yield cause
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, item in value.items():
                inner = node.member(name)
                if isinstance(inner, Node):
                    yield from self._value(item, before.get(name), inner, child(path, name))
        elif isinstance(value, list) and node.items is not None:
            for index, item in enumerate(value):
                before_item = _item_before(item, old, node)
                yield from self._value(item, before_item, node.items, f"{path}[{index}]")


def _item_before(item: Any, old: Any, node: Node) -> Any:
    """The item of the older list that is the same one; only list-maps have such."""
    if node.list_type != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return None
    for candidate in old:
        if isinstance(candidate, dict) and all(
            same_json(candidate.get(key), item.get(key)) for key in node.list_keys
        ):
            return candidate
    return None


def _evaluate(rule: Rule, node: Node, value: Any, old: Any, path: str) -> Cause | None:
    transition = "oldSelf" in rule.rule
    if transition and old is None and not rule.optional_old:
        return None
    compiled = program(rule.rule)
    if compiled is None:
        return None
    bindings = {"self": to_cel(value, node)}
    if transition:
        bindings["oldSelf"] = to_cel(old, node)
    where = path + _field_path(rule.field_path) if rule.field_path else path
    try:
        if evaluate(compiled, bindings):
            return None
    except RuleError as error:
        detail = f"rule evaluation error: {error}: {rule.rule}"
        return invalid_value(where, json_type(value), detail)
    cause = invalid_value(where, json_type(value), _message(rule, bindings))
    return Cause(rule.reason, cause.field, cause.message)


def _field_path(path: str) -> str:
    return path if path.startswith((".", "[")) else f".{path}"


class RuleError(Exception):
    """An expression that cannot be evaluated over these values."""


def evaluate(compiled: Any, bindings: Mapping[str, Any]) -> Any:
    """The value of a compiled expression; raises RuleError."""
    from celpy.evaluation import CELEvalError

    try:
        return compiled.evaluate(dict(bindings))
    except CELEvalError as error:
        raise RuleError(str(error.args[0] if error.args else error)) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RuleError(str(error)) from None


def _message(rule: Rule, bindings: Mapping[str, Any]) -> str:
    if rule.message_expression:
        compiled = program(rule.message_expression)
        try:
            text = str(evaluate(compiled, bindings)) if compiled is not None else ""
        except RuleError:
            text = ""
        if text and "\n" not in text:
            return text
    return rule.message or f"failed rule: {rule.rule}"


def to_cel(value: Any, node: Node | bool | None) -> Any:
    """A JSON value as CEL sees it: numbers by their schema's type, members by escaped names."""
    from celpy import celtypes

    if isinstance(value, dict):
        known = node if isinstance(node, Node) else None
        return celtypes.MapType(
            {
                celtypes.StringType(_escaped(name) if _is_property(known, name) else name): to_cel(
                    item, known.member(name) if known else None
                )
                for name, item in value.items()
            }
        )
    if isinstance(value, list):
        items = node.items if isinstance(node, Node) else None
        return celtypes.ListType([to_cel(item, items) for item in value])
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, int | float):
        if isinstance(value, float) or (isinstance(node, Node) and node.type == "number"):
            return celtypes.DoubleType(value)
        return celtypes.IntType(value)
    return celtypes.StringType(value) if isinstance(value, str) else None


def _is_property(node: Node | None, name: str) -> bool:
    return node is not None and name in node.properties


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    if name.replace("_", "").isalnum() and "__" not in name:
        return name
    for plain, escape in (
        ("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"),
    ):  # fmt: skip
        name = name.replace(plain, escape)
    return name
