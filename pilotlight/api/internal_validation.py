"""Checks of DomainMapping, PodAutoscaler and Ingress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pilotlight.api import annotation_validation as marks
from pilotlight.api.context import AdmissionContext
from pilotlight.api.field_errors import (
    CURRENT_FIELD,
    FieldError,
    FieldErrors,
    disallowed,
    generic,
    invalid,
    missing,
    missing_one_of,
    multiple_one_of,
    out_of_bounds,
    quote,
)
from pilotlight.api.json_parts import Json, annotations_of, part, parts, text
from pilotlight.api.serving_validation import validate_metadata, validate_users
from pilotlight.config.kube_names import (
    c_identifier,
    dns1123_label,
    fully_qualified_domain_name,
    qualified_name,
)

Object = dict[str, Any]

_ALL: Final = 100
_FOREIGN_REFERENCE_FIELDS: Final = ("namespace", "fieldPath", "resourceVersion", "uid")


def validate_domain_mapping(
    obj: Object, old: Object | None, context: AdmissionContext
) -> FieldErrors:
    metadata = part(obj, "metadata")
    name = text(metadata, "name")
    errors = FieldErrors()
    if text(metadata, "generateName"):
        errors.add(disallowed("generateName"))
    fault = fully_qualified_domain_name(name, "name")
    if fault:
        errors.add(generic(f"invalid name {quote(name)}: {fault}", "name"))
    if name.endswith(f".{context.cluster_domain}"):
        rule = f"must not be a subdomain of cluster local domain {quote(context.cluster_domain)}"
        errors.add(generic(f"invalid name {quote(name)}: {rule}", "name"))
    errors = errors.via("metadata")
    if context.is_update and old is not None:
        errors.add(validate_users(obj, old))
    reference = _validate_domain_reference(part(obj, "spec", "ref"), text(metadata, "namespace"))
    return errors.add(reference.via("spec", "ref"))


def _validate_domain_reference(ref: Json, parent: str) -> FieldErrors:
    errors = FieldErrors(
        missing(name) for name in ("name", "namespace", "kind") if not text(ref, name)
    )
    if not text(ref, "apiVersion") and not text(ref, "group"):
        errors.add(missing("apiVersion"))
    namespace = text(ref, "namespace")
    if parent and namespace and namespace != parent:
        details = f"parent namespace: {quote(parent)} does not match ref: {quote(namespace)}"
        errors.add(FieldError("mismatched namespaces", ("namespace",), details))
    return errors


def validate_pod_autoscaler(
    obj: Object, _old: Object | None, context: AdmissionContext
) -> FieldErrors:
    metadata = validate_metadata(obj).add(
        marks.validate_scaling(annotations_of(obj), context.autoscaler).via("annotations")
    )
    errors = metadata.via("metadata")
    spec = part(obj, "spec")
    if not _filled(spec):
        return errors.add(missing("spec"))
    reference = _validate_reference(part(spec, "scaleTargetRef")).via("scaleTargetRef")
    concurrency = spec.get("containerConcurrency") or 0
    most = context.defaults.container_concurrency_max_limit
    if not 0 <= concurrency <= most:
        reference.add(out_of_bounds(concurrency, 0, most, "containerConcurrency"))
    return errors.add(reference.via("spec"))


def _validate_reference(ref: Json) -> FieldErrors:
    foreign = [name for name in _FOREIGN_REFERENCE_FIELDS if text(ref, name)]
    errors = FieldErrors([disallowed(*foreign)] if foreign else [])
    for field, rule in (
        ("apiVersion", qualified_name),
        ("kind", c_identifier),
        ("name", dns1123_label),
    ):
        value = text(ref, field)
        if not value:
            errors.add(missing(field))
        elif faults := rule(value):
            errors.add(invalid(", ".join(faults), field))
    return errors


def validate_ingress(obj: Object, _old: Object | None, _context: AdmissionContext) -> FieldErrors:
    spec = part(obj, "spec")
    namespace = text(part(obj, "metadata"), "namespace")
    if not _filled(spec):
        return FieldErrors([missing("spec")])
    errors = FieldErrors()
    rules = parts(spec, "rules")
    if not rules:
        errors.add(missing("rules"))
    for index, rule in enumerate(rules):
        errors.add(_validate_rule(rule, namespace).via("rules", index))
    for index, tls in enumerate(parts(spec, "tls")):
        errors.add(_validate_tls(tls).via("tls", index))
    return errors.via("spec")


def _validate_rule(rule: Json, namespace: str) -> FieldErrors:
    http = part(rule, "http")
    if not _filled(rule):
        return FieldErrors([missing(CURRENT_FIELD)])
    if rule.get("http") is None:
        return FieldErrors([missing("http")])
    paths = parts(http, "paths")
    if not paths:
        return FieldErrors([missing("http.paths")])
    errors = FieldErrors()
    for index, path in enumerate(paths):
        errors.add(_validate_path(path, namespace).via("paths", index))
    return errors.via("http")


def _validate_path(path: Json, namespace: str) -> FieldErrors:
    splits = parts(path, "splits")
    host = text(path, "rewriteHost")
    if not _filled(path):
        return FieldErrors([missing(CURRENT_FIELD)])
    if not splits and not host:
        return FieldErrors([missing_one_of("splits", "rewriteHost")])
    if splits and host:
        return FieldErrors([multiple_one_of("splits", "rewriteHost")])
    for index, split in enumerate(splits):
        if found := _validate_split(split, namespace):
            return found.via("splits", index)
    return _validate_total([split.get("percent") or 0 for split in splits])


def _validate_total(percents: list[int]) -> FieldErrors:
    total = sum(percents)
    if not percents or total == _ALL or (len(percents) == 1 and total == 0):
        return FieldErrors()
    rule = f"traffic split percentage must total to 100, but was {total}"
    return FieldErrors([generic(rule, "splits")])


def _validate_split(split: Json, namespace: str) -> FieldErrors:
    if not _filled(split):
        return FieldErrors([missing(CURRENT_FIELD)])
    errors = FieldErrors()
    percent = split.get("percent") or 0
    if not 0 <= percent <= _ALL:
        errors.add(invalid(percent, "percent"))
    names = ("serviceNamespace", "serviceName", "servicePort")
    backend = {name: split.get(name) for name in names}
    if not _filled(backend):
        return errors.add(missing(CURRENT_FIELD))
    errors.add(*(missing(name) for name in names if not backend[name]))
    if backend["serviceNamespace"] and backend["serviceNamespace"] != namespace:
        rule = "service namespace must match ingress namespace"
        errors.add(generic(rule, "serviceNamespace"))
    return errors


def _validate_tls(tls: Json) -> FieldErrors:
    if not _filled(tls):
        return FieldErrors([missing(CURRENT_FIELD)])
    return FieldErrors(
        missing(name) for name in ("secretName", "secretNamespace") if not text(tls, name)
    )


def _filled(obj: Json) -> bool:
    """Whether an object says anything at all."""
    values: Iterable[Any] = obj.values()
    return any(value not in (None, "", 0, [], {}) for value in values)
