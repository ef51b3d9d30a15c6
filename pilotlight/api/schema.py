"""From a model to the structural schema of a CRD: no references, every node typed."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from pilotlight.api.meta import ObjectMeta
from pilotlight.api.model import Extra, Model, Schema

_SCALARS: Final[dict[type, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
}
_API_VERSION: Final = {
    "description": "API group and version of the object.",
    "type": "string",
}
_KIND: Final = {"description": "Kind of the object.", "type": "string"}


def object_schema(model: type[Model]) -> dict[str, Any]:
    """The schema of a whole object, as `openAPIV3Schema` holds it."""
    schema = _of_model(model)
    properties = schema["properties"]
    properties["apiVersion"] = dict(_API_VERSION)
    properties["kind"] = dict(_KIND)
    properties["metadata"] = {"type": "object"}
    schema["properties"] = dict(sorted(properties.items()))
    return schema


def _of_model(model: type[Model]) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if model.__doc__:
        schema["description"] = " ".join(model.__doc__.split())
    schema["type"] = "object"
    fields = model.model_fields.values()
    required = sorted(_name(field) for field in fields if field.is_required())
    if required:
        schema["required"] = required
    described = (field for field in fields if _described(field))
    properties = {_name(field): _of_field(field) for field in described}
    if properties:
        schema["properties"] = dict(sorted(properties.items()))
    return schema


def _described(field: FieldInfo) -> bool:
    """Fields without a description are ours to read, but no part of the schema."""
    return field.description is not None or field.annotation is ObjectMeta


def _name(field: FieldInfo) -> str:
    assert field.alias is not None
    return field.alias


def _of_field(field: FieldInfo) -> dict[str, Any]:
    schema = _of_annotated(field.annotation, field.metadata)
    schema.pop("description", None)
    schema = {"description": field.description, **schema}
    if not field.is_required() and field.default is not None:
        schema["default"] = field.default
    return schema


def _of_type(annotation: Any) -> dict[str, Any]:
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _of_annotated(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return _of_union(arguments)
    if origin is list:
        return {"type": "array", "items": _of_type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of_type(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return _of_model(annotation)
    return dict(_SCALARS[annotation])


def _of_annotated(annotation: Any, markers: Iterable[Any]) -> dict[str, Any]:
    """The schema of a type with markers, the innermost of which come first."""
    markers = list(markers)
    given = next((dict(marker.json) for marker in markers if isinstance(marker, Schema)), None)
    schema = _of_type(annotation) if given is None else given
    for marker in markers:
        if isinstance(marker, Extra):
            schema |= marker.json
    return schema


def _of_union(members: tuple[Any, ...]) -> dict[str, Any]:
    present = [member for member in members if member is not type(None)]
    if len(present) != 1:
        raise TypeError(f"a structural schema has no union of {present}")
    return _of_type(present[0])
