"""From `spec.traffic` of a Route to the Revisions that answer, or to the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pilotlight import names
from pilotlight.api.conditions import FALSE, UNKNOWN, find
from pilotlight.kube.resources import CONFIGURATIONS, REVISIONS
from pilotlight_operator.objects import (
    Obj,
    controller_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from pilotlight_operator.view import View

DEFAULT_TAG = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One share of a Route's requests. `latest`: it follows its Configuration."""

    revision: str
    percent: int
    tag: str = DEFAULT_TAG
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Why traffic cannot be assigned, as the condition AllTrafficAssigned says it."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """The targets in the order of the spec; `problem` is the first that could not be resolved, and
    then nothing about the Route's children may change.
    """

    targets: tuple[Target, ...] = ()
    problem: Problem | None = None

    def groups(self) -> dict[str, tuple[Target, ...]]:
        """What each host serves: the tag ("" for the Route's own host) and its targets, the shares
        of one Revision added up, those of nothing left out; a tag's own host gives it all.
        """
        found: dict[str, tuple[Target, ...]] = {}
        untagged = _merged([replace(t, tag=DEFAULT_TAG, latest=False) for t in self.targets])
        found[DEFAULT_TAG] = tuple(target for target in untagged if target.percent > 0)
        for tag in sorted({target.tag for target in self.targets if target.tag}):
            tagged = [target for target in self.targets if target.tag == tag]
            found[tag] = (replace(tagged[0], percent=100),)
        return found


def resolve(route: Obj, index: View) -> Traffic:
    targets: list[Target] = []
    problem: Problem | None = None
    for entry in spec_of(route).get("traffic") or ():
        found = _resolve_entry(route, entry, index)
        if isinstance(found, Problem):
            problem = problem or found
        else:
            targets.append(found)
    return Traffic(tuple(targets), problem)


def status_traffic(traffic: Traffic, urls: dict[str, str]) -> list[Obj]:
    """`status.traffic`: equal targets are one entry; only those with a tag carry their URL."""
    entries: list[Obj] = []
    for target in _merged(traffic.targets):
        entry: Obj = {
            "revisionName": target.revision,
            "percent": target.percent,
            "latestRevision": target.latest,
        }
        if target.tag:
            entry["tag"] = target.tag
            entry["url"] = urls[target.tag]
        entries.append(entry)
    return entries


def _merged(targets: list[Target] | tuple[Target, ...]) -> list[Target]:
    merged: dict[tuple[str, str, bool], Target] = {}
    for target in targets:
        key = (target.revision, target.tag, target.latest)
        before = merged.get(key)
        percent = target.percent + (before.percent if before else 0)
        merged[key] = replace(target, percent=percent)
    return list(merged.values())


def _resolve_entry(route: Obj, entry: Obj, index: View) -> Target | Problem:
    percent, tag = int(entry.get("percent") or 0), str(entry.get("tag") or "")
    configuration = entry.get("configurationName")
    if configuration:
        latest = _latest_of(namespace_of(route), configuration, index)
        return latest if isinstance(latest, Problem) else Target(latest, percent, tag, latest=True)
    revision = str(entry.get("revisionName") or "")
    problem = _named(route, revision, index)
    return problem or Target(revision, percent, tag)


def _latest_of(namespace: str, name: str, index: View) -> str | Problem:
    configuration = index.get(CONFIGURATIONS, namespace, name)
    if configuration is None:
        return _missing("Configuration", name)
    latest = status_of(configuration).get("latestReadyRevisionName")
    if not latest:
        ready = find(configuration)
        if ready is not None and ready.is_false:
            return Problem(
                FALSE,
                "RevisionMissing",
                f'Configuration "{name}" does not have any ready Revision.',
            )
        return Problem(
            UNKNOWN,
            "RevisionMissing",
            f'Configuration "{name}" is waiting for a Revision to become ready.',
        )
    if index.get(REVISIONS, namespace, latest) is None:
        return _missing("Revision", latest)
    return str(latest)


def _named(route: Obj, name: str, index: View) -> Problem | None:
    revision = index.get(REVISIONS, namespace_of(route), name)
    if revision is None:
        return _missing("Revision", name)
    foreign = _foreign(route, revision)
    if foreign is not None:
        return foreign
    ready = find(revision)
    if ready is not None and ready.is_false:
        return Problem(FALSE, "RevisionMissing", f'Revision "{name}" failed to become ready.')
    if ready is None or not ready.is_true:
        return Problem(UNKNOWN, "RevisionMissing", f'Revision "{name}" is not yet ready.')
    return None


def _foreign(route: Obj, revision: Obj) -> Problem | None:
    """A Service's Route may not lead to what belongs to another Service."""
    owner = controller_of(route)
    if owner is None or owner["kind"] != "Service":
        return None
    service, other = owner["name"], labels_of(revision).get(names.SERVICE_LABEL)
    if other == service:
        return None
    whose = f'belongs to Service "{other}", not' if other else "does not belong to"
    message = f'Revision "{name_of(revision)}" {whose} Service "{service}".'
    return Problem(FALSE, "RevisionNotOwned", message)


def _missing(kind: str, name: str) -> Problem:
    message = f'{kind} "{name}" referenced in traffic not found.'
    return Problem(FALSE, f"{kind}Missing", message)
