"""Discovery documents: which groups, versions and resources there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from .crd import version_order
from .kinds import Registry, ServedKind
from .values import Object

VERSION: Final = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+pilotlight",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "local/any",
}

_REVIEW_VERBS: Final = ("create",)
REVIEWS: Final = {
    ("authorization.k8s.io", "v1"): (
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        ("subjectaccessreviews", "SubjectAccessReview", False),
        ("localsubjectaccessreviews", "LocalSubjectAccessReview", True),
    ),
    ("authentication.k8s.io", "v1"): (
        ("selfsubjectreviews", "SelfSubjectReview", False),
        ("tokenreviews", "TokenReview", False),
    ),
}
"""Resources that are questions: (plural, kind, namespaced) by (group, version)."""

_SUBRESOURCE_KINDS: Final[dict[str, tuple[str, str, str, tuple[str, ...]]]] = {
    "log": ("", "v1", "Pod", ("get",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "finalize": ("", "v1", "Namespace", ("update",)),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
}
_STATUS_VERBS: Final = ("get", "patch", "update")


def group_versions(registry: Registry) -> dict[str, list[str]]:
    """The versions of every group, the preferred one first."""
    found: dict[str, set[str]] = {group: {version} for group, version in REVIEWS}
    for kind in registry:
        found.setdefault(kind.group, set()).update(kind.versions)
    return {group: sorted(versions, key=version_order) for group, versions in found.items()}


def kinds_of(registry: Registry, group: str, version: str) -> list[ServedKind]:
    """The kinds of a version of a group, by their names."""
    found = (kind for kind in registry if kind.group == group and version in kind.versions)
    return sorted(found, key=lambda kind: kind.plural)


def api_versions(address: str) -> Object:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _group(group: str, versions: Iterable[str]) -> Object:
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def api_groups(registry: Registry) -> Object:
    """`/apis`."""
    groups = group_versions(registry)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, groups[name]) for name in sorted(groups) if name],
    }


def api_group(registry: Registry, group: str) -> Object | None:
    """`/apis/GROUP`, None when there is no such group."""
    versions = group_versions(registry).get(group)
    if not group or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def api_resources(registry: Registry, group: str, version: str) -> Object | None:
    """`/api/v1` and `/apis/GROUP/VERSION`, None when there is no such version."""
    kinds = kinds_of(registry, group, version)
    reviews = REVIEWS.get((group, version), ())
    if not kinds and not reviews:
        return None
    resources: list[Object] = []
    for kind in kinds:
        resources.append(_resource(kind))
        resources += [_subresource(kind, version, name) for name in subresources(kind)]
    for plural, name, namespaced in reviews:
        resources.append(
            {
                "name": plural,
                "singularName": name.lower(),
                "namespaced": namespaced,
                "kind": name,
                "verbs": list(_REVIEW_VERBS),
            }
        )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }


def subresources(kind: ServedKind) -> list[str]:
    """The subresources of a kind, by name."""
    found = set(kind.subresources)
    if kind.status:
        found.add("status")
    if kind.scale:
        found.add("scale")
    return sorted(found)


def _resource(kind: ServedKind) -> Object:
    resource: Object = {
        "name": kind.plural,
        "singularName": kind.called,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    return resource


def _subresource(kind: ServedKind, version: str, name: str) -> Object:
    group, inner, what, verbs = _SUBRESOURCE_KINDS.get(
        name, (kind.group, version, kind.kind, _STATUS_VERBS)
    )
    resource: Object = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": what,
        "verbs": list(verbs),
    }
    if (group, inner) != (kind.group, version):
        resource |= {"group": group, "version": inner}
    return resource


def aggregated(registry: Registry, core: bool, api: str) -> Object:
    """`/api` or `/apis` as an APIGroupDiscoveryList of a version of `apidiscovery.k8s.io`."""
    groups = group_versions(registry)
    names = [""] if core else sorted(name for name in groups if name)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{api}",
        "metadata": {},
        "items": [_discovered_group(registry, name, groups[name]) for name in names],
    }


def _discovered_group(registry: Registry, group: str, versions: Iterable[str]) -> Object:
    return {
        "metadata": {"name": group, "creationTimestamp": None} if group else {},
        "versions": [_discovered_version(registry, group, version) for version in versions],
    }


def _discovered_version(registry: Registry, group: str, version: str) -> Object:
    resources = [_discovered(kind, version) for kind in kinds_of(registry, group, version)]
    for plural, name, namespaced in REVIEWS.get((group, version), ()):
        resources.append(
            {
                "resource": plural,
                "responseKind": {"group": group, "version": version, "kind": name},
                "scope": "Namespaced" if namespaced else "Cluster",
                "singularResource": name.lower(),
                "verbs": list(_REVIEW_VERBS),
            }
        )
    return {"version": version, "resources": resources, "freshness": "Current"}


def _discovered(kind: ServedKind, version: str) -> Object:
    found: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.called,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    inner = []
    for name in subresources(kind):
        group, inner_version, what, verbs = _SUBRESOURCE_KINDS.get(
            name, (kind.group, version, kind.kind, _STATUS_VERBS)
        )
        inner.append(
            {
                "subresource": name,
                "responseKind": {"group": group, "version": inner_version, "kind": what},
                "verbs": list(verbs),
            }
        )
    if inner:
        found["subresources"] = inner
    return found
