"""Checks of how traffic is split."""

from __future__ import annotations

from typing import Any, Final

from pilotlight.api.field_errors import (
    CURRENT_FIELD,
    FieldErrors,
    disallowed,
    generic,
    invalid,
    invalid_key,
    missing_one_of,
    multiple_one_of,
    out_of_bounds,
    quote,
)
from pilotlight.api.json_parts import Json, text
from pilotlight.config.kube_names import dns1035_label, listed, qualified_name

_ALL: Final = 100


def validate_traffic(targets: list[dict[str, Any]], *, in_service: bool) -> FieldErrors:
    """The targets of a Route, or of a Service, whose Configuration is its own. Paths are relative
    to the list."""
    errors = FieldErrors()
    first: dict[str, int] = {}
    for index, target in enumerate(targets):
        errors.add(_validate_target(target, in_service=in_service).via(index))
        tag = text(target, "tag")
        if not tag:
            continue
        if faults := dns1035_label(tag):
            wrong = FieldErrors([invalid(f"not a DNS 1035 label: {listed(faults)}", CURRENT_FIELD)])
            errors.add(wrong.via("tag", index))
        if tag in first:
            paths = (f"[{index}].tag", f"[{first[tag]}].tag")
            errors.add(generic(f"Multiple definitions for {quote(tag)}", *paths))
        else:
            first[tag] = index
    total = sum(target.get("percent") or 0 for target in targets)
    if total != _ALL:
        errors.add(generic(f"Traffic targets sum to {total}, want {_ALL}", CURRENT_FIELD))
    return errors


def _validate_target(target: Json, *, in_service: bool) -> FieldErrors:
    errors = FieldErrors()
    revision = text(target, "revisionName")
    latest = target.get("latestRevision")
    if latest is not None and latest == bool(revision):
        said = "true" if latest else "false"
        rule = f"may not set revisionName {quote(revision)} when latestRevision is {said}"
        errors.add(generic(rule, "latestRevision"))
    errors.add(_validate_names(target, in_service=in_service))
    percent = target.get("percent")
    if percent is not None and not 0 <= percent <= _ALL:
        errors.add(out_of_bounds(percent, 0, _ALL, "percent"))
    if text(target, "url"):
        errors.add(disallowed("url"))
    return errors


def _validate_names(target: Json, *, in_service: bool) -> FieldErrors:
    revision, configuration = text(target, "revisionName"), text(target, "configurationName")
    if in_service and configuration:
        return FieldErrors([disallowed("configurationName")])
    if revision and configuration:
        return FieldErrors([multiple_one_of("revisionName", "configurationName")])
    for name, field in ((revision, "revisionName"), (configuration, "configurationName")):
        if name:
            faults = qualified_name(name)
            return FieldErrors([invalid_key(name, field, *faults)] if faults else [])
    if in_service:
        return FieldErrors()
    return FieldErrors([missing_one_of("revisionName", "configurationName")])
