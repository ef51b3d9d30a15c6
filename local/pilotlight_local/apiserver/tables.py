"""Tables: what `kubectl get` prints, made by the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .builtin.printers import builtin_columns
from .columns import AGE, NAME, Cell, Column, age
from .kinds import Target
from .store import Record, Store
from .values import Object, encode, lookup

_FILTER: Final = re.compile(r"""\?\(\s*@\.([\w.]+)\s*==\s*(['"])(.*?)\2\s*\)""")


def columns_of(target: Target, store: Store) -> list[Column]:
    """The columns of a kind in a version."""
    kind = target.kind
    if kind.custom:
        crd = store.table(("apiextensions.k8s.io", "customresourcedefinitions"))
        record = crd.get("", f"{kind.plural}.{kind.group}")
        return custom_columns(record.obj if record else {}, target.version)
    specified = builtin_columns(kind.group, kind.kind)
    if specified is None:
        return [NAME, AGE]
    return specified


def custom_columns(crd: Object, version: str) -> list[Column]:
    """The `additionalPrinterColumns` of a definition, or its default, the age."""
    versions = lookup(crd, "spec", "versions") or ()
    found: Object = next((v for v in versions if v.get("name") == version), {})
    specified = found.get("additionalPrinterColumns")
    if not specified:
        return [NAME, AGE]
    return [NAME, *(_custom(column) for column in specified)]


def _custom(column: Object) -> Column:
    find = json_path(column.get("jsonPath") or "")
    kind = column.get("type") or "string"

    def cell(obj: Object, now: datetime) -> Cell:
        found = find(obj)
        return _typed(found[0], kind, now) if found else None

    return Column(
        column["name"],
        cell,
        kind,
        column.get("format") or "",
        column.get("description") or "",
        column.get("priority") or 0,
    )


def _typed(value: Any, kind: str, now: datetime) -> Cell:
    if kind == "date":
        return age(value, now) if value else "<unknown>"
    if value is None:
        return None
    if kind == "integer":
        return int(value) if isinstance(value, int | float) else None
    if kind == "number":
        return float(value) if isinstance(value, int | float) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return value if isinstance(value, str) else encode(value).decode()


Find = Callable[[Any], list[Any]]


def json_path(path: str) -> Find:
    """The paths that printer columns use: members, `[index]`, `[*]`, `['name']` and filters
    `[?(@.a=="b")]`.
    """
    steps = [_step(text) for text in _split(path)]

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [part for item in found for part in step(item)]
        return found

    return find


def _split(path: str) -> list[str]:
    steps: list[str] = []
    position = 0
    while position < len(path):
        if path[position] == ".":
            position += 1
        elif path[position] == "[":
            end = _closing(path, position)
            steps.append(path[position:end])
            position = end
        else:
            found = re.compile(r"(?:\\.|[^.\[])+").match(path, position)
            assert found is not None
            steps.append(_unescaped(found[0]))
            position = found.end()
    return steps


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _closing(path: str, start: int) -> int:
    quote = ""
    for position in range(start + 1, len(path)):
        char = path[position]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "]":
            return position + 1
    return len(path)


def _step(text: str) -> Find:
    if not text.startswith("["):
        return _member(text)
    inner = text[1:-1].strip()
    if found := _FILTER.fullmatch(inner):
        path, _, wanted = found.groups()
        names = path.split(".")
        return lambda value: [v for v in _list(value) if str(lookup(v, *names)) == wanted]
    if inner == "*":
        return lambda value: list(value.values()) if isinstance(value, dict) else _list(value)
    if inner[:1] in "'\"" and inner:
        return _member(_unescaped(inner[1:-1]))
    if inner.lstrip("-").isdigit():
        index = int(inner)
        return lambda value: _list(value)[index : index + 1 or None]
    return lambda value: []


def _member(name: str) -> Find:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class TableView:
    """How one request's tables are made: its columns, and how much of each object is included."""

    target: Target
    columns: Sequence[Column]
    include: str = "Metadata"

    def table(
        self, records: Iterable[Record], metadata: Object, now: datetime, headers: bool = True
    ) -> Object:
        """A `Table` of records."""
        table: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        table["columnDefinitions"] = [c.definition() for c in self.columns] if headers else None
        table["rows"] = [self._row(record.obj, now) for record in records]
        return table

    def _row(self, obj: Object, now: datetime) -> Object:
        seen = self.target.kind.strategy.present(obj, self.target.version)
        row: Object = {"cells": [column.cell(seen, now) for column in self.columns]}
        if self.include == "Metadata":
            row["object"] = partial_metadata(seen)
        elif self.include == "Object":
            row["object"] = seen
        return row


def partial_metadata(obj: Object) -> Object:
    """An object without anything but its metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
