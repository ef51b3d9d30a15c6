"""What the components may ask of the Kubernetes API beside what they did ask: roles and an audit
log, compared. No I/O here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotlight import names

Object = Mapping[str, Any]

_ACCOUNT: Final = f"system:serviceaccount:{names.SYSTEM_NAMESPACE}:"
_NAMELESS: Final = frozenset({"create", "deletecollection"})
"""Whoever asks for these names no object, so no rule can be about one."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource, subresource included. Without a namespace it is one everywhere (or
    on what is in no namespace), without a name one on every object.
    """

    component: str
    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def covers(self, other: Right) -> bool:
        """Whether who has this right may do the other."""
        return (
            (self.component, self.verb, self.group) == (other.component, other.verb, other.group)
            and self.resource == other.resource
            and self.namespace in ("", other.namespace)
            and self.name in ("", other.name)
        )

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.component}: {self.verb} {resource} {self.name}".rstrip() + where


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a right, and whether the API server refused it for want of that right."""

    right: Right
    refused: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What does not fit together."""

    refused: frozenset[Right]
    missing: frozenset[Right]
    """Asked for, and in no role."""
    surplus: frozenset[Right]
    """In a role, and never asked for."""
    wide: frozenset[Right]
    """Held everywhere, and used in the system namespace alone."""


def granted(objects: Iterable[Object]) -> frozenset[Right]:
    """What the roles among objects allow to the service accounts of the system namespace."""
    objects = list(objects)
    roles = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
        for obj in objects
        if obj["kind"] in ("Role", "ClusterRole")
    }
    found: set[Right] = set()
    for binding in objects:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        namespace = binding["metadata"].get("namespace", "")
        reference = binding["roleRef"]
        scope = namespace if reference["kind"] == "Role" else ""
        role = roles[reference["kind"], scope, reference["name"]]
        for subject in binding["subjects"]:
            for rule in role["rules"]:
                found |= set(_expand(subject["name"], rule, namespace))
    return frozenset(found)


def _expand(component: str, rule: Object, namespace: str) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or [""]:
                    yield Right(component, verb, group, resource, namespace, name)


def asked(lines: Iterable[str]) -> Iterator[Asked]:
    """What service accounts of the system namespace asked for, by the lines of an audit log."""
    for line in lines:
        event = json.loads(line)
        username = event["user"].get("username", "")
        reference = event.get("objectRef")
        if username.startswith(_ACCOUNT) and reference:
            yield from _asked(username.removeprefix(_ACCOUNT), reference, event)


def _asked(component: str, reference: Object, event: Object) -> Iterator[Asked]:
    resource = reference["resource"]
    if "subresource" in reference:
        resource = f"{resource}/{reference['subresource']}"
    verbs = [event["verb"]]
    if event["verb"] == "patch" and (event.get("responseStatus") or {}).get("code") == 201:
        # Applying what is not there is also asked to be a right to create.
        verbs.append("create")
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    for verb in verbs:
        name = "" if verb in _NAMELESS else reference.get("name", "")
        right = Right(
            component,
            verb,
            reference.get("apiGroup", ""),
            resource,
            reference.get("namespace", ""),
            name,
        )
        yield Asked(right, decision == "forbid")


def compare(rights: Iterable[Right], requests: Iterable[Asked]) -> Findings:
    """What was asked for beside what is granted."""
    rights = frozenset(rights)
    seen = set(requests)
    uses = {right: {a.right for a in seen if right.covers(a.right)} for right in rights}
    allowed = {request for used in uses.values() for request in used}
    return Findings(
        refused=frozenset(a.right for a in seen if a.refused),
        missing=frozenset(a.right for a in seen) - allowed,
        surplus=frozenset(right for right, used in uses.items() if not used),
        wide=frozenset(
            right
            for right, used in uses.items()
            if not right.namespace
            and used
            and all(request.namespace == names.SYSTEM_NAMESPACE for request in used)
        ),
    )


def told(rights: Iterable[Right]) -> str:
    """Rights as lines, for people."""
    return "\n".join(str(right) for right in sorted(rights))
