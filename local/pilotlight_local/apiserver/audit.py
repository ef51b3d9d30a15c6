"""The audit log: who asked for what, as events of `audit.k8s.io/v1` at the level Metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiohttp import web

from .kinds import UserInfo
from .paths import ResourcePath, parse_path
from .values import Object

USER: Final = web.RequestKey("user", UserInfo)
"""Under this key a request holds who makes it."""
_EVENT: Final[web.RequestKey[Object]] = web.RequestKey("audit event")
_ONE_NAME: Final = re.compile(r"metadata\.name==?([^,]+)\Z")
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "HEAD": "get"}


class AuditLog:
    """A file of JSON lines, one when a request is answered; a watch has one when it begins and one
    when it ends.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._now = now

    async def answering(self, request: web.Request, response: web.StreamResponse) -> None:
        """The head of an answer is about to be sent (a signal of aiohttp)."""
        event = event_of(request, self._time(), response.status)
        request[_EVENT] = event
        self._write(event, "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete")

    def ended(self, request: web.Request) -> None:
        """A request is done with."""
        event = request.get(_EVENT)
        if event is not None and event["verb"] == "watch":
            self._write(event, "ResponseComplete")

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Object, stage: str) -> None:
        line = {**event, "stage": stage, "stageTimestamp": self._time()}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def _time(self) -> str:
        return self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")


def event_of(request: web.Request, time: str, status: int) -> Object:
    path = parse_path(request.path)
    user = request.get(USER)
    event: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": str(uuid4()),
        "requestURI": request.path_qs,
        "verb": request.method.lower() if path is None else _verb(request, path),
        "user": {"username": "system:anonymous"} if user is None else user.json(),
        "sourceIPs": [request.remote or ""],
        "userAgent": request.headers.get("User-Agent", ""),
        "responseStatus": {"metadata": {}, "code": status},
        "requestReceivedTimestamp": time,
    }
    if path is not None:
        event["objectRef"] = _reference(request, path)
    return event


def _verb(request: web.Request, path: ResourcePath) -> str:
    if request.method == "DELETE":
        return "delete" if path.name else "deletecollection"
    if request.method != "GET":
        return _VERBS.get(request.method, request.method.lower())
    if request.query.get("watch", "").lower() in ("true", "1"):
        return "watch"
    return "get" if path.name else "list"


def _reference(request: web.Request, path: ResourcePath) -> Object:
    one = _ONE_NAME.match(request.query.get("fieldSelector", ""))
    parts = {
        "resource": path.plural,
        "namespace": path.namespace or "",
        "name": path.name or (one[1] if one else ""),
        "apiGroup": path.group,
        "apiVersion": path.version,
        "subresource": path.subresource,
    }
    return {name: value for name, value in parts.items() if value}
