"""Whether an object has the shape of its kind.

What is merely absent is no matter of shape, and neither is null: the schema and the checks speak
of that, in words that people know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from pilotlight.api.containers import Container
from pilotlight.api.domain_mapping import DomainMapping
from pilotlight.api.ingress import Ingress
from pilotlight.api.model import Int64, Model, Quantity, StringMap
from pilotlight.api.pod_autoscaler import PodAutoscaler
from pilotlight.api.serving import Configuration, Revision, Route, Service
from pilotlight.names import AUTOSCALING_GROUP, NETWORKING_GROUP, SERVING_GROUP

MODELS: Final[Mapping[tuple[str, str], type[Model]]] = {
    (SERVING_GROUP, "Service"): Service,
    (SERVING_GROUP, "Configuration"): Configuration,
    (SERVING_GROUP, "Revision"): Revision,
    (SERVING_GROUP, "Route"): Route,
    (SERVING_GROUP, "DomainMapping"): DomainMapping,
    (AUTOSCALING_GROUP, "PodAutoscaler"): PodAutoscaler,
    (NETWORKING_GROUP, "Ingress"): Ingress,
}
_GO_VALUES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "bool"),
    (int, "number"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)
_GO_TYPES: Final[Mapping[str, str]] = {
    "int": "int64",
    "greater_than_equal": "int64",
    "less_than_equal": "int64",
    "string": "string",
    "bool": "bool",
    "list": "[]interface {}",
    "dict": "map[string]interface {}",
}
_INT32_MAX: Final = 2**31 - 1
_UNION_TAGS: Final = frozenset({"int", "str", "float"})


class DecodeError(ValueError):
    """An object does not have the shape of its kind. `str()` says where and why."""


class _EmptyDir(Model):
    medium: str | None = None
    size_limit: Quantity | None = None


class _PersistentVolumeClaim(Model):
    claim_name: str | None = None
    read_only: bool | None = None


class _SeccompProfile(Model):
    type: str | None = None


class _PodSecurity(Model):
    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None
    fs_group: Int64 | None = None
    supplemental_groups: list[Int64] | None = None
    seccomp_profile: _SeccompProfile | None = None


class _Volume(Model):
    empty_dir: _EmptyDir | None = None
    persistent_volume_claim: _PersistentVolumeClaim | None = None


class _Unseen(Model):
    """The parts of a pod spec that the schema lets through as they are, but checks look at."""

    init_containers: list[Container | None] | None = None
    security_context: _PodSecurity | None = None
    volumes: list[_Volume | None] | None = None
    node_selector: StringMap | None = None


def prepare() -> None:
    """Build the readers of all kinds, which the first object of each would have to wait for."""
    models: list[type[Model]] = [*MODELS.values(), _Unseen]
    for model in models:
        model.model_rebuild()


def model_of(obj: Mapping[str, Any]) -> type[Model] | None:
    """The model of an object, if it is of one of our kinds."""
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    return MODELS.get((group if slash else "", str(obj.get("kind", ""))))


def check_shape(obj: Mapping[str, Any], model: type[Model]) -> None:
    """Raise DecodeError unless the object has the shape of the model."""
    _check(model, obj, model.__name__, "")
    for path in (("spec",), ("spec", "template", "spec")):
        spec: Any = obj
        for step in path:
            spec = spec.get(step) or {} if isinstance(spec, Mapping) else {}
        if isinstance(spec, Mapping) and model in (Service, Configuration, Revision):
            _check(_Unseen, spec, model.__name__, ".".join(path))


def _check(model: type[Model], value: Any, kind: str, path: str) -> None:
    try:
        model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            if fault["type"] != "missing" and fault["input"] is not None:
                raise DecodeError(_describe(fault, kind, path)) from None


def _describe(fault: Any, kind: str, path: str) -> str:
    if fault["type"] == "value_error":
        text: str = fault["msg"].removeprefix("Value error, ")
        return f"cannot decode incoming new object: {text}"
    steps = [step for step in fault["loc"] if isinstance(step, str)]
    if steps and steps[-1] in _UNION_TAGS:
        steps.pop()
    where = ".".join([path, *steps] if path else steps)
    value = fault["input"]
    found = next(name for python, name in _GO_VALUES if isinstance(value, python))
    if found == "number":
        found = f"number {value}"
    return (
        f"cannot decode incoming new object: json: cannot unmarshal {found} into Go struct field "
        f"{kind}.{where} of type {_go_type(fault)}"
    )


def _go_type(fault: Any) -> str:
    bounds = set((fault.get("ctx") or {}).values())
    if bounds & {_INT32_MAX, -_INT32_MAX - 1}:
        return "int32"
    for prefix, name in _GO_TYPES.items():
        if fault["type"].startswith(prefix):
            return name
    return "struct"
