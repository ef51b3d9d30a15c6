"""The versioned store: one counter for the whole cluster, one table and history per resource.

A write is synchronous: it takes the next version, replaces the record, appends to the resource's
bounded history and calls the subscribers in the order in which they came. Readers therefore see
every change exactly once and in order, and nothing polls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import expired
from .values import Object, encode, key_of

GroupResource = tuple[str, str]
"""(group, plural), which names a resource in every version."""

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"

HISTORY_LIMIT = 1024


class Record:
    """A stored object, its version, and its JSON (made once, when first asked for)."""

    __slots__ = ("_encoded", "obj", "version")

    def __init__(self, obj: Object, version: int) -> None:
        self.obj = obj
        self.version = version
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = encode(self.obj)
        return self._encoded


@dataclass(frozen=True, slots=True)
class Change:
    """One event: the record after it (for DELETED: the last state) and the record before it."""

    type: str
    record: Record
    old: Record | None

    @property
    def version(self) -> int:
        return self.record.version


Subscriber = Callable[[Change], None]


class Table:
    """The objects of one resource, by namespace ("" for cluster scope) and name."""

    def __init__(self, history_limit: int, floor: int) -> None:
        self.spaces: dict[str, dict[str, Record]] = {}
        self.history: deque[Change] = deque(maxlen=history_limit)
        self.floor = floor
        """Changes at or below this version can no longer be replayed."""
        self.subscribers: list[Subscriber] = []

    def get(self, namespace: str, name: str) -> Record | None:
        space = self.spaces.get(namespace)
        return space.get(name) if space else None

    def records(self, namespace: str | None = None) -> Iterator[Record]:
        """Every record, or those of one namespace, unordered."""
        if namespace is not None:
            yield from self.spaces.get(namespace, {}).values()
            return
        for space in self.spaces.values():
            yield from space.values()

    def ordered(self, namespace: str | None = None) -> list[Record]:
        """The records by (namespace, name): the order of lists and of their continuation."""
        if namespace is not None:
            space = self.spaces.get(namespace, {})
            return [space[name] for name in sorted(space)]
        return [
            self.spaces[ns][name] for ns in sorted(self.spaces) for name in sorted(self.spaces[ns])
        ]

    def append(self, change: Change) -> None:
        if len(self.history) == self.history.maxlen:
            self.floor = self.history[0].version
        self.history.append(change)
        for subscriber in tuple(self.subscribers):
            subscriber(change)


class Store:
    """All tables and the version counter. Every method is synchronous and non-blocking."""

    def __init__(self, history_limit: int = HISTORY_LIMIT, version: int = 1) -> None:
        self.version = version
        self._history_limit = history_limit
        self._tables: dict[GroupResource, Table] = {}
        self.observers: list[Callable[[GroupResource, Change], None]] = []
        """Called for every change of every resource, before the table's own subscribers."""

    def table(self, resource: GroupResource) -> Table:
        found = self._tables.get(resource)
        if found is None:
            found = self._tables[resource] = Table(self._history_limit, self.version)
        return found

    def tables(self) -> list[tuple[GroupResource, Table]]:
        return list(self._tables.items())

    def drop_table(self, resource: GroupResource) -> None:
        """Forgets a resource that is no longer served; its watchers must have been ended."""
        self._tables.pop(resource, None)

    def load(self, resource: GroupResource, obj: Object) -> None:
        """Puts back an object of an earlier life, with the version that it carries."""
        record = Record(obj, int(obj["metadata"]["resourceVersion"]))
        namespace, name = key_of(obj)
        self.table(resource).spaces.setdefault(namespace, {})[name] = record

    def put(self, resource: GroupResource, obj: Object) -> Record:
        """Stores `obj` (which the store owns from now on) under the next version."""
        table = self.table(resource)
        namespace, name = key_of(obj)
        old = table.get(namespace, name)
        record = self._versioned(obj)
        table.spaces.setdefault(namespace, {})[name] = record
        self._publish(resource, table, Change(MODIFIED if old else ADDED, record, old))
        return record

    def remove(self, resource: GroupResource, obj: Object) -> Record:
        """Removes the object of `obj`'s key; `obj` is the last state that watchers are shown."""
        table = self.table(resource)
        namespace, name = key_of(obj)
        old = table.spaces[namespace].pop(name)
        if not table.spaces[namespace]:
            del table.spaces[namespace]
        record = self._versioned(obj)
        self._publish(resource, table, Change(DELETED, record, old))
        return record

    def subscribe(self, resource: GroupResource, subscriber: Subscriber) -> Callable[[], None]:
        """Calls `subscriber` for each later change; returns the way to end it (idempotent)."""
        subscribers = self.table(resource).subscribers
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)

        return unsubscribe

    def since(self, resource: GroupResource, version: int) -> list[Change]:
        """The changes after `version`; 410 when some of them are forgotten.

        A version above the counter belongs to an earlier life of the store, and is as old as one
        that has left the history: the client has to list again.
        """
        table = self.table(resource)
        if version < table.floor or version > self.version:
            raise expired(f"too old resource version: {version} ({self.version})")
        return [change for change in table.history if change.version > version]

    def _versioned(self, obj: Object) -> Record:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return Record(obj, self.version)

    def _publish(self, resource: GroupResource, table: Table, change: Change) -> None:
        for observer in self.observers:
            observer(resource, change)
        table.append(change)
