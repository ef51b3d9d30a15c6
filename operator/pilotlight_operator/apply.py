"""The only module that writes plans to the API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pilotlight import names
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import Resource
from pilotlight_operator.index import KINDS, Index
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import (
    Obj,
    belongs_to,
    key_of,
    name_of,
    namespace_of,
    uid_of,
    version_of,
)
from pilotlight_operator.planner import Action, Create, Delete, SetStatus, Target, Update
from pilotlight_operator.refusal import Refusal, not_owned

_log: Final = logging.getLogger("apply")

# The API has understood and will not do it, however often it is asked.
_REFUSED: Final = frozenset({400, 403, 413, 422})


@dataclass(slots=True)
class Outcome:
    """What became of a batch: what the API refused for good, what is there and not watched, which
    updates changed nothing (by the fingerprint of what was desired), all that was written, and of
    that which children are new.
    """

    refusals: dict[Target, Refusal] = field(default_factory=dict)
    ensured: set[Target] = field(default_factory=set)
    without_effect: dict[Target, int] = field(default_factory=dict)
    written: list[tuple[Resource, Obj]] = field(default_factory=list)
    created: list[Create] = field(default_factory=list)


class NotLeadingError(ApiError):
    """Another may lead by now: nothing is written any more."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "this operator does not lead any more")


class Applier:
    """Writes, and takes what the API answers into the index, so that the next plan knows it.

    `leads` is asked right before each write, as the event loop may have stood still since the
    decision to make it.
    """

    def __init__(
        self, client: KubeClient, index: Index, metrics: Metrics, leads: Callable[[], bool]
    ) -> None:
        self._client = client
        self._index = index
        self._metrics = metrics
        self._leads = leads

    async def children(self, actions: Iterable[Action]) -> Outcome:
        """Write a batch at once. Raises ApiError when some of it should be tried again."""
        outcome = Outcome()
        await _all(self._act(action, outcome) for action in actions)
        return outcome

    async def statuses(self, statuses: Iterable[SetStatus]) -> Outcome:
        """Write statuses at once. Raises ApiError when some of it should be tried again."""
        outcome = Outcome()
        await _all(self._set_status(status, outcome) for status in statuses)
        return outcome

    async def _act(self, action: Action, outcome: Outcome) -> None:
        match action:
            case Create():
                await self._create(action, outcome)
            case Update():
                await self._update(action, outcome)
            case Delete():
                await self._delete(action)

    async def _create(self, action: Create, outcome: Outcome) -> None:
        """By POST, which never takes over what is somebody else's."""
        resource, target = action.resource, (action.resource, key_of(action.obj))
        try:
            self._begin("create", resource)
            created = await self._client.create(resource, action.obj, names.OPERATOR_MANAGER)
        except ApiError as error:
            if error.already_exists:
                await self._found(action, outcome)
            elif error.status in _REFUSED:
                outcome.refusals[target] = _refusal(error)
            else:
                raise
        else:
            self._take(resource, created, outcome)
            if action.optional:
                outcome.ensured.add(target)
            outcome.created.append(action)

    async def _found(self, action: Create, outcome: Outcome) -> None:
        """The name is in use: by our own object that no watch has shown yet, or by another's."""
        resource, target = action.resource, (action.resource, key_of(action.obj))
        if action.optional:
            outcome.ensured.add(target)
            return
        found = await self._client.get(resource, *key_of(action.obj))
        found.setdefault("apiVersion", resource.api_version)
        found.setdefault("kind", resource.kind)
        if belongs_to(found, action.parent):
            self._index.revive(found)
            self._take(resource, found, outcome)
        else:
            outcome.refusals[target] = not_owned(resource.kind, name_of(found))

    async def _update(self, action: Update, outcome: Outcome) -> None:
        """By a merge patch that names the uid, so that it cannot hit a namesake."""
        resource, observed = action.resource, action.observed
        target = (resource, key_of(observed))
        patch = dict(action.patch)
        patch["metadata"] = {**patch.get("metadata", {}), "uid": uid_of(observed)}
        try:
            self._begin("patch", resource)
            changed = await self._client.patch(resource, key_of(observed), patch)
        except ApiError as error:
            if error.not_found:
                self._index.remove(resource, observed)
            if error.status not in _REFUSED:
                raise
            outcome.refusals[target] = _refusal(error)
            return
        if version_of(changed) == version_of(observed):
            outcome.without_effect[target] = action.desired_hash
            _log.warning(
                "an update had no effect: the API fills in what is not desired",
                extra={"resource": resource.plural, "object": "/".join(key_of(observed))},
            )
        self._take(resource, changed, outcome)

    async def _delete(self, action: Delete) -> None:
        observed = action.observed
        namespace, name = namespace_of(observed), name_of(observed)
        self._begin("delete", action.resource)
        try:
            await self._client.delete(action.resource, namespace, name, uid_of(observed))
        except ApiError as error:
            if not error.not_found:
                raise
        self._index.remove(action.resource, observed)

    async def _set_status(self, action: SetStatus, outcome: Outcome) -> None:
        self._begin("patch_status", action.resource)
        try:
            changed = await self._client.patch(
                action.resource, key_of(action.observed), action.patch, subresource="status"
            )
        except ApiError as error:
            if not error.not_found:
                raise
            return
        self._take(action.resource, changed, outcome)

    def _take(self, resource: Resource, obj: Obj, outcome: Outcome) -> None:
        if resource in KINDS and self._index.put(resource, obj):
            outcome.written.append((resource, obj))

    def _begin(self, verb: str, resource: Resource) -> None:
        if not self._leads():
            raise NotLeadingError
        self._metrics.writes.labels(verb, resource.plural).inc()


def _refusal(error: ApiError) -> Refusal:
    return Refusal(error.reason or "FailedCreate", error.message)


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Let all of it come to an end, then raise the first error if there is one."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
