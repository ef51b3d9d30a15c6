"""Label selectors and field selectors: parsed once, then functions of an object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import bad_request
from .values import Object

Match = Callable[[Object], bool]

_KEY: Final = (
    r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?(?:/[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
)
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET: Final = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL: Final = re.compile(rf"({_KEY})\s*(==|=|!=|>|<)\s*({_VALUE})")
_EXISTS: Final = re.compile(rf"(!?)\s*({_KEY})")
_VALUE_ONLY: Final = re.compile(rf"{_VALUE}$")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on labels. `values` is empty for exists and absent."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, Any]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: Any) -> bool:
        try:
            number, bound = int(str(value)), int(next(iter(self.values)))
        except ValueError:
            return False
        return number > bound if self.operator == ">" else number < bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; without any, it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, Any] | None) -> bool:
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __call__(self, obj: Object) -> bool:
        return self.matches((obj.get("metadata") or {}).get("labels"))


def parse_labels(text: str) -> LabelSelector:
    """Reads `a=b,c in (d,e),!f`; raises a 400."""
    rest = text.strip()
    found = []
    while rest:
        requirement, rest = _next_requirement(rest, text)
        found.append(requirement)
        rest = rest.lstrip()
        if rest and not rest.startswith(","):
            raise _unparsable(text, rest)
        rest = rest[1:].lstrip()
    return LabelSelector(tuple(found))


def _next_requirement(rest: str, whole: str) -> tuple[Requirement, str]:
    if found := _SET.match(rest):
        key, operator, listed = found.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        if not all(_VALUE_ONLY.match(value) for value in values):
            raise _unparsable(whole, listed)
        return Requirement(key, operator, values), rest[found.end() :]
    if found := _EQUAL.match(rest):
        key, sign, value = found.groups()
        operator = {"=": "in", "==": "in", "!=": "notin"}.get(sign, sign)
        if operator in "<>" and not value.lstrip("-").isdigit():
            raise _unparsable(whole, rest)
        return Requirement(key, operator, frozenset([value])), rest[found.end() :]
    if found := _EXISTS.match(rest):
        operator = "absent" if found[1] else "exists"
        return Requirement(found[2], operator), rest[found.end() :]
    raise _unparsable(whole, rest)


def _unparsable(text: str, where: str) -> Exception:
    return bad_request(f"unable to parse requirement: found '{where}' in \"{text}\"")


_OPERATORS: Final = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}


def from_object(selector: Object | None) -> LabelSelector:
    """The `LabelSelector` of a Kubernetes object (matchLabels, matchExpressions)."""
    selector = selector or {}
    found = [
        Requirement(key, "in", frozenset([value]))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or []:
        operator = _OPERATORS.get(expression.get("operator"))
        if operator is None:
            raise bad_request(
                f'"{expression.get("operator")}" is not a valid label selector operator'
            )
        values = frozenset(expression.get("values") or ())
        found.append(Requirement(expression.get("key", ""), operator, values))
    return LabelSelector(tuple(found))


def from_mapping(labels: Mapping[str, str]) -> LabelSelector:
    return LabelSelector(tuple(Requirement(k, "in", frozenset([v])) for k, v in labels.items()))


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of (path, wanted value, whether it must differ)."""

    terms: tuple[tuple[tuple[str, ...], str, bool], ...] = ()

    def __call__(self, obj: Object) -> bool:
        return all((_text(obj, path) == value) != differs for path, value, differs in self.terms)

    @property
    def name(self) -> str | None:
        """The one name that can match, if the selector fixes it."""
        for path, value, differs in self.terms:
            if path == ("metadata", "name") and not differs:
                return value
        return None


_METADATA: Final = ("metadata.name", "metadata.namespace")
_SUPPORTED: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "pods"): (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
        "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    ),
    ("events.k8s.io", "events"): (
        "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid",
        "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath", "reason",
        "reportingController", "type",
    ),
    ("", "secrets"): ("type",),
    ("", "namespaces"): ("status.phase",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("apps", "replicasets"): ("status.replicas",),
    ("apps", "deployments"): (),
    ("batch", "jobs"): ("status.successful",),
}  # fmt: skip


def parse_fields(text: str, resource: tuple[str, str], extra: Iterable[str] = ()) -> FieldSelector:
    """Reads `a.b=c,d!=e` for a resource's supported fields; raises a 400."""
    supported = {*_METADATA, *_SUPPORTED.get(resource, ()), *extra}
    terms = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = re.fullmatch(r"([^=!]+?)\s*(==|=|!=)\s*(.*)", part)
        if not found:
            raise bad_request(f"invalid field selector: \"{text}\": can't understand '{part}'")
        label, sign, value = found.groups()
        if label not in supported:
            raise bad_request(f"field label not supported: {label}")
        path = tuple(label.split("."))
        terms.append(
            (("source", "component") if path == ("source",) else path, value, sign == "!=")
        )
    return FieldSelector(tuple(terms))


def _text(obj: Object, path: tuple[str, ...]) -> str:
    value: Any = obj
    for name in path:
        if not isinstance(value, dict):
            return ""
        value = value.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
