"""The fields of the built-in kinds, as the models of the `kubernetes` client describe them.

The models' source files are read as text, one file when its type is first needed: importing the
client would take a second. Their tables `openapi_types` and `attribute_map`, and the descriptions
beside them, have been the same through all its generations.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pilotlight_local.apiserver.errors import ApiError, bad_request
from pilotlight_local.apiserver.values import Object

_TABLE: Final = r"{}(?:: [^=\n]+)? = (\{{[^{{}}]*\}})"
_TYPES: Final = re.compile(_TABLE.format("openapi_types"))
_NAMES: Final = re.compile(_TABLE.format("attribute_map"))
_FIELD: Final = re.compile(r"^    (\w+): (.+?) = Field\((.*)\)$", re.MULTILINE)
_BARE: Final = re.compile(r"^    (\w+): ([A-Za-z][\w\[\], .|]*)$", re.MULTILINE)
_TEXT: Final = re.compile(r'description=("(?:[^"\\]|\\.)*")')
_GETTER: Final = re.compile(
    r"@property\s+def (\w+)\(self\):\s+\"\"\"Gets the [^\n]*\n\s*\n\s*(.*?)\s*(?:# noqa: E501)?\n",
    re.DOTALL,
)
_REFUSED_NONE: Final = re.compile(r"Invalid value for `(\w+)`, must not be `None`")
_CLASS_TEXT: Final = re.compile(r'class \w+\(BaseModel\):\s+"""\s+(.*?)\n', re.DOTALL)
_LIST: Final = re.compile(r"[Ll]ist\[(.+)\]$")
_DICT: Final = re.compile(r"[Dd]ict[\[(]\s*str,\s*(.+)[\])]$")

