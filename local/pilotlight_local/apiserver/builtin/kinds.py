"""The built-in resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pilotlight_local.apiserver.errors import Cause, bad_request
from pilotlight_local.apiserver.kinds import VERBS, ScalePaths, ServedKind
from pilotlight_local.apiserver.shapes import Shape
from pilotlight_local.apiserver.values import Object, without_nulls

from .defaults import default_object
from .models import unknown_fields
from .prepare import prepare_object
from .shapes import shape_of
from .validate import validate_object


class BuiltinStrategy:
    """How objects of one built-in kind are written."""

    def __init__(self, group: str, kind: str) -> None:
        self._group = group
        self._kind = kind
        self._shape = shape_of(kind)

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        found = unknown_fields(self._group, version, self._kind, obj) if wants_unknown else []
        cleaned = without_nulls(obj)
        obj.clear()
        obj.update(cleaned)
        obj.setdefault("metadata", {})
        return found

    def default(self, obj: Object, version: str) -> None:
        default_object(self._kind, obj)

    def prepare(self, obj: Object, old: Object | None) -> None:
        prepare_object(self._kind, obj, old)

    def validate(self, obj: Object, old: Object | None, version: str) -> list[Cause]:
        return validate_object(self._kind, obj, old)

    def shape(self, version: str) -> Shape:
        return self._shape

    def present(self, obj: Object, version: str) -> Object:
        return obj


class ServiceStrategy(BuiltinStrategy):
    """Services also get an address of their own."""

    def __init__(self, allocate: Callable[[], str]) -> None:
        super().__init__("", "Service")
        self._allocate = allocate

    def prepare(self, obj: Object, old: Object | None) -> None:
        super().prepare(obj, old)
        spec = obj.setdefault("spec", {})
        if spec.get("type") == "ExternalName":
            return
        before = (old or {}).get("spec", {})
        address = spec.get("clusterIP") or before.get("clusterIP") or self._allocate()
        spec["clusterIP"] = address
        spec.setdefault("clusterIPs", [address])


class LeaseStrategy(BuiltinStrategy):
    """Leases carry times with exactly six digits of the second, and no strategy: that fields of it
    are dropped is what an API server does whose features are as they come.
    """

    _LAYOUT: Final = "2006-01-02T15:04:05.000000Z07:00"
    _TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?")
    _ZONE: Final = re.compile(r"Z|[+-]\d\d:\d\d")

    def __init__(self) -> None:
        super().__init__("coordination.k8s.io", "Lease")

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        found = super().decode(obj, version, wants_unknown)
        spec = obj.get("spec")
        if isinstance(spec, dict):
            for name in ("strategy", "preferredHolder"):
                spec.pop(name, None)
            for name in ("acquireTime", "renewTime"):
                if isinstance(spec.get(name), str):
                    spec[name] = self._moment(spec[name], version)
        return found

    def _moment(self, text: str, version: str) -> str:
        """The same in UTC; 400 for what is no such time."""
        time = self._TIME.match(text)
        rest, wanted = (text, "2006") if time is None else (text[time.end() :], "Z07:00")
        if time is not None and time[1] is None:
            wanted = ".000000"
        elif time is not None and self._ZONE.fullmatch(rest):
            moment = datetime.fromisoformat(text).astimezone(UTC)
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        raise bad_request(
            f'Lease in version "{version}" cannot be handled as a Lease: parsing time "{text}" as'
            f' "{self._LAYOUT}": cannot parse "{rest}" as "{wanted}"'
        )


class EventStrategy(BuiltinStrategy):
    """`events.k8s.io` events are core events with other names of fields."""

    _NAMES: Final = (
        ("note", "message"),
        ("regarding", "involvedObject"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("reportingController", "reportingComponent"),
    )

    def __init__(self) -> None:
        super().__init__("events.k8s.io", "Event")

    def decode(self, obj: Object, version: str, wants_unknown: bool) -> list[str]:
        found = super().decode(obj, version, wants_unknown)
        for ours, stored in self._NAMES:
            if ours in obj:
                obj[stored] = obj.pop(ours)
        obj["apiVersion"] = "v1"
        return found

    def present(self, obj: Object, version: str) -> Object:
        names = {stored: ours for ours, stored in self._NAMES}
        seen = {names.get(name, name): value for name, value in obj.items()}
        seen["apiVersion"] = "events.k8s.io/v1"
        return seen


@dataclass(frozen=True, slots=True)
class _Row:
    group: str
    version: str
    plural: str
    kind: str
    options: dict[str, Any]


def _rows(group: str, version: str, *rows: tuple[str, str, dict[str, Any]]) -> Iterator[_Row]:
    for plural, kind, options in rows:
        yield _Row(group, version, plural, kind, options)


_REPLICAS: Final = ScalePaths(selector=("spec", "selector"))
_CLUSTER: Final[dict[str, Any]] = {"namespaced": False}
_STATUS: Final[dict[str, Any]] = {"status": True}
_PLAIN: Final[dict[str, Any]] = {"generation": False}


def _workload(*short: str, scale: bool = True) -> dict[str, Any]:
    return {
        "status": True,
        "short_names": short,
        "categories": ("all",),
        "scale": _REPLICAS if scale else None,
    }


_TABLE: Final = (
    *_rows(
        "",
        "v1",
        ("namespaces", "Namespace", {**_CLUSTER, **_PLAIN, **_STATUS, "short_names": ("ns",),
                                     "subresources": ("finalize",)}),
        ("nodes", "Node", {**_CLUSTER, **_PLAIN, **_STATUS, "short_names": ("no",)}),
        ("pods", "Pod", {"status": True, "short_names": ("po",), "categories": ("all",),
                         "subresources": ("log", "binding", "eviction")}),
        ("services", "Service", {**_PLAIN, **_STATUS, "short_names": ("svc",),
                                 "categories": ("all",)}),
        ("endpoints", "Endpoints", {**_PLAIN, "short_names": ("ep",), "singular": "endpoints"}),
        ("configmaps", "ConfigMap", {**_PLAIN, "short_names": ("cm",)}),
        ("secrets", "Secret", _PLAIN),
        ("events", "Event", {**_PLAIN, "short_names": ("ev",)}),
        ("serviceaccounts", "ServiceAccount", {**_PLAIN, "short_names": ("sa",),
                                               "subresources": ("token",)}),
        ("persistentvolumeclaims", "PersistentVolumeClaim",
         {**_PLAIN, **_STATUS, "short_names": ("pvc",)}),
        ("persistentvolumes", "PersistentVolume",
         {**_CLUSTER, **_PLAIN, **_STATUS, "short_names": ("pv",)}),
        ("resourcequotas", "ResourceQuota", {**_PLAIN, **_STATUS, "short_names": ("quota",)}),
        ("limitranges", "LimitRange", {**_PLAIN, "short_names": ("limits",)}),
        ("podtemplates", "PodTemplate", _PLAIN),
        ("replicationcontrollers", "ReplicationController", _workload("rc")),
    ),
    *_rows(
        "apps",
        "v1",
        ("deployments", "Deployment", _workload("deploy")),
        ("replicasets", "ReplicaSet", _workload("rs")),
        ("statefulsets", "StatefulSet", _workload("sts")),
        ("daemonsets", "DaemonSet", _workload("ds", scale=False)),
        ("controllerrevisions", "ControllerRevision", _PLAIN),
    ),
    *_rows(
        "batch",
        "v1",
        ("jobs", "Job", _workload(scale=False)),
        ("cronjobs", "CronJob", _workload("cj", scale=False)),
    ),
    *_rows("discovery.k8s.io", "v1", ("endpointslices", "EndpointSlice", {})),
    *_rows(
        "coordination.k8s.io",
        "v1",
        ("leases", "Lease", {**_PLAIN, "versioned": True, "made_by_update": True}),
    ),
    *_rows(
        "autoscaling",
        "v2",
        ("horizontalpodautoscalers", "HorizontalPodAutoscaler",
         {**_PLAIN, **_STATUS, "short_names": ("hpa",), "categories": ("all",)}),
    ),
    *_rows(
        "policy",
        "v1",
        ("poddisruptionbudgets", "PodDisruptionBudget", {**_STATUS, "short_names": ("pdb",)}),
    ),
    *_rows(
        "rbac.authorization.k8s.io",
        "v1",
        ("clusterroles", "ClusterRole", {**_CLUSTER, **_PLAIN}),
        ("clusterrolebindings", "ClusterRoleBinding", {**_CLUSTER, **_PLAIN}),
        ("roles", "Role", _PLAIN),
        ("rolebindings", "RoleBinding", _PLAIN),
    ),
    *_rows(
        "networking.k8s.io",
        "v1",
        ("networkpolicies", "NetworkPolicy", {"short_names": ("netpol",)}),
        ("ingresses", "Ingress", {**_STATUS, "short_names": ("ing",)}),
        ("ingressclasses", "IngressClass", _CLUSTER),
    ),
    *_rows(
        "storage.k8s.io",
        "v1",
        ("storageclasses", "StorageClass", {**_CLUSTER, **_PLAIN, "short_names": ("sc",)}),
    ),
    *_rows(
        "scheduling.k8s.io",
        "v1",
        ("priorityclasses", "PriorityClass", {**_CLUSTER, "short_names": ("pc",)}),
    ),
    *_rows(
        "admissionregistration.k8s.io",
        "v1",
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration",
         {**_CLUSTER, "categories": ("api-extensions",)}),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration",
         {**_CLUSTER, "categories": ("api-extensions",)}),
    ),
)  # fmt: skip


def builtin_kinds(allocate_address: Callable[[], str]) -> Iterator[ServedKind]:
    """The resources that are always served, but for CustomResourceDefinitions."""
    special: dict[str, BuiltinStrategy] = {
        "Service": ServiceStrategy(allocate_address),
        "Lease": LeaseStrategy(),
    }
    for row in _TABLE:
        strategy = special.get(row.kind) or BuiltinStrategy(row.group, row.kind)
        options = {"namespaced": True, **row.options}
        yield ServedKind(
            row.group, (row.version,), row.plural, row.kind, strategy=strategy, **options
        )
    yield ServedKind(
        "events.k8s.io",
        ("v1",),
        "events",
        "Event",
        namespaced=True,
        strategy=EventStrategy(),
        short_names=("ev",),
        generation=False,
        verbs=VERBS,
        stored_as=("", "events"),
    )
