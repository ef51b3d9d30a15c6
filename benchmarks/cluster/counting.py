"""Requests to the API server as it counts them itself: its audit log, or else its metrics."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pilotlight.names import SYSTEM_NAMESPACE

KUBERNETES: Final = "kubernetes"
OTHERS: Final = "others"
EVERYBODY: Final = "everybody"
_ACCOUNT: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:"
_KUBERNETES_USERS: Final = ("system:node:", "system:kube-", "system:serviceaccount:kube-system:")
_WRITES: Final = {"create", "update", "patch", "delete", "deletecollection"}
# Events are told apart from the rest; Leases are renewed whether or not there is anything to do.
_APART: Final = {"events", "leases"}
# Token and access reviews are questions, whatever their verb is.
_QUESTION: Final = "reviews"
_VERBS: Final[Mapping[str, str]] = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "APPLY": "patch",
    "DELETE": "delete",
    "DELETECOLLECTION": "deletecollection",
}
_SAMPLE: Final = re.compile(r"apiserver_request_total\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Request(NamedTuple):
    """`who` is a component of Pilotlight, `kubernetes`, `others`, or `everybody` where users are
    not told apart; `resource` is as `pods/status`.
    """

    who: str
    verb: str
    resource: str

    @property
    def is_write(self) -> bool:
        kind = self.resource.partition("/")[0]
        return self.verb in _WRITES and kind not in _APART and not kind.endswith(_QUESTION)


def who(user: str) -> str:
    """Which part of the system a user name of the API stands for."""
    if user.startswith(_ACCOUNT):
        return user.removeprefix(_ACCOUNT)
    return KUBERNETES if user.startswith(_KUBERNETES_USERS) else OTHERS


def count_audit(lines: Iterable[str], namespaces: Collection[str]) -> Counter[Request]:
    """Requests by who made them, out of an audit log's lines (audit.k8s.io/v1, JSON). Those about
    objects in other namespaces than these are left out; those about none are not.
    """
    found: Counter[Request] = Counter()
    for line in lines:
        event: dict[str, Any] = json.loads(line)
        reference = event.get("objectRef")
        if event.get("stage") != "ResponseComplete" or not reference:
            continue
        if reference.get("namespace", "") not in {"", *namespaces}:
            continue
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        found[Request(who(event["user"]["username"]), event["verb"], resource)] += 1
    return found


def count_metrics(text: str) -> Counter[Request]:
    """Requests of everybody since the API server started, out of its /metrics."""
    found: Counter[Request] = Counter()
    for match in _SAMPLE.finditer(text):
        labels = dict(_LABEL.findall(match["labels"]))
        verb = _VERBS.get(labels["verb"], labels["verb"].lower())
        resource = "/".join(filter(None, (labels["resource"], labels["subresource"])))
        found[Request(EVERYBODY, verb, resource)] += int(float(match["value"]))
    return found


class AuditLog:
    """What is written to an audit log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size

    def lines(self) -> Iterator[str]:
        """The whole lines since the start, again at each call; OSError when it was rotated."""
        if self._path.stat().st_size < self._offset:
            raise OSError(f"{self._path} was rotated meanwhile")
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if line.endswith(b"\n"):
                    yield line.decode()