_ROOTS: Final = {("", "Event"): "CoreV1Event", ("events.k8s.io", "Event"): "EventsV1Event"}
_QUANTITY_MAPS: Final = frozenset({
    "limits", "requests", "capacity", "allocatable", "hard", "used", "overhead", "default",
    "defaultRequest", "max", "min", "maxLimitRequestRatio", "allocatedResources",
})  # fmt: skip
_QUANTITIES: Final = frozenset({"sizeLimit", "divisor", "averageValue"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its JSON name, type as the models write it, text and whether it must be there."""

    name: str
    type: str
    text: str
    required: bool


@dataclass(frozen=True, slots=True)
class Model:
    """One type: its fields by JSON name."""

    name: str
    text: str
    fields: Mapping[str, Field]


@lru_cache(maxsize=1)
def _directory() -> Path | None:
    spec = find_spec("kubernetes")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "client" / "models" if places else None


def _file_name(model: str) -> str:
    split = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", model)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", split).lower() + ".py"


@lru_cache(maxsize=1024)
def model(name: str) -> Model | None:
    """The model of a name such as `V1PodSpec`, None when the client has none."""
    directory = _directory()
    if directory is None:
        return None
    try:
        source = (directory / _file_name(name)).read_text(encoding="utf-8")
    except OSError:
        return None
    types, names = _TYPES.search(source), _NAMES.search(source)
    if not types or not names:
        return None
    return Model(name, _class_text(source), _fields(source, types[1], names[1]))


def _class_text(source: str) -> str:
    found = _CLASS_TEXT.search(source)
    text = found[1].strip() if found else ""
    return "" if text.startswith("Attributes:") else text


def _fields(source: str, types: str, names: str) -> dict[str, Field]:
    texts, needed = _annotations(source)
    json_names: dict[str, str] = ast.literal_eval(names)
    return {
        json_names[attribute]: Field(
            json_names[attribute], kind, texts.get(attribute, ""), attribute in needed
        )
        for attribute, kind in ast.literal_eval(types).items()
    }


def _annotations(source: str) -> tuple[dict[str, str], set[str]]:
    """(descriptions, names of required fields) by attribute."""
    texts: dict[str, str] = {}
    needed = set(_REFUSED_NONE.findall(source))
    for attribute, kind, arguments in _FIELD.findall(source):
        if not kind.startswith("Optional"):
            needed.add(attribute)
        if found := _TEXT.search(arguments):
            texts[attribute] = ast.literal_eval(found[1])
    for attribute, kind in _BARE.findall(source):
        if not kind.startswith("Optional"):
            needed.add(attribute)
    for attribute, text in _GETTER.findall(source):
        texts.setdefault(attribute, " ".join(text.split()))
    return texts, needed


def root_model(group: str, version: str, kind: str) -> Model | None:
    """The model of a kind's objects."""
    capital = version[:1].upper() + version[1:]
    return model(_ROOTS.get((group, kind), f"{capital}{kind}"))


def element_type(kind: str) -> tuple[str, str]:
    """("list" or "map" or "", the inner type) of a type as the models write it."""
    if found := _LIST.match(kind):
        return "list", found[1]
    if found := _DICT.match(kind):
        return "map", found[1]
    return "", kind


def unknown_fields(group: str, version: str, kind: str, obj: Object) -> list[str]:
    """The paths of fields that the kind does not have; 400 for a value of the wrong type.

    Numbers that stand for quantities become texts, in place.
    """
    root = root_model(group, version, kind)
    if root is None:
        return []
    walk = _Walk()
    try:
        walk.model(root, obj, "")
    except _WrongTypeError as error:
        raise _undecodable(kind, version, error) from None
    return walk.unknown


class _WrongTypeError(Exception):
    def __init__(self, what: str, model_name: str, path: str, wanted: str) -> None:
        super().__init__(path)
        self.what, self.model_name, self.path, self.wanted = what, model_name, path, wanted


def _undecodable(kind: str, version: str, error: _WrongTypeError) -> ApiError:
    path = re.sub(r"\[\d+\]", "", error.path)
    return bad_request(
        f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal'
        f" {error.what} into Go struct field {error.model_name}.{path} of type {error.wanted}"
    )


_GO_TYPES: Final = {
    "str": "string",
    "int": "int32",
    "bool": "bool",
    "float": "float64",
    "datetime": "v1.Time",
    "bytes": "[]uint8",
}


class _Walk:
    """One object held against its models."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def model(self, model_: Model, value: Object, path: str) -> None:
        for name, item in value.items():
            where = f"{path}.{name}" if path else name
            field = model_.fields.get(name)
            if field is None:
                self.unknown.append(where)
            elif item is not None and where != "metadata.managedFields":
                quantity = name in _QUANTITIES or (
                    name == "value" and model_.name.endswith("MetricTarget")
                )
                if quantity or name in _QUANTITY_MAPS:
                    value[name] = item = _as_quantities(item, quantity)
                self._value(item, _Place(field.type, where, model_.name))

    def _value(self, value: Any, place: _Place) -> None:
        if value is None or place.type == "object":
            return
        container, inner = element_type(place.type)
        if container == "list":
            if not isinstance(value, list):
                raise place.wrong(value, f"[]{_short(inner)}")
            for index, item in enumerate(value):
                self._value(item, _Place(inner, f"{place.path}[{index}]", place.model))
        elif container == "map":
            if not isinstance(value, dict):
                raise place.wrong(value, f"map[string]{_short(inner)}")
            for name, item in value.items():
                self._value(item, _Place(inner, f"{place.path}.{name}", place.model))
        else:
            self._single(value, place)

    def _single(self, value: Any, place: _Place) -> None:
        wanted = _SCALARS.get(place.type)
        if wanted is not None:
            if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
                raise place.wrong(value, _GO_TYPES[place.type])
            return
        inner = model(place.type)
        if inner is None:
            return
        if not isinstance(value, dict):
            raise place.wrong(value, f"v1.{_short(place.type)}")
        self.model(inner, value, place.path)


_SCALARS: Final[dict[str, Any]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "datetime": str,
    "bytes": str,
}


@dataclass(frozen=True, slots=True)
class _Place:
    type: str
    path: str
    model: str

    def wrong(self, value: Any, wanted: str) -> _WrongTypeError:
        what = _json_type(value)
        if isinstance(value, float) and wanted == "int32":
            what = f"number {value}"
        return _WrongTypeError(what, _short(self.model), self.path, wanted)


def _short(name: str) -> str:
    """`PodSpec` for `V1PodSpec`, and Go's names of plain types."""
    return _GO_TYPES.get(name) or re.sub(r"^(Core|Events)?V\d+((alpha|beta)\d+)?", "", name)


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    names: dict[type, str] = {str: "string", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _as_quantities(value: Any, single: bool) -> Any:
    if isinstance(value, dict) and not single:
        return {name: _as_quantities(item, single=True) for name, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value
