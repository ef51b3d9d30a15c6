"""Which Routes lead to a Revision or a Configuration, as their labels and annotations tell it.

A Revision that a Route leads to is active, one that no Route leads to any more is in reserve, one
that never had a Route is pending.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotlight import names
from pilotlight.api.conditions import find
from pilotlight_operator.desired.revision import ACTIVE, PENDING, RESERVE
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
)
from pilotlight_operator.view import View


def routes_of_revision(revision: Obj, configuration: Obj, latest_created: str, view: View) -> str:
    """The names of the Routes that lead to it, with commas between. `latest_created` counts as
    led to by every Route that follows the Configuration, so that it is active before it is routed.
    """
    found = set(_names(view.routes_to_revision(key_of(revision))))
    if name_of(revision) == latest_created:
        found |= set(_names(view.routes_to_configuration(key_of(configuration))))
    return _joined(found | _migrating(revision, view))


def routes_of_configuration(configuration: Obj, view: View, own: str = "") -> str:
    """`own` is the Route of the same Service, which may not exist yet."""
    found = {own} if own else set()
    found |= set(_names(view.routes_to_configuration(key_of(configuration))))
    for revision in view.revisions_of(key_of(configuration)):
        found |= set(_names(view.routes_to_revision(key_of(revision))))
    return _joined(found)


def revision_patch(revision: Obj, routes: str, now: str) -> Obj:
    """The merge patch of its metadata that tells `routes`; empty when it does already."""
    annotations, labels = annotations_of(revision), labels_of(revision)
    before = labels.get(names.ROUTING_STATE_LABEL, "")
    state = _state(before, routes)
    changed: dict[str, str | None] = {}
    if annotations.get(names.ROUTES_ANNOTATION, "") != routes:
        changed[names.ROUTES_ANNOTATION] = routes or None
    patch: Obj = {}
    if state != before:
        changed[names.ROUTING_STATE_MODIFIED_ANNOTATION] = now
        patch["labels"] = {names.ROUTING_STATE_LABEL: state}
    if changed:
        patch["annotations"] = changed
    return {"metadata": patch} if patch else {}


def _state(before: str, routes: str) -> str:
    if routes:
        return ACTIVE
    return before if before in (PENDING, RESERVE) else RESERVE if before else PENDING


def _migrating(revision: Obj, view: View) -> set[str]:
    """Routes that the Revision names and that are still on their way: they keep it active until
    they have arrived elsewhere, or failed to.
    """
    namespace = namespace_of(revision)
    named = annotations_of(revision).get(names.ROUTES_ANNOTATION, "").split(",")
    return {name for name in named if name and _moves(namespace, name, view)}


def _moves(namespace: str, name: str, view: View) -> bool:
    route = view.route(namespace, name)
    if route is None or is_deleting(route):
        return False
    ready = find(route)
    return ready is None or ready.is_unknown


def _names(routes: Iterable[Obj]) -> list[str]:
    return [name_of(route) for route in routes if not is_deleting(route)]


def _joined(found: Iterable[str]) -> str:
    return ",".join(sorted(found))
