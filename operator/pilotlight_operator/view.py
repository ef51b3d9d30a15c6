"""The index as one reconcile sees it: with the statuses that it has decided on but not written yet,
so that what a Revision becomes reaches its Service in the same pass.
"""

from __future__ import annotations

from pilotlight.kube.resources import REVISIONS, ROUTES, Resource
from pilotlight_operator.index import Index
from pilotlight_operator.objects import Key, Obj, key_of


class View:
    def __init__(self, index: Index) -> None:
        self._index = index
        self._changed: dict[tuple[Resource, Key], Obj] = {}

    def set_status(self, resource: Resource, obj: Obj, status: Obj) -> Obj:
        """The object as it will be; the one in the index stays as it is."""
        changed = {**obj, "status": status}
        self._changed[resource, key_of(obj)] = changed
        return changed

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        key = Key(namespace, name)
        return self._changed.get((resource, key)) or self._index.get(resource, namespace, name)

    def current(self, resource: Resource, obj: Obj) -> Obj:
        return self._changed.get((resource, key_of(obj)), obj)

    def revisions_of(self, configuration: Key) -> list[Obj]:
        return [self.current(REVISIONS, obj) for obj in self._index.revisions_of(configuration)]

    def pods_of(self, revision: Key) -> list[Obj]:
        return self._index.pods_of(revision)

    def placeholders_of(self, route: Key) -> list[Obj]:
        return self._index.placeholders_of(route)

    def routes_to_revision(self, revision: Key) -> list[Obj]:
        return self._index.routes_to_revision(revision)

    def routes_to_configuration(self, configuration: Key) -> list[Obj]:
        return self._index.routes_to_configuration(configuration)

    def route(self, namespace: str, name: str) -> Obj | None:
        return self.get(ROUTES, namespace, name)
