"""OpenAPI documents: v3 by group and version, and a v2 that old clients can start with.

They are made when they are first asked for. Built-in kinds are described by the models of the
`kubernetes` client, custom kinds by their definitions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

from .builtin.models import Model, element_type, model, root_model
from .builtin.shapes import shape_of
from .discovery import group_versions, kinds_of
from .kinds import Registry, ServedKind
from .shapes import Shape
from .store import Store
from .values import Object, encode, lookup

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
_META_TYPES: Final = frozenset({
    "V1ObjectMeta", "V1ListMeta", "V1OwnerReference", "V1ManagedFieldsEntry", "V1LabelSelector",
    "V1LabelSelectorRequirement", "V1Condition", "V1Status", "V1StatusDetails", "V1StatusCause",
    "V1DeleteOptions", "V1Preconditions",
})  # fmt: skip
_SCALARS: Final[dict[str, Object]] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "float": {"type": "number", "format": "double"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"type": "object"},
}
_PATCH_TYPES: Final = (
    "application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml",
)  # fmt: skip
_STRATEGIC: Final = "application/strategic-merge-patch+json"


def schema_name(name: str) -> str:
    """A model's name as Kubernetes' documents have it: its last part is what `explain` shows."""
    if name in _META_TYPES:
        return f"{META}.{name.removeprefix('V1')}"
    found = re.fullmatch(r"([A-Za-z]*?)V(\d+(?:(?:alpha|beta)\d+)?)(\w+)", name)
    if not found:
        return f"io.k8s.api.{name}"
    group, version, kind = found.groups()
    middle = f"{group.lower()}." if group else ""
    return f"io.k8s.api.{middle}v{version}.{kind}"


class Schemas:
    """The schemas of one document, with everything that they refer to."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.found: dict[str, Object] = {}

    def reference(self, name: str, shape: Shape | None = None) -> Object:
        """A reference to a model's schema, which is added if it is new."""
        inner = model(name)
        if inner is None:
            return {"type": "object"}
        full = schema_name(name)
        if full not in self.found:
            self.found[full] = {}
            self.found[full] = self._model(inner, shape)
        return {"$ref": self._prefix + full}

    def _model(self, inner: Model, shape: Shape | None) -> Object:
        schema: Object = {"type": "object"}
        if inner.text:
            schema["description"] = inner.text
        schema["properties"] = {
            field.name: self._field(
                field.type, field.text, shape.member(field.name) if shape else None
            )
            for field in inner.fields.values()
        }
        required = [field.name for field in inner.fields.values() if field.required]
        if required:
            schema["required"] = required
        return schema

    def _field(self, kind: str, text: str, shape: Shape | None) -> Object:
        schema = self._type(kind, shape)
        inner = model(kind) if "$ref" in schema else None
        text = text or (inner.text if inner else "")
        if text:
            # A reference may not have siblings.
            schema = {"allOf": [schema]} if "$ref" in schema else schema
            schema["description"] = text
        if shape is not None:
            schema |= _merge_rules(shape)
        return schema

    def _type(self, kind: str, shape: Shape | None) -> Object:
        container, inner = element_type(kind)
        if container == "list":
            return {"type": "array", "items": self._type(inner, shape.element if shape else None)}
        if container == "map":
            return {"type": "object", "additionalProperties": self._type(inner, None)}
        if inner in _SCALARS:
            return dict(_SCALARS[inner])
        return self.reference(inner, shape)


def _merge_rules(shape: Shape) -> Object:
    rules: Object = {}
    if shape.kind == "list-map":
        strategy = "merge,retainKeys" if shape.retain_keys else "merge"
        rules["x-kubernetes-list-type"] = "map"
        rules["x-kubernetes-list-map-keys"] = list(shape.keys)
        rules["x-kubernetes-patch-strategy"] = strategy
        rules["x-kubernetes-patch-merge-key"] = shape.merge_key
    elif shape.kind == "list-set":
        rules["x-kubernetes-list-type"] = "set"
        rules["x-kubernetes-patch-strategy"] = "merge"
    elif shape.retain_keys:
        rules["x-kubernetes-patch-strategy"] = "retainKeys"
    return rules


def documents(registry: Registry) -> Object:
    """`/openapi/v3`: where the documents are; the hashes change with the kinds."""
    paths = {}
    for group, versions in group_versions(registry).items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            stamp = _stamp(registry, group, version)
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={stamp}"}
    return {"paths": paths}


def _stamp(registry: Registry, group: str, version: str) -> str:
    names = [f"{k.plural}{k.kind}" for k in kinds_of(registry, group, version)]
    return hashlib.sha256(encode([registry.generation, names])).hexdigest()[:32].upper()


def document(registry: Registry, store: Store, group: str, version: str) -> Object | None:
    """The v3 document of a version of a group, None when there is none."""
    if version not in group_versions(registry).get(group, ()):
        return None
    schemas = Schemas("#/components/schemas/")
    paths: Object = {}
    for kind in kinds_of(registry, group, version):
        name = _add_schema(schemas, kind, version, store)
        paths |= dict(_paths(kind, version, {"$ref": f"#/components/schemas/{name}"}))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": paths,
        "components": {"schemas": schemas.found},
    }


