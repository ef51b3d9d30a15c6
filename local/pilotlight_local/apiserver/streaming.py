"""Watches over HTTP: one JSON document a line, bookmarks, and the error that ends a watch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from aiohttp import web

from .errors import ApiError, invalid, invalid_value
from .kinds import Target
from .reading import ListOptions, encode_record, number, version_number
from .state import State
from .store import ADDED, Record
from .values import Object, encode
from .watch import Event, Watcher

BOOKMARK_S: Final = 60.0
_SHORTEST_S: Final = 1800
_INITIAL_END: Final = "k8s.io/initial-events-end"
_BATCH: Final = 256

Encode = Callable[[Record, bool], bytes]
"""Makes an object's JSON; the flag says that it is the stream's first."""


class WatchStream:
    """One watch, from its first event to its end."""

    def __init__(self, state: State, target: Target, options: ListOptions) -> None:
        self._state = state
        self._target = target
        self._options = options
        self._first = True

    async def run(
        self, request: web.Request, encode_object: Encode | None, watchers: set[Watcher]
    ) -> web.StreamResponse:
        """Serves a watch until its time is over, the client leaves or falls behind."""
        query = request.query
        seconds = number(query, "timeoutSeconds") or _SHORTEST_S * (1 + random.random())
        bookmarks = query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        initial = _wants_initial(query.get("sendInitialEvents", ""), self._options, bookmarks)
        encode_object = encode_object or (
            lambda record, _first: encode_record(record, self._target)
        )
        watcher = Watcher(self._state.store, self._target.kind.table, self._matches)
        watchers.add(watcher)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            lines = self._start(watcher, initial, encode_object)
            await response.prepare(request)
            for position in range(0, len(lines), _BATCH):
                await response.write(b"".join(lines[position : position + _BATCH]))
            await self._follow(
                _Stream(response, watcher, encode_object, bookmarks),
                asyncio.get_running_loop().time() + seconds,
            )
            await response.write_eof()
        except ApiError as error:
            if not response.prepared:
                await response.prepare(request)
            await response.write(_line("ERROR", encode(error.body())))
            await response.write_eof()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            watchers.discard(watcher)
            watcher.close()
        return response

    def _matches(self, obj: Object) -> bool:
        namespace = self._target.namespace
        if namespace and obj["metadata"].get("namespace") != namespace:
            return False
        return self._options.matches(obj)

    def _start(self, watcher: Watcher, initial: bool | None, encode_object: Encode) -> list[bytes]:
        """The lines with which the watch begins; its later ones come out of the watcher."""
        version = self._options.version
        if initial or (initial is None and version in ("", "0")):
            lines = [self._event((ADDED, r), encode_object) for r in self._current(watcher)]
            if initial:
                bookmark = _bookmark(
                    self._target, self._state.store.version, {_INITIAL_END: "true"}
                )
                lines.append(bookmark)
            return lines
        if version not in ("", "0"):
            changes = self._state.store.since(self._target.kind.table, version_number(version))
            watcher.start(changes)
        return []

    def _current(self, watcher: Watcher) -> list[Record]:
        table = self._state.store.table(self._target.kind.table)
        records = table.ordered(self._target.namespace or None)
        return [record for record in records if self._options.matches(record.obj)]

    def _event(self, event: Event, encode_object: Encode) -> bytes:
        line = _line(event[0], encode_object(event[1], self._first))
        self._first = False
        return line

    async def _follow(self, stream: _Stream, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        bookmark_at = loop.time() + BOOKMARK_S
        while True:
            now = loop.time()
            if now >= deadline:
                break
            events = await stream.watcher.take(min(deadline, bookmark_at) - now)
            if events:
                lines = [self._event(event, stream.encode_object) for event in events]
                await stream.response.write(b"".join(lines))
            elif stream.watcher.ended:
                return
            elif loop.time() >= bookmark_at:
                bookmark_at = loop.time() + BOOKMARK_S
                self._check_served()
                await self._send_bookmark(stream)
        await self._send_bookmark(stream)

    async def _send_bookmark(self, stream: _Stream) -> None:
        # The buffer is empty: the client has seen all that there was up to now.
        if stream.bookmarks and not stream.watcher.pending:
            version = self._state.store.version
            await stream.response.write(_bookmark(self._target, version))

    def _check_served(self) -> None:
        if self._state.registry.find(self._target.kind.resource) is None:
            raise ApiError(410, "Gone", "the resource is no longer served")


class _Stream:
    """What a running watch writes to, and how."""

    __slots__ = ("bookmarks", "encode_object", "response", "watcher")

    def __init__(
        self,
        response: web.StreamResponse,
        watcher: Watcher,
        encode_object: Encode,
        bookmarks: bool,
    ) -> None:
        self.response = response
        self.watcher = watcher
        self.encode_object = encode_object
        self.bookmarks = bookmarks


def _wants_initial(text: str, options: ListOptions, bookmarks: bool) -> bool | None:
    """Whether the watch begins with the current objects and a bookmark that ends them."""
    if not text:
        return None
    if options.match != "NotOlderThan":
        detail = "resourceVersionMatch must be NotOlderThan when sendInitialEvents is set"
        raise invalid("", "ListOptions", "", [invalid_value("sendInitialEvents", text, detail)])
    wanted = text.lower() in ("true", "1")
    if wanted and not bookmarks:
        detail = "allowWatchBookmarks must be true when sendInitialEvents is true"
        raise invalid("", "ListOptions", "", [invalid_value("sendInitialEvents", text, detail)])
    return wanted


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def _bookmark(target: Target, version: int, annotations: Object | None = None) -> bytes:
    metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    body = {"kind": target.kind.kind, "apiVersion": target.api_version, "metadata": metadata}
    return _line("BOOKMARK", encode(body))
