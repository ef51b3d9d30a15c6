"""Checks of Service, Configuration, Revision and Route."""

from __future__ import annotations

from typing import Any, Final

from pilotlight import names
from pilotlight.api import annotation_validation as marks
from pilotlight.api.context import AdmissionContext
from pilotlight.api.differences import differences, same
from pilotlight.api.field_errors import (
    FieldError,
    FieldErrors,
    disallowed,
    generic,
    invalid,
    missing,
    out_of_bounds,
    quote,
)
from pilotlight.api.json_parts import Json, annotations_of, labels_of, part, parts, text
from pilotlight.api.pod_validation import validate_pod
from pilotlight.api.traffic_validation import validate_traffic
from pilotlight.config.kube_names import dns1035_label, dns1035_label_prefix, listed

Object = dict[str, Any]
_OWNERS: Final = {names.SERVICE_LABEL: "Service", names.CONFIGURATION_LABEL: "Configuration"}


def validate_service(obj: Object, old: Object | None, context: AdmissionContext) -> FieldErrors:
    metadata = validate_metadata(obj)
    metadata.add(
        marks.refuse_scaling(annotations_of(obj)).via("annotations"),
        marks.validate_rollout_duration(annotations_of(obj)).via("annotations"),
    )
    spec = validate_template(part(obj, "spec", "template"), part(obj, "metadata"), context)
    spec = spec.via("template")
    spec.add(validate_traffic(parts(obj.get("spec"), "traffic"), in_service=True).via("traffic"))
    errors = metadata.via("metadata").add(spec.via("spec"))
    if context.is_update and old is not None:
        errors.add(validate_users(obj, old), _validate_name_change(obj, old))
    return errors


def validate_configuration(
    obj: Object, old: Object | None, context: AdmissionContext
) -> FieldErrors:
    metadata = validate_metadata(obj).add(
        marks.refuse_scaling(annotations_of(obj)).via("annotations"),
        _validate_owner(obj, old, names.SERVICE_LABEL).via("labels"),
    )
    spec = validate_template(part(obj, "spec", "template"), part(obj, "metadata"), context)
    errors = metadata.via("metadata").add(spec.via("spec", "template"))
    if context.is_update and old is not None:
        if not part(obj, "metadata").get("ownerReferences"):
            errors.add(validate_users(obj, old))
        errors.add(_validate_name_change(obj, old))
    return errors


def validate_revision(obj: Object, old: Object | None, context: AdmissionContext) -> FieldErrors:
    metadata = validate_metadata(obj).add(
        marks.validate_scaling(annotations_of(obj), context.autoscaler).via("annotations"),
        _validate_owner(obj, old, names.CONFIGURATION_LABEL).via("labels"),
    )
    errors = metadata.via("metadata")
    if not context.is_update or old is None:
        return errors.add(_validate_spec(part(obj, "spec"), context).via("spec"))
    changes = differences(old.get("spec"), obj.get("spec"))
    if changes:
        changed = FieldError("Immutable fields changed (-old +new)", ("spec",), changes)
        return FieldErrors([changed])
    return errors


def validate_route(obj: Object, old: Object | None, context: AdmissionContext) -> FieldErrors:
    metadata = validate_metadata(obj).add(
        marks.refuse_scaling(annotations_of(obj)).via("annotations"),
        marks.validate_rollout_duration(annotations_of(obj)).via("annotations"),
        _validate_owner(obj, old, names.SERVICE_LABEL).via("labels"),
    )
    traffic = validate_traffic(parts(obj.get("spec"), "traffic"), in_service=False)
    errors = metadata.via("metadata").add(traffic.via("spec", "traffic"))
    owned = part(obj, "metadata").get("ownerReferences")
    if context.is_update and old is not None and not owned:
        errors.add(validate_users(obj, old))
    return errors


def validate_metadata(obj: Json) -> FieldErrors:
    """The name, or what it is made from. Paths are relative to the metadata."""
    metadata = part(obj, "metadata")
    name, prefix = text(metadata, "name"), text(metadata, "generateName")
    if prefix and (faults := dns1035_label_prefix(prefix)):
        message = f"not a DNS 1035 label prefix: {listed(faults)}"
        return FieldErrors([generic(message, "generateName")])
    if name and (faults := dns1035_label(name)):
        return FieldErrors([generic(f"not a DNS 1035 label: {listed(faults)}", "name")])
    if not name and not prefix:
        return FieldErrors([generic("name or generateName is required", "name")])
    return FieldErrors()