def document_v2(registry: Registry, store: Store) -> Object:
    """The v2 document: definitions with their kinds, and the paths that patches go to."""
    schemas = Schemas("#/definitions/")
    paths: Object = {}
    for kind in registry:
        for version in kind.versions:
            name = _add_schema(schemas, kind, version, store)
            paths |= dict(_paths_v2(kind, version, {"$ref": f"#/definitions/{name}"}))
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": paths,
        "definitions": schemas.found,
    }


def _gvk(kind: ServedKind, version: str) -> Object:
    return {"group": kind.group, "version": version, "kind": kind.kind}


def _add_schema(schemas: Schemas, kind: ServedKind, version: str, store: Store) -> str:
    """Adds a kind's schema and returns its name."""
    if kind.custom:
        reversed_group = ".".join(reversed(kind.group.split(".")))
        name = f"{reversed_group}.{version}.{kind.kind}"
        schema = _custom(schemas, kind, version, store)
    else:
        root = root_model(kind.group, version, kind.kind)
        if root is None:
            name, schema = f"io.k8s.api.{kind.kind}", {"type": "object"}
        else:
            schemas.reference(root.name, shape_of(kind.kind))
            name = schema_name(root.name)
            schema = schemas.found[name]
    schemas.found[name] = {**schema, "x-kubernetes-group-version-kind": [_gvk(kind, version)]}
    return name


_TYPE_TEXTS: Final = {
    "apiVersion": (
        "APIVersion defines the versioned schema of this representation of an object. Servers"
        " should convert recognized schemas to the latest internal value, and may reject"
        " unrecognized values."
    ),
    "kind": (
        "Kind is a string value representing the REST resource this object represents. Servers may"
        " infer this from the endpoint the client submits requests to."
    ),
}


def _custom(schemas: Schemas, kind: ServedKind, version: str, store: Store) -> Object:
    table = store.table(("apiextensions.k8s.io", "customresourcedefinitions"))
    record = table.get("", f"{kind.plural}.{kind.group}")
    versions: Any = lookup(record.obj, "spec", "versions") if record else ()
    found: Object = next((v for v in versions if v.get("name") == version), {})
    schema = dict(lookup(found, "schema", "openAPIV3Schema") or {"type": "object"})
    properties = dict(schema.get("properties") or {})
    for name, text in _TYPE_TEXTS.items():
        properties.setdefault(name, {"type": "string", "description": text})
    metadata = schemas.reference("V1ObjectMeta")
    properties["metadata"] = {"allOf": [metadata], "description": "Standard object's metadata."}
    schema["properties"] = properties
    return schema


_PARAMETERS: Final = (
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
    ("force", "boolean"),
)


def _places(kind: ServedKind, version: str) -> Iterator[tuple[str, str]]:
    """(path, verb) of every operation on a kind."""
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    space = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"{root}{space}/{kind.plural}"
    yield from ((collection, verb) for verb in ("get", "post", "delete"))
    yield from ((f"{collection}/{{name}}", verb) for verb in ("get", "put", "patch", "delete"))


def _paths(kind: ServedKind, version: str, reference: Object) -> Iterator[tuple[str, Object]]:
    types = _PATCH_TYPES if kind.custom else (*_PATCH_TYPES, _STRATEGIC)
    found: dict[str, Object] = {}
    for path, verb in _places(kind, version):
        operation = _operation(kind, version, verb)
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}
            for name, type_ in _PARAMETERS
            if verb in ("post", "put", "patch")
        ]
        if verb == "patch":
            operation["requestBody"] = {"content": {t: {"schema": {}} for t in types}}
        elif verb in ("post", "put"):
            operation["requestBody"] = {"content": {"*/*": {"schema": reference}}}
        operation["responses"]["200"]["content"] = {"application/json": {"schema": reference}}
        found.setdefault(path, {})[verb] = operation
    yield from found.items()


def _paths_v2(kind: ServedKind, version: str, reference: Object) -> Iterator[tuple[str, Object]]:
    types = _PATCH_TYPES if kind.custom else (*_PATCH_TYPES, _STRATEGIC)
    found: dict[str, Object] = {}
    for path, verb in _places(kind, version):
        operation = _operation(kind, version, verb)
        operation["produces"] = ["application/json"]
        operation["consumes"] = list(types) if verb == "patch" else ["*/*"]
        operation["parameters"] = [
            {"name": name, "in": "query", "type": type_, "uniqueItems": True}
            for name, type_ in _PARAMETERS
            if verb in ("post", "put", "patch")
        ]
        if verb in ("post", "put", "patch"):
            body = {"type": "object"} if verb == "patch" else reference
            operation["parameters"].append(
                {"name": "body", "in": "body", "required": True, "schema": body}
            )
        operation["responses"]["200"]["schema"] = reference
        found.setdefault(path, {})[verb] = operation
    yield from found.items()


def _operation(kind: ServedKind, version: str, verb: str) -> Object:
    return {
        "operationId": f"{verb}{version.capitalize()}{kind.kind}",
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": _gvk(kind, version),
    }
