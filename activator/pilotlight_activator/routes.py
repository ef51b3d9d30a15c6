"""Which Revision serves a request: Ingress objects in, a routing table out.

An Ingress is compiled once into immutable rules; the table finds the rules of a host, the path
rule of a request, and a split's target for a point that the caller draws.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pilotlight import names
from pilotlight.http.fields import HOP_BY_HOP

_GOLDEN_SECTION: Final = (5**0.5 - 1) / 2

HeaderIndex = Mapping[bytes, bytes]
"""The first value of each header, by its name in lower case."""


class EvenPoints:
    """Points in [0, 1) that fill it as evenly as can be, however few are taken: each is one golden
    section after the one before (the additive recurrence of least discrepancy). A 90/10 split is
    so exact after some dozens of requests, where independent draws need thousands.
    """

    __slots__ = ("_at",)

    def __init__(self, start: float) -> None:
        self._at = start

    def __call__(self) -> float:
        self._at = (self._at + _GOLDEN_SECTION) % 1.0
        return self._at


class Scope(Enum):
    """From where a request has come."""

    EXTERNAL = "external"
    LOCAL = "local"
    """From within the cluster: it may use what is exposed to the outside too."""


_TARGET_HEADERS: Final = frozenset(
    name.lower() for name in (names.REVISION_HEADER, names.NAMESPACE_HEADER)
)
OURS: Final = HOP_BY_HOP | frozenset(
    name.lower().encode()
    for name in (
        names.REVISION_HEADER,
        names.NAMESPACE_HEADER,
        names.PROXY_HEADER,
        names.HASH_HEADER,
        "X-Forwarded-For",
    )
)
"""What never goes on to a pod as it came; `X-Forwarded-For` is written anew."""
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_EXTERNAL: Final = "ExternalIP"
_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Target:
    """The end of a split."""

    revision: str | None
    """`namespace/name`; None when the split leads to a Service that is no Revision."""
    service: str
    """`namespace/name` of the Service that the split names."""
    append: tuple[tuple[bytes, bytes], ...]
    """Headers to set on the request, the path's own included."""
    drop: frozenset[bytes]
    """Headers to leave out, in lower case: those of one connection, ours, and those set anew."""
    until: float
    """The upper end of the target's share of [0, 1)."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """What happens to requests below a path."""

    prefix: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """Name in lower case and exact value; all must match."""
    rewrite_host: bytes | None
    targets: tuple[Target, ...]

    def choose(self, draw: Callable[[], float]) -> Target:
        """The target whose share holds the point in [0, 1) that is drawn, if there are several."""
        targets = self.targets
        if len(targets) == 1:
            return targets[0]
        point = draw()
        for target in targets:
            if point < target.until:
                return target
        return targets[-1]


@dataclass(frozen=True, slots=True)
class HostRules:
    """All rules that one Ingress has for a host."""

    ingress: str
    """`namespace/name`."""
    digest: bytes
    """The hash by which a prober recognises the Ingress's version."""
    paths: tuple[PathRule, ...]
    """Longest prefix first, then most headers first."""

    def match(self, path: bytes, headers: HeaderIndex) -> PathRule | None:
        """The rule for a request's path (with or without its query) and headers."""
        for rule in self.paths:
            if path.startswith(rule.prefix) and (
                not rule.headers or all(headers.get(name) == value for name, value in rule.headers)
            ):
                return rule
        return None


@dataclass(frozen=True, slots=True)
class CompiledIngress:
    """An Ingress, ready for the table."""

    key: str
    rank: tuple[str, str]
    """Orders the claims on one host: the oldest Ingress has it, then the first by name."""
    local: Mapping[str, HostRules] = field(default_factory=dict)
    external: Mapping[str, HostRules] = field(default_factory=dict)


def compile_ingress(ingress: Mapping[str, Any], digest: str) -> CompiledIngress:
    """Compiles an Ingress object of the API.

    Args:
        ingress: the object.
        digest: the hash of its version, given back to probers.
    """
    metadata = ingress["metadata"]
    key = f"{metadata.get('namespace', '')}/{metadata['name']}"
    local: dict[str, list[PathRule]] = {}
    external: dict[str, list[PathRule]] = {}
    for rule in (ingress.get("spec") or {}).get("rules") or ():
        http = rule.get("http") or {}
        compiled = [_compile_path(path) for path in http.get("paths") or () if path.get("splits")]
        is_external = (rule.get("visibility") or _EXTERNAL) == _EXTERNAL
        for host in rule.get("hosts") or ():
            (external if is_external else local).setdefault(normal_host(host), []).extend(compiled)
    return CompiledIngress(
        key,
        (metadata.get("creationTimestamp") or "", key),
        _host_rules(local, key, digest),
        _host_rules(external, key, digest),
    )


def is_ours(ingress: Mapping[str, Any]) -> bool:
    """Whether an Ingress is of Pilotlight's class."""
    annotations = ingress["metadata"].get("annotations") or {}
    class_ = annotations.get(names.INGRESS_CLASS_ANNOTATION) or annotations.get(
        names.INGRESS_CLASS_ANNOTATION_ALT
    )
    return bool(class_ == names.INGRESS_CLASS)


