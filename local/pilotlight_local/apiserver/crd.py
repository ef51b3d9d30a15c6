"""CustomResourceDefinitions: their own rules, and the kinds that they define."""

from __future__ import annotations

import re
from typing import Any, Final

from .builtin.metadata import bad_label_name, bad_subdomain
from .builtin.models import unknown_fields
from .builtin.shapes import METADATA
from .builtin.shapes import shape_of as builtin_shape
from .errors import Cause, forbidden_field, invalid_value, required, unsupported_value
from .kinds import ScalePaths, ServedKind
from .schema.cel import RuleCheck, has_rules
from .schema.structural import (
    Node,
    Pruning,
    SchemaError,
    apply_defaults,
    compile_schema,
    shape_of,
)
from .schema.validate import validate
from .shapes import Shape
from .state import State
from .values import Object, lookup, without_nulls

GROUP: Final = "apiextensions.k8s.io"
RESOURCE: Final = (GROUP, "customresourcedefinitions")
FINALIZER: Final = "customresourcecleanup.apiextensions.k8s.io"
_VERSION: Final = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?\Z")
_KEEP_ALL: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class CustomStrategy:
    """How objects of one custom kind are written: by the schemas of its versions."""

    def __init__(
        self, group: str, schemas: dict[str, Node], storage_version: str, status: bool
    ) -> None:
        self._group = group
        self._stored_as = f"{group}/{storage_version}"
        self._schemas = schemas
        self._status = status
        self._shapes = {name: shape_of(node, METADATA) for name, node in schemas.items()}
        self._rules = {name: RuleCheck(node) for name, node in schemas.items() if has_rules(node)}

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        for name in ("labels", "annotations", "finalizers", "ownerReferences"):
            if obj["metadata"].get(name, "") is None:
                del obj["metadata"][name]
        pruning = Pruning(wants_unknown)
        pruning.run(obj, self._schemas[version])
        obj["apiVersion"] = self._stored_as
        return pruning.paths

    def default(self, obj: Object, version: str) -> None:
        apply_defaults(obj, self._schemas[version])

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None and self._status:
            obj.pop("status", None)

    def validate(self, obj: Object, old: Object | None, version: str) -> list[Cause]:
        found = validate(obj, self._schemas[version])
        if found or version not in self._rules:
            return found
        return self._rules[version].run(obj, old)

    def shape(self, version: str) -> Shape:
        return self._shapes[version]

    def present(self, obj: Object, version: str) -> Object:
        api_version = f"{self._group}/{version}"
        return obj if obj["apiVersion"] == api_version else {**obj, "apiVersion": api_version}