def validate_users(obj: Json, old: Json) -> FieldErrors:
    """Who made an object never changes, who changed it last only with its spec."""
    errors = FieldErrors()
    now, before = annotations_of(obj), annotations_of(old)
    creator, modifier = names.CREATOR_ANNOTATION, names.LAST_MODIFIER_ANNOTATION
    if now.get(creator, "") != before.get(creator, ""):
        errors.add(generic("annotation value is immutable", creator))
    changed = now.get(modifier, "") != before.get(modifier, "")
    if changed and same(obj.get("spec"), old.get("spec")):
        errors.add(invalid(now.get(modifier, ""), modifier))
    return errors.via("metadata", "annotations")


def validate_template(template: Json, parent: Json, context: AdmissionContext) -> FieldErrors:
    """A template. `parent` is the metadata of the object that holds it."""
    metadata = part(template, "metadata")
    given = part(metadata, "annotations")
    found = marks.validate_scaling(given, context.autoscaler).add(
        marks.validate_queue_resources(given),
        marks.validate_progress_deadline(given),
        marks.validate_networking(given),
    )
    return (
        _validate_spec(part(template, "spec"), context)
        .via("spec")
        .add(found.via("metadata", "annotations"), _validate_own_name(metadata, parent))
    )


def _validate_spec(spec: Json, context: AdmissionContext) -> FieldErrors:
    defaults = context.defaults
    errors = validate_pod(spec, context.features)
    timeout, longest = spec.get("timeoutSeconds") or 0, defaults.max_revision_timeout_s
    if not 0 <= timeout <= longest:
        errors.add(out_of_bounds(timeout, 0, longest, "timeoutSeconds"))
    concurrency = spec.get("containerConcurrency")
    least = 0 if defaults.allow_container_concurrency_zero else 1
    most = defaults.container_concurrency_max_limit
    if concurrency is not None and not least <= concurrency <= most:
        errors.add(out_of_bounds(concurrency, least, most, "containerConcurrency"))
    return errors


def _validate_own_name(metadata: Json, parent: Json) -> FieldErrors:
    """The name that the user chose for the next Revision."""
    errors = _own_name_fault(metadata, parent)
    return FieldErrors([errors] if errors else [])


def _own_name_fault(metadata: Json, parent: Json) -> FieldError | None:
    name, prefix = text(metadata, "name"), text(metadata, "generateName")
    if prefix and (faults := dns1035_label_prefix(prefix)):
        message = f"not a DNS 1035 label prefix: {listed(faults)}"
        return invalid(message, "metadata.generateName")
    if not name:
        return None
    if faults := dns1035_label(name):
        return invalid(f"not a DNS 1035 label: {listed(faults)}", "metadata.name")
    owner = text(parent, "name")
    if not owner and text(parent, "generateName"):
        return disallowed("metadata.name")
    if not name.startswith(f"{owner}-"):
        rule = f"{quote(name)} must have prefix {quote(f'{owner}-')}"
        return invalid(rule, "metadata.name")
    return None


def _validate_name_change(obj: Json, old: Json) -> FieldErrors:
    """A template with a name of its own is changed only together with that name."""
    new, before = part(obj, "spec", "template"), part(old, "spec", "template")
    name = text(part(new, "metadata"), "name")
    if not name or name != text(part(before, "metadata"), "name"):
        return FieldErrors()
    changes = differences(before, new)
    if not changes:
        return FieldErrors()
    message = "Saw the following changes without a name change (-old +new)"
    return FieldErrors([FieldError(message, ("spec.template.metadata.name",), changes)])


def _validate_owner(obj: Json, old: Json | None, label: str) -> FieldErrors:
    """An object that says by a label what it belongs to does belong to it, or did: one that
    outlives its owner keeps the label.
    """
    name = labels_of(obj).get(label)
    if name is None or labels_of(old or {}).get(label) == name:
        return FieldErrors()
    owners = parts(part(obj, "metadata"), "ownerReferences")
    if any((o.get("kind"), o.get("name")) == (_OWNERS[label], name) for o in owners):
        return FieldErrors()
    return FieldErrors([missing(label)])
