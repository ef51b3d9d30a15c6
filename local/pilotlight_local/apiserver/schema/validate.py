"""Validation of values against compiled schemas, in the words of Kubernetes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from pilotlight_local.apiserver.errors import (
    Cause,
    duplicate,
    invalid_value,
    required,
    too_long,
    too_many,
    unsupported_value,
    wrong_type,
)
from pilotlight_local.apiserver.values import encode

from .formats import has_format
from .structural import Node, child


def validate(value: Any, node: Node, path: str = "") -> list[Cause]:
    """The errors of a value; those of one place in a fixed order. CEL rules are not looked at."""
    return list(_value(value, node, path))


def _value(value: Any, node: Node, path: str) -> Iterator[Cause]:
    if value is None and node.nullable:
        return
    wrong = _type_error(value, node, path)
    if wrong is not None:
        yield wrong
        return
    yield from _checks(value, node, path)
    if isinstance(value, dict):
        yield from _members(value, node, path)
    elif isinstance(value, list):
        yield from _items(value, node, path)
    yield from _junctors(value, node, path)


def json_type(value: Any) -> str:
    """The name that OpenAPI gives a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def _is_integer(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
}


def _type_error(value: Any, node: Node, path: str) -> Cause | None:
    if node.int_or_string:
        fits, wanted = _is_integer(value) or isinstance(value, str), "integer,string"
    else:
        check = _TYPES.get(node.type)
        if check is None:
            return None
        fits, wanted = check(value), node.type
    if fits:
        return None
    name = json_type(value)
    return wrong_type(path, name, f'{path} in body must be of type {wanted}: "{name}"')


def _members(value: dict[str, Any], node: Node, path: str) -> Iterator[Cause]:
    for name in node.required:
        if name not in value:
            yield required(child(path, name))
    if node.embedded:
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                yield required(child(path, name), "must not be empty")
    for name, item in value.items():
        inner = node.member(name)
        if isinstance(inner, Node) and not (node.root and name in ("apiVersion", "kind")):
            yield from _value(item, inner, child(path, name))


def _items(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    if node.items is not None:
        for index, item in enumerate(value):
            yield from _value(item, node.items, f"{path}[{index}]")
    if node.list_type not in ("map", "set"):
        return
    seen = set()
    for index, item in enumerate(value):
        shown = item
        if node.list_type == "map":
            if not isinstance(item, dict):
                continue
            shown = _key(item, node)
            missing = [name for name in node.list_keys if name not in shown]
            if missing:
                detail = "element must have the list map key, or a default for it"
                yield invalid_value(f"{path}[{index}].{missing[0]}", None, detail)
                continue
        identity = encode(shown)
        if identity in seen:
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(identity)


def _key(item: dict[str, Any], node: Node) -> dict[str, Any]:
    return {name: item[name] for name in node.list_keys if item.get(name) is not None}


def _checks(value: Any, node: Node, path: str) -> Iterator[Cause]:
    checks = node.checks
    if not checks:
        return
    if isinstance(value, str):
        yield from _text_checks(value, checks, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        yield from _number_checks(value, checks, path)
    elif isinstance(value, list):
        yield from _size_checks(len(value), checks, path, "Items")
    elif isinstance(value, dict):
        yield from _size_checks(len(value), checks, path, "Properties")
    if "enum" in checks:
        encoded, allowed = checks["enum"]
        if encode(value) not in encoded:
            yield unsupported_value(path, value, allowed)


def _text_checks(value: str, checks: dict[str, Any], path: str) -> Iterator[Cause]:
    if "maxLength" in checks and len(value) > checks["maxLength"]:
        yield too_long(path, checks["maxLength"])
    if "minLength" in checks and len(value) < checks["minLength"]:
        detail = f"{path} in body should be at least {checks['minLength']} chars long"
        yield invalid_value(path, value, detail)
    if "pattern" in checks:
        compiled, shown = checks["pattern"]
        if not compiled.search(value):
            yield invalid_value(path, value, f"{path} in body should match '{shown}'")
    if "format" in checks and not has_format(value, checks["format"]):
        detail = f'{path} in body must be of type {checks["format"]}: "{value}"'
        yield invalid_value(path, value, detail)


_INTEGER_LIMITS: Final = {"int32": 1 << 31, "int64": 1 << 63}


def _number_checks(value: float, checks: dict[str, Any], path: str) -> Iterator[Cause]:
    bound = checks.get("minimum")
    if bound is not None:
        if checks.get("exclusiveMinimum"):
            if value <= bound:
                yield invalid_value(path, value, f"{path} in body should be greater than {bound}")
        elif value < bound:
            detail = f"{path} in body should be greater than or equal to {bound}"
            yield invalid_value(path, value, detail)
    bound = checks.get("maximum")
    if bound is not None:
        if checks.get("exclusiveMaximum"):
            if value >= bound:
                yield invalid_value(path, value, f"{path} in body should be less than {bound}")
        elif value > bound:
            detail = f"{path} in body should be less than or equal to {bound}"
            yield invalid_value(path, value, detail)
    factor = checks.get("multipleOf")
    if factor and not math.isclose(value / factor, round(value / factor), abs_tol=1e-9):
        yield invalid_value(path, value, f"{path} in body should be a multiple of {factor}")
    limit = _INTEGER_LIMITS.get(checks.get("format", ""))
    if limit is not None and not -limit <= value < limit:
        detail = f"Checked value must be of type integer with format {checks['format']} in {path}"
        yield invalid_value(path, value, detail)


def _size_checks(size: int, checks: dict[str, Any], path: str, what: str) -> Iterator[Cause]:
    most, least = checks.get(f"max{what}"), checks.get(f"min{what}")
    if most is not None and size > most:
        if what == "Items":
            yield too_many(path, size, most)
        else:
            detail = f"{path} in body should have at most {most} {what.lower()}"
            yield invalid_value(path, size, detail)
    if least is not None and size < least:
        detail = f"{path} in body should have at least {least} {what.lower()}"
        yield invalid_value(path, size, detail)


def _junctors(value: Any, node: Node, path: str) -> Iterator[Cause]:
    if not node.junctors:
        return
    for inner in node.junctors.get("allOf", ()):
        yield from _value(value, inner, path)
    shown = f'"{path}"'
    options = node.junctors.get("anyOf")
    if options and not any(_holds(value, inner, path) for inner in options):
        yield invalid_value(path, "", f"{shown} must validate at least one schema (anyOf)")
        yield from _closest(value, options, path)
    options = node.junctors.get("oneOf")
    if options:
        valid = sum(_holds(value, inner, path) for inner in options)
        if valid != 1:
            found = "none valid" if valid == 0 else f"{valid} valid alternatives"
            detail = f"{shown} must validate one and only one schema (oneOf). Found {found}"
            yield invalid_value(path, "", detail)
            if valid == 0:
                yield from _closest(value, options, path)
    for inner in node.junctors.get("not", ()):
        if _holds(value, inner, path):
            yield invalid_value(path, "", f"{shown} must not validate the schema (not)")


def _holds(value: Any, node: Node, path: str) -> bool:
    return next(_value(value, node, path), None) is None


def _closest(value: Any, options: list[Node], path: str) -> list[Cause]:
    """The errors of the alternative that is nearest to being met."""
    return min((validate(value, inner, path) for inner in options), key=len)