def version_order(name: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes does: v2, v1, v1beta2, v1beta1, v1alpha1, others."""
    found = _VERSION.match(name)
    if not found:
        return 1, 0, 0, name
    stage = {None: 2, "beta": 1, "alpha": 0}[found[2]]
    return 0, -stage, -(int(found[1]) * 1000 + int(found[3] or 0)), name


def served_kind(crd: Object) -> ServedKind | None:
    """The kind that a definition defines; None when no version of it is served."""
    spec = crd["spec"]
    served = {v["name"]: v for v in spec["versions"] if v.get("served")}
    if not served or not accepted(crd):
        return None
    versions = tuple(sorted(served, key=version_order))
    schemas = {name: compile_schema(_schema_of(v), root=True) for name, v in served.items()}
    subresources = served[versions[0]].get("subresources") or {}
    names = (crd.get("status") or {}).get("acceptedNames") or spec["names"]
    status = "status" in subresources
    stored = next(v["name"] for v in spec["versions"] if v.get("storage"))
    return ServedKind(
        spec["group"],
        versions,
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        CustomStrategy(spec["group"], schemas, stored, status),
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status=status,
        scale=_scale_paths(subresources.get("scale")),
        storage_version=stored,
        selectable=tuple(
            field["jsonPath"].lstrip(".")
            for field in served[versions[0]].get("selectableFields") or ()
        ),
        custom=True,
    )


def accepted(crd: Object) -> bool:
    """Whether the definition's names are free, so that it is served."""
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _schema_of(version: Object) -> Object:
    schema: Object = lookup(version, "schema", "openAPIV3Schema") or _KEEP_ALL
    return schema


def _scale_paths(scale: Object | None) -> ScalePaths | None:
    if not scale:
        return None
    paths = (
        tuple((scale.get(name) or "").strip(".").split("."))
        for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
    )
    replicas, status, selector = paths
    return ScalePaths(replicas, status, selector if selector != ("",) else ())


class CrdStrategy:
    """How definitions themselves are written. Their conditions are set with the definition, so
    that whoever made one can use it at once.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._shape = builtin_shape("CustomResourceDefinition")

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        found = (
            unknown_fields(GROUP, version, "CustomResourceDefinition", obj) if wants_unknown else []
        )
        # Nulls inside of schemas have a meaning (a default may be null).
        spec = obj.get("spec")
        cleaned = without_nulls({k: v for k, v in obj.items() if k != "spec"})
        obj.clear()
        obj.update(cleaned)
        if spec is not None:
            obj["spec"] = spec
        obj.setdefault("metadata", {})
        return found

    def default(self, obj: Object, version: str) -> None:
        spec = obj.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(names, dict):
            return
        kind = names.get("kind")
        if isinstance(kind, str):
            names.setdefault("singular", kind.lower())
            names.setdefault("listKind", f"{kind}List")
        spec.setdefault("conversion", {"strategy": "None"})

    def prepare(self, obj: Object, old: Object | None) -> None:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp") is None:
            finalizers = metadata.setdefault("finalizers", [])
            if FINALIZER not in finalizers:
                finalizers.append(FINALIZER)
        if old is not None and old.get("spec") == obj.get("spec"):
            return
        self.default(obj, "v1")
        status = self._status(obj)
        if status is not None:
            obj["status"] = status

    def _status(self, obj: Object) -> Object | None:
        names = lookup(obj, "spec", "names")
        versions = lookup(obj, "spec", "versions")
        if not isinstance(names, dict) or not isinstance(versions, list):
            return None
        now = self._state.timestamp()
        taken = self._conflict(obj, names)
        stored = [v["name"] for v in versions if isinstance(v, dict) and v.get("storage")]
        before = lookup(obj, "status", "storedVersions") or []
        return {
            "acceptedNames": {} if taken else dict(names),
            "conditions": _conditions(taken, now),
            "storedVersions": list(dict.fromkeys([*before, *stored])),
        }

    def _conflict(self, obj: Object, names: Object) -> str:
        group = obj["spec"].get("group")
        for kind in self._state.registry:
            if kind.group == group and kind.plural != names.get("plural"):
                if kind.kind == names.get("kind"):
                    return f'"{names["kind"]}" is already in use'
                if kind.listed_as == names.get("listKind"):
                    return f'"{names["listKind"]}" is already in use'
        found = self._state.registry.find((str(group), str(names.get("plural"))))
        if found is not None and not found.custom:
            return f'"{names["plural"]}" is already in use'
        return ""

    def validate(self, obj: Object, old: Object | None, version: str) -> list[Cause]:
        return validate_crd(obj, old)

    def shape(self, version: str) -> Shape:
        return self._shape

    def present(self, obj: Object, version: str) -> Object:
        return obj


def _conditions(taken: str, now: str) -> list[Object]:
    names = ("True", "NoConflicts", "no conflicts found")
    established = ("True", "InitialNamesAccepted", "the initial names have been accepted")
    if taken:
        names = ("False", "PluralConflict", taken)
        established = ("False", "NotAccepted", "not all names are accepted")
    return [
        {
            "lastTransitionTime": now,
            "message": message,
            "reason": reason,
            "status": status,
            "type": kind,
        }
        for kind, (status, reason, message) in (
            ("NamesAccepted", names),
            ("Established", established),
        )
    ]


def crd_kind(strategy: CrdStrategy) -> ServedKind:
    """The resource `customresourcedefinitions`."""
    return ServedKind(
        GROUP,
        ("v1",),
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        strategy=strategy,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        status=True,
    )


def validate_crd(crd: Object, old: Object | None) -> list[Cause]:
    """The errors of a definition."""
    spec = crd.get("spec")
    if not isinstance(spec, dict):
        return [required("spec")]
    found = _validate_names(crd, spec)
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        found.append(unsupported_value("spec.scope", spec.get("scope"), ["Cluster", "Namespaced"]))
    if old is not None and accepted(old):
        for name, before, now in (
            ("spec.group", old["spec"]["group"], spec.get("group")),
            ("spec.scope", old["spec"]["scope"], spec.get("scope")),
        ):
            if before != now:
                found.append(invalid_value(name, now, "field is immutable"))
    return found + _validate_versions(spec)


def _validate_names(crd: Object, spec: Object) -> list[Cause]:
    found = []
    group, names = spec.get("group"), spec.get("names")
    if not group:
        found.append(required("spec.group"))
    elif "." not in group:
        found.append(invalid_value("spec.group", group, "should be a domain with at least one dot"))
    else:
        found += [invalid_value("spec.group", group, text) for text in bad_subdomain(group)]
    if not isinstance(names, dict):
        return [*found, required("spec.names")]
    for part in ("plural", "kind"):
        if not names.get(part):
            found.append(required(f"spec.names.{part}"))
    plural = names.get("plural") or ""
    found += [invalid_value("spec.names.plural", plural, text) for text in bad_label_name(plural)]
    if crd["metadata"].get("name") != f"{plural}.{group}":
        detail = 'must be spec.names.plural+"."+spec.group'
        found.append(invalid_value("metadata.name", crd["metadata"].get("name"), detail))
    return found


def _validate_versions(spec: Object) -> list[Cause]:
    versions = spec.get("versions")
    if not isinstance(versions, list) or not versions:
        return [required("spec.versions")]
    found = []
    if sum(bool(v.get("storage")) for v in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        found.append(invalid_value("spec.versions", [v.get("name") for v in versions], detail))
    for index, version in enumerate(versions):
        found += _validate_version(version, f"spec.versions[{index}]")
    return found


def _validate_version(version: Any, where: str) -> list[Cause]:
    if not isinstance(version, dict) or not version.get("name"):
        return [required(f"{where}.name")]
    schema = lookup(version, "schema", "openAPIV3Schema")
    here = f"{where}.schema.openAPIV3Schema"
    if schema is None:
        return [required(here, "schemas are required")]
    found = []
    if lookup(schema, "type") != "object":
        detail = "must be object"
        found.append(invalid_value(f"{here}.type", lookup(schema, "type") or "", detail))
    try:
        node = compile_schema(schema, root=True)
    except SchemaError as error:
        found.append(invalid_value(here + error.path, "", error.why))
        return found
    return found + _structure(node, here)


def _structure(node: Node, path: str) -> list[Cause]:
    """What makes a schema not structural."""
    found = []
    if not node.type and not node.int_or_string and not node.preserve:
        found.append(required(f"{path}.type", "must not be empty for specified object fields"))
    if node.properties and isinstance(node.additional, Node):
        detail = "additionalProperties and properties are mutual exclusive"
        found.append(forbidden_field(f"{path}.additionalProperties", detail))
    if node.list_type == "map" and not node.list_keys:
        detail = "must not be empty if x-kubernetes-list-type is map"
        found.append(required(f"{path}.x-kubernetes-list-map-keys", detail))
    for name, inner in node.properties.items():
        found += _structure(inner, f"{path}.properties[{name}]")
    if node.items is not None:
        found += _structure(node.items, f"{path}.items")
    elif node.type == "array":
        found.append(required(f"{path}.items", "must be specified"))
    if isinstance(node.additional, Node):
        found += _structure(node.additional, f"{path}.additionalProperties")
    return found
