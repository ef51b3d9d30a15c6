"""Everything the operator knows of the cluster: one plain cache per kind, and who refers to whom.

Watches and the answers to the operator's own writes both end here, so that a reconcile sees at once
what the one before it did. Of two copies of an object the one with the newer resourceVersion stays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pilotlight import names
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    ENDPOINTS,
    INGRESSES,
    POD_AUTOSCALERS,
    PODS,
    REVISIONS,
    ROUTES,
    SERVICES,
    Resource,
)
from pilotlight_operator.objects import (
    Key,
    Obj,
    controller_of,
    key_of,
    labels_of,
    spec_of,
    status_of,
    uid_of,
    version_of,
)

KINDS: Final[tuple[Resource, ...]] = (
    SERVICES,
    CONFIGURATIONS,
    REVISIONS,
    ROUTES,
    POD_AUTOSCALERS,
    INGRESSES,
    DEPLOYMENTS,
    CORE_SERVICES,
    ENDPOINTS,
    PODS,
)
_MOST_TOMBSTONES: Final = 4096
# What of a pod says why it does not serve; the rest of a pod is not worth its memory.
_POD_STATUS: Final = ("phase", "conditions", "containerStatuses", "initContainerStatuses")

Groups = Callable[[Obj], Iterable[Key]]


class Cache:
    """The objects of one kind by namespace and name, and by the groups they belong to."""

    def __init__(self, groups: Groups | None = None) -> None:
        self._objects: dict[Key, Obj] = {}
        self._groups_of = groups
        self._groups: dict[Key, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._objects))

    def get(self, key: Key) -> Obj | None:
        return self._objects.get(key)

    def group(self, key: Key) -> list[Obj]:
        """The members of a group, sorted by name."""
        return [self._objects[member] for member in sorted(self._groups.get(key, ()))]

    def put(self, key: Key, obj: Obj) -> None:
        self.drop(key)
        self._objects[key] = obj
        for group in self._groups_of(obj) if self._groups_of else ():
            self._groups.setdefault(group, set()).add(key)

    def drop(self, key: Key) -> Obj | None:
        obj = self._objects.pop(key, None)
        if obj is not None and self._groups_of is not None:
            for group in self._groups_of(obj):
                members = self._groups.get(group)
                if members is not None:
                    members.discard(key)
                    if not members:
                        del self._groups[group]
        return obj


class Index:
    """The caches of all kinds. Objects in it are shared: nobody changes them."""

    def __init__(self) -> None:
        self._caches: dict[Resource, Cache] = {
            SERVICES: Cache(),
            CONFIGURATIONS: Cache(),
            REVISIONS: Cache(_by_configuration),
            ROUTES: Cache(_by_target),
            POD_AUTOSCALERS: Cache(),
            INGRESSES: Cache(),
            DEPLOYMENTS: Cache(),
            CORE_SERVICES: Cache(_by_route),
            ENDPOINTS: Cache(),
            PODS: Cache(_by_revision),
        }
        self._gone: OrderedDict[str, None] = OrderedDict()

    def cache(self, resource: Resource) -> Cache:
        return self._caches[resource]

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._caches[resource].get(Key(namespace, name))

    def put(self, resource: Resource, obj: Obj) -> bool:
        """Take in a copy of an object; False if it tells nothing new."""
        key = key_of(obj)
        if uid_of(obj) in self._gone:
            return False
        before = self._caches[resource].get(key)
        if (
            before is not None
            and uid_of(before) == uid_of(obj)
            and version_of(obj) <= version_of(before)
        ):
            return False
        self._caches[resource].put(key, _lean(obj) if resource is PODS else obj)
        return True

    def revive(self, obj: Obj) -> None:
        """An object that a watch said was deleted is there: it had only lost the label by which it
        is watched.
        """
        self._gone.pop(uid_of(obj), None)

    def remove(self, resource: Resource, obj: Obj) -> bool:
        """Forget an object that was deleted; False if it was unknown, or is another by now."""
        self._gone[uid_of(obj)] = None
        while len(self._gone) > _MOST_TOMBSTONES:
            self._gone.popitem(last=False)
        before = self._caches[resource].get(key_of(obj))
        if before is None or uid_of(before) != uid_of(obj):
            return False
        self._caches[resource].drop(key_of(obj))
        return True

    def revisions_of(self, configuration: Key) -> list[Obj]:
        return self._caches[REVISIONS].group(configuration)

    def pods_of(self, revision: Key) -> list[Obj]:
        return self._caches[PODS].group(revision)

    def placeholders_of(self, route: Key) -> list[Obj]:
        return self._caches[CORE_SERVICES].group(route)

    def routes_to_revision(self, revision: Key) -> list[Obj]:
        return self._caches[ROUTES].group(_revision_target(*revision))

    def routes_to_configuration(self, configuration: Key) -> list[Obj]:
        return self._caches[ROUTES].group(_configuration_target(*configuration))


def _lean(pod: Obj) -> Obj:
    metadata = pod["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
    status = status_of(pod)
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "status": {key: status[key] for key in _POD_STATUS if key in status},
    }


def _by_configuration(revision: Obj) -> Iterable[Key]:
    owner = controller_of(revision)
    if owner is not None and owner["kind"] == "Configuration":
        yield Key(key_of(revision).namespace, owner["name"])


def _by_revision(pod: Obj) -> Iterable[Key]:
    revision = labels_of(pod).get(names.REVISION_LABEL)
    if revision:
        yield Key(key_of(pod).namespace, revision)


def _by_route(service: Obj) -> Iterable[Key]:
    route = labels_of(service).get(names.ROUTE_LABEL)
    if route:
        yield Key(key_of(service).namespace, route)


def _by_target(route: Obj) -> Iterable[Key]:
    namespace = key_of(route).namespace
    found: set[Key] = set()
    targets = [*(spec_of(route).get("traffic") or ()), *(status_of(route).get("traffic") or ())]
    for target in targets:
        if target.get("revisionName"):
            found.add(_revision_target(namespace, target["revisionName"]))
        if target.get("configurationName"):
            found.add(_configuration_target(namespace, target["configurationName"]))
    return found


def _revision_target(namespace: str, name: str) -> Key:
    return Key(namespace, f"revision/{name}")


def _configuration_target(namespace: str, name: str) -> Key:
    return Key(namespace, f"configuration/{name}")
