"""What each kind gets that says nothing itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from pilotlight.api.context import AdmissionContext
from pilotlight.api.differences import same
from pilotlight.api.json_parts import annotations_of, part, parts, text
from pilotlight.api.template_defaults import default_revision_spec, spell_out
from pilotlight.names import (
    CLASS_ANNOTATION,
    CREATOR_ANNOTATION,
    HPA_CLASS,
    KPA_CLASS,
    LAST_MODIFIER_ANNOTATION,
    METRIC_ANNOTATION,
)

Object = dict[str, Any]
Defaulter = Callable[[Object, Object | None, AdmissionContext], None]

_METRICS: Final[Mapping[str, str]] = {KPA_CLASS: "concurrency", HPA_CLASS: "cpu"}
_STATUS: Final = "status"


def default_object(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    """Fill in an object of one of our kinds, in place; others are left alone."""
    defaulter = _DEFAULTERS.get(obj.get("kind", ""))
    if defaulter is not None and context.subresource != _STATUS:
        defaulter(obj, old, context)


def _default_service(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    spec = _own_part(obj, "spec")
    _default_template(obj, old, context)
    if not spec.get("traffic"):
        spec["traffic"] = [{"latestRevision": True, "percent": 100}]
    _default_traffic(spec)
    _set_users(obj, old, context)


def _default_configuration(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    _default_template(obj, old, context)
    if not part(obj, "metadata").get("ownerReferences"):
        _set_users(obj, old, context)


def _default_revision(obj: Object, _old: Object | None, context: AdmissionContext) -> None:
    spec = _own_part(obj, "spec")
    if not context.is_update:
        default_revision_spec(spec, part(obj, "metadata"), context)
    spell_out(spec)


def _default_route(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    _default_traffic(_own_part(obj, "spec"))
    if not part(obj, "metadata").get("ownerReferences"):
        _set_users(obj, old, context)


def _default_domain_mapping(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    ref = _own_part(_own_part(obj, "spec"), "ref")
    namespace = text(part(obj, "metadata"), "namespace")
    if not text(ref, "namespace") and namespace:
        ref["namespace"] = namespace
    _set_users(obj, old, context)


def _default_pod_autoscaler(obj: Object, _old: Object | None, context: AdmissionContext) -> None:
    given = _own_part(_own_part(obj, "metadata"), "annotations")
    given.setdefault(CLASS_ANNOTATION, context.autoscaler.pod_autoscaler_class)
    metric = _METRICS.get(given[CLASS_ANNOTATION])
    if metric is not None:
        given.setdefault(METRIC_ANNOTATION, metric)


def _default_ingress(obj: Object, _old: Object | None, _context: AdmissionContext) -> None:
    for rule in part(obj, "spec").get("rules") or []:
        if not text(rule, "visibility"):
            rule["visibility"] = "ExternalIP"
        for path in parts(rule.get("http"), "paths"):
            splits = path.get("splits") or []
            if len(splits) == 1 and not splits[0].get("percent"):
                splits[0]["percent"] = 100


_DEFAULTERS: Final[Mapping[str, Defaulter]] = {
    "Service": _default_service,
    "Configuration": _default_configuration,
    "Revision": _default_revision,
    "Route": _default_route,
    "DomainMapping": _default_domain_mapping,
    "PodAutoscaler": _default_pod_autoscaler,
    "Ingress": _default_ingress,
}


def _default_template(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    template = _own_part(_own_part(obj, "spec"), "template")
    metadata = _own_part(template, "metadata")
    spec = _own_part(template, "spec")
    if not _keeps_its_name(metadata, old):
        default_revision_spec(spec, part(obj, "metadata"), context)
    else:
        completed = copy.deepcopy(spec)
        default_revision_spec(completed, part(obj, "metadata"), context)
        if same({**template, "spec": completed}, part(old, "spec", "template")):
            template["spec"] = spec = completed
    spell_out(spec)


def _keeps_its_name(metadata: Object, old: Object | None) -> bool:
    """Whether an update keeps the name that the user chose for the next Revision. A new default
    would then be a change without a new name, which nobody asked for: such a template is completed
    only if that makes it what it was, as when the same manifest is applied again."""
    name = text(metadata, "name")
    return bool(name) and name == text(part(old, "spec", "template", "metadata"), "name")


def _default_traffic(spec: Object) -> None:
    for target in spec.get("traffic") or []:
        if target.get("latestRevision") is None:
            target["latestRevision"] = not text(target, "revisionName")
        if target.get("percent") is None:
            target["percent"] = 0


def _set_users(obj: Object, old: Object | None, context: AdmissionContext) -> None:
    """Note who made the object, and who changed its spec last."""
    if not context.user:
        return
    if context.is_update and old is not None:
        if same(obj.get("spec"), old.get("spec")):
            return
        users = {LAST_MODIFIER_ANNOTATION: context.user}
    else:
        users = {CREATOR_ANNOTATION: context.user, LAST_MODIFIER_ANNOTATION: context.user}
    _own_part(obj, "metadata")["annotations"] = {**annotations_of(obj), **users}


def _own_part(obj: Object, name: str) -> Object:
    """The object under a name, for changing it; it is made where there is none."""
    found = obj.get(name)
    if found is None:
        found = obj[name] = {}
    part_of: Object = found
    return part_of
