"""The resources that the server serves, and how each kind behaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from pilotlight.kube.resources import Resource

from .errors import Cause, no_such_path
from .shapes import Shape
from .store import GroupResource
from .values import Object

VERBS: Final = (
    "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
)  # fmt: skip


class Strategy(Protocol):
    """What differs between kinds when objects are written. Methods change `obj` in place."""

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        """Brings a foreign object into the stored form; the paths of its unknown fields, if
        wanted.
        """

    def default(self, obj: Object, version: str) -> None:
        """Fills in what is missing; must be idempotent."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Sets what only the server may set; `old` is None at creation."""

    def validate(self, obj: Object, old: Object | None, version: str) -> list[Cause]:
        """The errors of a complete object."""

    def shape(self, version: str) -> Shape:
        """How the kind's values merge."""

    def present(self, obj: Object, version: str) -> Object:
        """A stored object as clients of `version` see it; the object itself where it can be."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a kind that can be scaled keeps its numbers."""

    replicas: tuple[str, ...] = ("spec", "replicas")
    status: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedKind:
    """One resource in all its versions."""

    group: str
    versions: tuple[str, ...]
    """Served versions, the preferred one first."""
    plural: str
    kind: str
    namespaced: bool
    strategy: Strategy
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    """Has the status subresource: writes of the object keep the status, and the reverse."""
    scale: ScalePaths | None = None
    subresources: tuple[str, ...] = ()
    """Further subresources, served by handlers of their own."""
    generation: bool = True
    """Counts changes of the specification in metadata.generation."""
    storage_version: str = ""
    selectable: tuple[str, ...] = ()
    """Fields beside metadata that field selectors may name."""
    custom: bool = False
    verbs: tuple[str, ...] = VERBS
    versioned: bool = False
    """An update has to name the version that it changes."""
    made_by_update: bool = False
    """An update of an object that is not there makes it."""
    stored_as: GroupResource | None = None
    """The resource whose objects these are, seen through another version of the API."""

    @property
    def resource(self) -> GroupResource:
        return self.group, self.plural

    @property
    def table(self) -> GroupResource:
        """Where the store keeps the objects."""
        return self.stored_as or self.resource

    @property
    def storage_api_version(self) -> str:
        return self.api_version(self.storage_version or self.versions[0])

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version

    @property
    def listed_as(self) -> str:
        return self.list_kind or f"{self.kind}List"

    @property
    def called(self) -> str:
        return self.singular or self.kind.lower()


@dataclass(frozen=True, slots=True)
class Target:
    """What one request is about."""

    kind: ServedKind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def api_version(self) -> str:
        return self.kind.api_version(self.version)

    def named(self, name: str) -> Target:
        return Target(self.kind, self.version, self.namespace, name, self.subresource)


class Registry:
    """The served kinds by group and plural."""

    def __init__(self) -> None:
        self._kinds: dict[GroupResource, ServedKind] = {}
        self.generation = 0
        """Grows whenever the set of served kinds changes."""

    def add(self, kind: ServedKind) -> None:
        self._kinds[kind.resource] = kind
        self.generation += 1

    def remove(self, resource: GroupResource) -> None:
        if self._kinds.pop(resource, None):
            self.generation += 1

    def find(self, resource: GroupResource) -> ServedKind | None:
        return self._kinds.get(resource)

    def by_kind(self, group: str, kind: str) -> ServedKind | None:
        """The resource whose objects are of a kind; the first, where there are several."""
        for served in self._kinds.values():
            if served.group == group and served.kind == kind:
                return served
        return None

    def __iter__(self) -> Iterator[ServedKind]:
        return iter(self._kinds.values())

    def target(self, resource: Resource, namespace: str | None = None, name: str = "") -> Target:
        """The target of an in-process call; 404 when the resource is not served."""
        found = self._kinds.get((resource.group, resource.plural))
        if found is None or resource.version not in found.versions:
            raise no_such_path()
        space = (namespace or "") if found.namespaced else ""
        return Target(found, resource.version, space, name)


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Who asks, as admission webhooks are told."""

    username: str = "kubernetes-admin"
    groups: tuple[str, ...] = ("system:masters", "system:authenticated")

    def json(self) -> Object:
        return {"username": self.username, "groups": list(self.groups)}


ADMIN: Final = UserInfo()


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a write is to be done."""

    manager: str = "pilotlight-local"
    user: UserInfo = ADMIN
    dry_run: bool = False
    field_validation: str = "Ignore"
    """What happens to unknown fields: Strict refuses, Warn warns, Ignore drops them."""
    force: bool = False
    """Server-side apply takes fields from other managers."""
    warnings: list[str] = field(default_factory=list)
    """Filled with what the client should be warned of."""

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
