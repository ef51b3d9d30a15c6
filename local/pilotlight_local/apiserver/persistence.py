"""The state of a cluster in SQLite.

A thread of its own writes behind the store. Every change goes into a table of pending changes, the
newest for each object, which bounds it by the number of objects; the thread takes all of them and
commits them in one transaction, and then again. So what a client was told is on its way to the disk
at once, and is in the file a few milliseconds later. What holds: after `close` everything is in the
file; after a crash of the process at most the changes since the last commit are missing (all of
them or none of a transaction's), and versions never go backwards, because the file also reserves
the versions ahead. A crash of the machine may lose what the operating system had not yet written:
commits do not wait for the disk.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .store import DELETED, Change, GroupResource, Record, Store
from .values import Object

_log: Final = logging.getLogger("apiserver.persistence")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    api_group TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (api_group, plural, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
RESERVED: Final = 10_000
"""Versions that may be given out before the file hears of them."""

_Key = tuple[str, str, str, str]


class Persistence:
    """Keeps a store in a file. `open`, then `load`, then `attach`; `close` at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: dict[_Key, Record | None] = {}
        self._version = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.failure: str = ""
        """Why the last transaction failed, "" when it did not."""

    def load(self) -> tuple[list[tuple[GroupResource, Object]], int]:
        """Every object of the file, and the version from which to go on."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        try:
            connection.executescript(_SCHEMA)
            objects = list(self._objects(connection))
            facts = dict(connection.execute("SELECT name, value FROM facts"))
        finally:
            connection.close()
        version = max(
            int(facts.get("version", 1)),
            *(int(obj["metadata"]["resourceVersion"]) for _, obj in objects),
            1,
        )
        if not facts.get("closed", 1):
            version += RESERVED
        return objects, version

    def attach(self, store: Store) -> None:
        """Begins to write the store's changes."""
        self._version = store.version
        store.observers.append(self._observe)
        self._thread = threading.Thread(target=self._run, name="apiserver-persistence", daemon=True)
        self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Writes what is pending and ends. Idempotent."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._thread = None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _objects(self, connection: sqlite3.Connection) -> Iterator[tuple[GroupResource, Object]]:
        for group, plural, body in connection.execute(
            "SELECT api_group, plural, body FROM objects"
        ):
            yield (group, plural), json.loads(body)

    def _observe(self, resource: GroupResource, change: Change) -> None:
        metadata = change.record.obj["metadata"]
        key = (*resource, metadata.get("namespace") or "", metadata["name"])
        with self._lock:
            self._pending[key] = None if change.type == DELETED else change.record
            self._version = change.version
        self._wake.set()

    def _run(self) -> None:
        connection = self._connect()
        try:
            while not self._stopping:
                self._wake.wait()
                self._wake.clear()
                self._flush(connection, closed=False)
            self._flush(connection, closed=True)
        finally:
            connection.close()

    def _flush(self, connection: sqlite3.Connection, closed: bool) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
            version = self._version
        try:
            self._write(connection, pending, version, closed)
            self.failure = ""
        except sqlite3.Error as error:
            # A full disk must not lose what is in memory: the next change tries all of it again.
            self.failure = str(error)
            _log.error("the state cannot be written to %s: %s", self._path, error)
            with self._lock:
                self._pending = {**pending, **self._pending}

    def _write(
        self,
        connection: sqlite3.Connection,
        pending: dict[_Key, Record | None],
        version: int,
        closed: bool,
    ) -> None:
        with connection:
            connection.executemany(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                [(*key, record.encoded) for key, record in pending.items() if record],
            )
            connection.executemany(
                "DELETE FROM objects WHERE api_group=? AND plural=? AND namespace=? AND name=?",
                [key for key, record in pending.items() if record is None],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                [("version", version), ("closed", int(closed))],
            )
