"""What a plan is made of, and the collecting of it while a tree of objects is walked.

A plan has two halves. Children come first: they are written, and the plan is made anew from what
they became (the API gives them their uid, which their own children refer to). When no child is left
to write, the statuses that were decided on with it are written, all at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pilotlight.api.conditions import find, timestamp
from pilotlight.kube.resources import Resource
from pilotlight_operator.changes import Rules, difference, merge_patch
from pilotlight_operator.index import Index
from pilotlight_operator.objects import (
    Key,
    Obj,
    belongs_to,
    is_deleting,
    key_of,
    name_of,
    status_of,
)
from pilotlight_operator.refusal import Refusal, not_owned
from pilotlight_operator.settings import Settings
from pilotlight_operator.status.ingress import Served
from pilotlight_operator.view import View

Target = tuple[Resource, Key]

DEFERRAL_S: Final = 0.5
# A name that another object holds: its going away is told to that object's own tree only.
HELD_NAME_RETRY_S: Final = 2.0
# Reasons of a `Ready` that is Unknown only because things are on their way.
_ON_THE_WAY: Final = frozenset(
    {
        "",
        "Deploying",
        "IngressNotConfigured",
        "NewObservedGenFailure",
        "OutOfDate",
        "Queued",
        "RevisionMissing",
        "TrafficNotMigrated",
        "Uninitialized",
    }
)


@dataclass(frozen=True, slots=True)
class Create:
    """Make a child. `optional`: it is as good if it exists already."""

    resource: Resource
    obj: Obj
    parent: Obj
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Change a child by a merge patch that follows from what is desired."""

    resource: Resource
    observed: Obj
    patch: Obj
    desired_hash: int


@dataclass(frozen=True, slots=True)
class Delete:
    resource: Resource
    observed: Obj


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the gateways whether they serve this Ingress as it is."""

    ingress: Obj


@dataclass(frozen=True, slots=True)
class SetStatus:
    resource: Resource
    observed: Obj
    patch: Obj


@dataclass(frozen=True, slots=True)
class Announcement:
    """An Event about an object; `kind` is Normal or Warning."""

    regarding: Obj
    reason: str
    message: str
    kind: str = "Normal"


Action = Create | Update | Delete


@dataclass(slots=True)
class Plan:
    """`deferred` are statuses that differ but may wait for better news, `visited` all that were
    looked at; `requeue_after_s` is None when nothing has to be looked at again.
    """

    children: list[Action] = field(default_factory=list)
    statuses: list[SetStatus] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    deferred: set[Target] = field(default_factory=set)
    visited: set[Target] = field(default_factory=set)
    requeue_after_s: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.children or self.statuses or self.probes)


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan depends on.

    `served`: what the gateways answered, by an Ingress's fingerprint. `refusals`: what the API
    refused in this pass; `ensured`: what it made that is not watched. `without_effect`: updates
    that changed nothing when they were tried, by their target. `deferred_since`: monotonic seconds
    since when a status waits; `clock` is now. `activators`: those that are ready, as Endpoints
    spell addresses.
    """

    index: Index
    settings: Settings
    master_key: bytes
    now: datetime
    clock: float = 0.0
    served: Mapping[str, Served] = field(default_factory=dict)
    refusals: Mapping[Target, Refusal] = field(default_factory=dict)
    ensured: Collection[Target] = ()
    without_effect: Mapping[Target, int] = field(default_factory=dict)
    deferred_since: Mapping[Target, float] = field(default_factory=dict)
    activators: Sequence[Obj] = ()


class Planner:
    """Collects the plan while the trees are walked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.view = View(world.index)
        self.plan = Plan()
        self.now_text = timestamp(world.now)

    @property
    def settings(self) -> Settings:
        return self.world.settings

    def child(
        self, resource: Resource, desired: Obj, parent: Obj, rules: Rules
    ) -> Obj | Refusal | None:
        """Let a child be what is desired. The child as it is now, None while there is none, or the
        reason why there cannot be one.
        """
        target = (resource, key_of(desired))
        refusal = self.world.refusals.get(target)
        if refusal is not None:
            return refusal
        observed = self.view.get(resource, *key_of(desired))
        if observed is None:
            self.plan.children.append(Create(resource, desired, parent))
            return None
        if not belongs_to(observed, parent):
            self.requeue_after(HELD_NAME_RETRY_S)
            return not_owned(resource.kind, name_of(desired))
        if not is_deleting(observed):
            self._update(target, observed, desired, rules)
        return observed

    def ensure(self, resource: Resource, desired: Obj, parent: Obj) -> None:
        """Let an object exist that is not watched: one that is there already is as good."""
        target = (resource, key_of(desired))
        if target not in self.world.ensured and target not in self.world.refusals:
            self.plan.children.append(Create(resource, desired, parent, optional=True))

    def patch(self, resource: Resource, observed: Obj, patch: Obj) -> None:
        """Change an object by a patch that was made elsewhere; an empty one does nothing."""
        target = (resource, key_of(observed))
        if patch and target not in self.world.refusals:
            self.plan.children.append(Update(resource, observed, patch, 0))

    def release(self, resource: Resource, obj: Obj, finalizer: str) -> None:
        """Take away the finalizer of a controller that is not there any more: nobody else would,
        and the object could never go.
        """
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer in finalizers:
            left = [name for name in finalizers if name != finalizer]
            self.patch(resource, obj, {"metadata": {"finalizers": left}})

    def status(self, resource: Resource, obj: Obj, status: Obj) -> Obj:
        """Let an object have this status. The object with it, for those above it to read."""
        target = (resource, key_of(obj))
        self.plan.visited.add(target)
        before = status_of(obj)
        if before == status:
            return obj
        changed = self.view.set_status(resource, obj, status)
        if not self._defers(target, changed):
            patch = {"status": difference(before, status)}
            self.plan.statuses.append(SetStatus(resource, obj, patch))
            self._announce_ready(obj, changed)
        return changed

    def announce(self, regarding: Obj, reason: str, message: str, kind: str = "Normal") -> None:
        self.plan.announcements.append(Announcement(regarding, reason, message, kind))

    def requeue_after(self, seconds: float) -> None:
        known = self.plan.requeue_after_s
        self.plan.requeue_after_s = seconds if known is None else min(known, seconds)

    def _update(self, target: Target, observed: Obj, desired: Obj, rules: Rules) -> None:
        patch = merge_patch(observed, desired, rules)
        if not patch:
            return
        digest = hash(json.dumps(desired, sort_keys=True))
        if self.world.without_effect.get(target) != digest:
            self.plan.children.append(Update(target[0], observed, patch, digest))

    def _defers(self, target: Target, changed: Obj) -> bool:
        """Whether a status that only says "not yet" waits a moment for one that says more: most
        Revisions are ready before anybody could have read it, and every write costs.
        """
        ready = find(changed)
        if ready is None or not ready.is_unknown or ready.reason not in _ON_THE_WAY:
            return False
        since = self.world.deferred_since.get(target, self.world.clock)
        left = since + DEFERRAL_S - self.world.clock
        if left <= 0:
            return False
        self.plan.deferred.add(target)
        self.requeue_after(left)
        return True

    def _announce_ready(self, before: Obj, after: Obj) -> None:
        was, now = find(before), find(after)
        if now is None or (was is not None and was.status == now.status):
            return
        kind = str(after["kind"])
        if now.is_true:
            self.announce(after, f"{kind}Ready", f"{kind} becomes ready")
        elif now.is_false:
            self.announce(after, f"{kind}Failed", now.message or now.reason, "Warning")
