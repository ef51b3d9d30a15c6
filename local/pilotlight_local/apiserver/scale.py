"""The scale subresource: an `autoscaling/v1` Scale as a view of an object."""

from __future__ import annotations

from typing import Any

from .errors import Cause, invalid, invalid_value
from .kinds import ServedKind
from .selectors import from_object
from .values import Object, copy_json, lookup


def scale_of(kind: ServedKind, obj: Object) -> Object:
    """The Scale of a stored object; the kind must have the subresource."""
    paths = kind.scale
    assert paths is not None
    metadata = obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = lookup(obj, *paths.replicas)
    status: Object = {"replicas": lookup(obj, *paths.status) or 0}
    selector = selector_text(lookup(obj, *paths.selector)) if paths.selector else ""
    if selector:
        status["selector"] = selector
    spec = {"replicas": replicas} if replicas else {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": spec,
        "status": status,
    }


def with_scale(kind: ServedKind, obj: Object, scale: Object) -> Object:
    """A copy of `obj` with the replicas that `scale` asks for; 422 when it is not a number >= 0."""
    paths = kind.scale
    assert paths is not None
    replicas = lookup(scale, "spec", "replicas")
    replicas = 0 if replicas is None else replicas
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise _refused(obj, invalid_value("spec.replicas", replicas, "must be an integer"))
    if replicas < 0:
        detail = "must be greater than or equal to 0"
        raise _refused(obj, invalid_value("spec.replicas", replicas, detail))
    new: Object = copy_json(obj)
    inner = new
    for name in paths.replicas[:-1]:
        inner = inner.setdefault(name, {})
    inner[paths.replicas[-1]] = replicas
    return new


def _refused(obj: Object, cause: Cause) -> Exception:
    return invalid("autoscaling", "Scale", obj["metadata"]["name"], [cause])


def selector_text(value: Any) -> str:
    """A label selector as text; CRDs may keep the text itself."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    parts = []
    for requirement in from_object(value).requirements:
        values = sorted(requirement.values)
        match requirement.operator:
            case "in" if len(values) == 1:
                parts.append(f"{requirement.key}={values[0]}")
            case "in" | "notin":
                parts.append(f"{requirement.key} {requirement.operator} ({','.join(values)})")
            case "exists":
                parts.append(requirement.key)
            case _:
                parts.append(f"!{requirement.key}")
    return ",".join(parts)