def normal_host(host: str) -> str:
    """A host as the table spells it: lower case, no port, no trailing dot."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


class RoutingTable:
    """The hosts of all Ingresses."""

    def __init__(self) -> None:
        self._ingresses: dict[str, CompiledIngress] = {}
        self._claims: dict[tuple[Scope, str], list[CompiledIngress]] = {}
        self._external: dict[str, HostRules] = {}
        self._local: dict[str, HostRules] = {}

    def __len__(self) -> int:
        return len(self._ingresses)

    def replace(self, ingress: CompiledIngress) -> None:
        """Adds an Ingress, or takes over its new version."""
        self.remove(ingress.key)
        self._ingresses[ingress.key] = ingress
        for scope, host in _hosts(ingress):
            claims = self._claims.setdefault((scope, host), [])
            claims.append(ingress)
            claims.sort(key=_rank)
            self._settle(scope, host)

    def remove(self, key: str) -> None:
        """Forgets an Ingress; nothing happens when it is unknown."""
        ingress = self._ingresses.pop(key, None)
        if ingress is None:
            return
        for scope, host in _hosts(ingress):
            claims = self._claims[scope, host]
            claims.remove(ingress)
            if not claims:
                del self._claims[scope, host]
            self._settle(scope, host)

    def find(self, host: str, scope: Scope) -> HostRules | None:
        """The rules of a host in the form of `normal_host`."""
        if scope is Scope.EXTERNAL:
            return self._external.get(host)
        return self._local.get(host) or self._external.get(host)

    def _settle(self, scope: Scope, host: str) -> None:
        table = self._external if scope is Scope.EXTERNAL else self._local
        claims = self._claims.get((scope, host))
        if claims:
            first = claims[0]
            table[host] = (first.external if scope is Scope.EXTERNAL else first.local)[host]
        else:
            table.pop(host, None)


def revision_of_host(host: str) -> str | None:
    """`namespace/name` of the Service that a cluster-internal host names, None for others.

    The public Service of a Revision is called like the Revision, so the name may be one's.
    """
    parts = host.split(".")
    if len(parts) < 2 or (len(parts) > 2 and parts[2] != "svc"):
        return None
    return f"{parts[1]}/{parts[0]}"


def _compile_path(path: Mapping[str, Any]) -> PathRule:
    rewrite = path.get("rewriteHost")
    headers = path.get("headers") or {}
    return PathRule(
        prefix=(path.get("path") or "").encode("latin-1", "replace"),
        headers=tuple(
            (name.lower().encode(), str((match or {}).get("exact", "")).encode())
            for name, match in headers.items()
        ),
        rewrite_host=rewrite.encode() if rewrite else None,
        targets=_compile_splits(path["splits"], path.get("appendHeaders") or {}),
    )


def _compile_splits(
    splits: Sequence[Mapping[str, Any]], path_append: Mapping[str, str]
) -> tuple[Target, ...]:
    percents = [float(split.get("percent") or 0) for split in splits]
    if len(splits) == 1 or not any(percents):
        percents = [_WHOLE / len(splits)] * len(splits)
    total = sum(percents)
    targets: list[Target] = []
    reached = 0.0
    for split, percent in zip(splits, percents, strict=True):
        if percent <= 0:
            continue
        reached += percent
        targets.append(_compile_split(split, path_append, reached / total))
    return tuple(targets)


def _compile_split(
    split: Mapping[str, Any], path_append: Mapping[str, str], until: float
) -> Target:
    own = split.get("appendHeaders") or {}
    append = {**path_append, **own}
    lower = {name.lower(): value for name, value in append.items()}
    revision = lower.get(names.REVISION_HEADER.lower())
    namespace = lower.get(names.NAMESPACE_HEADER.lower()) or split.get("serviceNamespace", "")
    sent = tuple(
        (name.encode(), str(value).encode("latin-1", "replace"))
        for name, value in append.items()
        if name.lower() not in _TARGET_HEADERS and _is_field(name, str(value))
    )
    return Target(
        revision=f"{namespace}/{revision}" if revision else None,
        service=f"{split.get('serviceNamespace', '')}/{split.get('serviceName', '')}",
        append=sent,
        drop=OURS.union(name.lower() for name, _ in sent),
        until=until,
    )


def _host_rules(found: Mapping[str, list[PathRule]], key: str, digest: str) -> dict[str, HostRules]:
    return {
        host: HostRules(key, digest.encode(), tuple(sorted(paths, key=_specificity)))
        for host, paths in found.items()
        if paths
    }


def _is_field(name: str, value: str) -> bool:
    """Whether a header can be sent: what could break out of its line is left out."""
    return bool(_FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value))


def _specificity(rule: PathRule) -> tuple[int, int]:
    return -len(rule.prefix), -len(rule.headers)


def _hosts(ingress: CompiledIngress) -> list[tuple[Scope, str]]:
    return [(Scope.LOCAL, host) for host in ingress.local] + [
        (Scope.EXTERNAL, host) for host in ingress.external
    ]


def _rank(ingress: CompiledIngress) -> tuple[str, str]:
    return ingress.rank
