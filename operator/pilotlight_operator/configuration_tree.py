"""A Configuration and its Revisions."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.api.differences import same
from pilotlight.kube.resources import CONFIGURATIONS, REVISIONS
from pilotlight_operator.desired.revision import revision as desired_revision
from pilotlight_operator.desired.revision import revision_name
from pilotlight_operator.labels import (
    revision_patch,
    routes_of_configuration,
    routes_of_revision,
)
from pilotlight_operator.objects import (
    Key,
    Obj,
    annotations_of,
    controller_of,
    generation_of,
    is_controlled_by,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from pilotlight_operator.planner import HELD_NAME_RETRY_S, Create, Planner
from pilotlight_operator.revision_tree import plan_revision
from pilotlight_operator.status.configuration import (
    ConfigurationFacts,
    configuration_status,
    generation_label,
)

_LATEST_READY: Final = "latestReadyRevisionName"


def plan_configuration(planner: Planner, configuration: Obj) -> Obj:
    """Plan its Revisions, their labels and its status; returns it with the status it will have."""
    if is_deleting(configuration):
        return configuration
    current, refusal = _current_revision(planner, configuration)
    created = name_of(current) if current is not None else ""
    for revision in planner.view.revisions_of(key_of(configuration)):
        if not is_deleting(revision):
            routes = routes_of_revision(revision, configuration, created, planner.view)
            planner.patch(REVISIONS, revision, revision_patch(revision, routes, planner.now_text))
            plan_revision(planner, revision)
    if controller_of(configuration) is None:
        _tell_routes(planner, configuration)
    facts = ConfigurationFacts(
        configuration=configuration,
        revision=planner.view.current(REVISIONS, current) if current is not None else None,
        revisions=planner.view.revisions_of(key_of(configuration)),
        refusal=refusal,
    )
    status = configuration_status(facts, planner.world.now)
    latest = status.get(_LATEST_READY)
    if latest and latest != status_of(configuration).get(_LATEST_READY):
        text = f'LatestReadyRevisionName updated to "{latest}"'
        planner.announce(configuration, "LatestReadyUpdate", text)
    return planner.status(CONFIGURATIONS, configuration, status)


def _current_revision(planner: Planner, configuration: Obj) -> tuple[Obj | None, str]:
    """The Revision of the present generation, made if need be; or the reason why there is none."""
    name, namespace = revision_name(configuration), namespace_of(configuration)
    refusal = planner.world.refusals.get((REVISIONS, Key(namespace, name)))
    if refusal is not None:
        return None, refusal.message
    found = planner.view.get(REVISIONS, namespace, name)
    if found is None:
        if _was_made(configuration, name):
            return None, ""
        desired = desired_revision(configuration, planner.now_text)
        planner.plan.children.append(Create(REVISIONS, desired, configuration))
        return None, ""
    if not _is_reusable(found, configuration):
        planner.requeue_after(HELD_NAME_RETRY_S)
        return None, f'revisions.{names.SERVING_GROUP} "{name}" already exists'
    return found, ""


def _was_made(configuration: Obj, name: str) -> bool:
    """A Revision that was made for this generation and is gone was deleted by somebody: it is not
    made anew.
    """
    status = status_of(configuration)
    return status.get("latestCreatedRevisionName") == name and status.get(
        "observedGeneration"
    ) == generation_of(configuration)


def _is_reusable(revision: Obj, configuration: Obj) -> bool:
    """Going back to a Revision by its name needs no new one."""
    if not is_controlled_by(revision, configuration) or is_deleting(revision):
        return False
    template = spec_of(configuration).get("template") or {}
    return generation_label(revision) == generation_of(configuration) or same(
        spec_of(revision), template.get("spec")
    )


def _tell_routes(planner: Planner, configuration: Obj) -> None:
    """Only for Configurations made by hand: a Service tells its own at once."""
    routes = routes_of_configuration(configuration, planner.view)
    if annotations_of(configuration).get(names.ROUTES_ANNOTATION, "") != routes:
        patch = {"metadata": {"annotations": {names.ROUTES_ANNOTATION: routes or None}}}
        planner.patch(CONFIGURATIONS, configuration, patch)
