"""What has to be written so that an object becomes what it should be: pure functions on dicts.

Updates are JSON merge patches of the difference, not server-side apply: what a child has too much
(a label that its parent lost, a field from before an upgrade, whoever wrote it) must go, and apply
only takes back what the same manager once applied itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pilotlight.api.differences import same
from pilotlight_operator.objects import Obj, annotations_of, labels_of


@dataclass(frozen=True, slots=True)
class Rules:
    """How closely a child follows what is desired.

    `exact_metadata`: labels and annotations that are not desired are removed, but for `kept` ones.
    `exact_spec`: so are fields of the spec, but one that means the same stays as it is spelled;
    else only the desired ones are looked at, since the API server fills in others. `by_label`: the
    spec is only looked at when this label differs. `spec_excluded`: fields of the spec that are
    never written.
    """

    exact_metadata: bool = True
    exact_spec: bool = True
    kept: Collection[str] = ()
    by_label: str = ""
    spec_excluded: Collection[str] = ()


def merge_patch(observed: Obj, desired: Obj, rules: Rules) -> Obj:
    """The patch that makes `observed` what is desired; empty when nothing is to be done."""
    patch: Obj = {}
    metadata = _metadata(observed, desired, rules)
    if metadata:
        patch["metadata"] = metadata
    if not rules.by_label or rules.by_label in metadata.get("labels", {}):
        spec = _spec(observed, desired, rules)
        if spec:
            patch["spec"] = spec
    for field in ("data", "subsets"):
        if field in desired and desired[field] != observed.get(field):
            patch[field] = desired[field]
    return patch


def difference(before: Any, after: Any) -> Any:
    """The merge patch from one document to another: changed fields, and null for lost ones. Lists
    are replaced as a whole. Both must be objects for a result to make sense at the top.
    """
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    patch: Obj = {}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif before[key] != value:
            patch[key] = difference(before[key], value)
    for key in before:
        if key not in after:
            patch[key] = None
    return patch


def covers(observed: Any, desired: Any) -> bool:
    """Whether everything desired is so; fields that `desired` does not mention do not matter."""
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            covers(observed.get(key), value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(observed, list)
            and len(observed) == len(desired)
            and all(covers(*pair) for pair in zip(observed, desired, strict=True))
        )
    return bool(observed == desired)


def _metadata(observed: Obj, desired: Obj, rules: Rules) -> Obj:
    pairs = {
        "labels": (labels_of(observed), labels_of(desired)),
        "annotations": (annotations_of(observed), annotations_of(desired)),
    }
    changed: Obj = {}
    for field, (before, after) in pairs.items():
        patch: Obj = {key: value for key, value in after.items() if before.get(key) != value}
        if rules.exact_metadata:
            lost = (key for key in before if key not in after and key not in rules.kept)
            patch.update(dict.fromkeys(lost))
        if patch:
            changed[field] = patch
    return changed


def _spec(observed: Obj, desired: Obj, rules: Rules) -> Obj:
    before = _less(observed.get("spec") or {}, rules.spec_excluded)
    after = _less(desired.get("spec") or {}, rules.spec_excluded)
    if rules.exact_spec:
        found: Obj = {} if before == after or same(before, after) else difference(before, after)
        return found
    return {key: value for key, value in after.items() if not covers(before.get(key), value)}


def _less(spec: Obj, excluded: Collection[str]) -> Obj:
    return {key: value for key, value in spec.items() if key not in excluded}
