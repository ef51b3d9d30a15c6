"""A model of the API server, just enough to carry plans out: uids, versions, merge patches."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight import names
from pilotlight.config.deployment import Deployment
from pilotlight.config.domain import Domain, DomainRule
from pilotlight.config.network import Network
from pilotlight.kube.resources import (
    DEPLOYMENTS,
    INGRESSES,
    POD_AUTOSCALERS,
    PODS,
    REVISIONS,
    SECRETS,
    SERVICES,
    Resource,
)
from pilotlight_operator.index import Index
from pilotlight_operator.objects import Key, Obj, belongs_to, key_of, uid_of
from pilotlight_operator.plan import Root, plan
from pilotlight_operator.planner import Action, Create, Delete, Plan, SetStatus, Target, World
from pilotlight_operator.refusal import Refusal, not_owned
from pilotlight_operator.settings import Settings
from pilotlight_operator.status.ingress import Served

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMESPACE = "default"
MASTER_KEY = bytes(range(32))

SETTINGS = Settings(
    deployment=Deployment(queue_sidecar_image="pilotlight.dev/queue-proxy:test"),
    domain=Domain((DomainRule("example.com"),)),
    network=Network(ingress_class=names.INGRESS_CLASS),
)


def service(name: str = "hello", **spec: Any) -> Obj:
    """A Service as defaulting leaves it."""
    template: Obj = {
        "spec": {
            "containers": [
                {
                    "name": "user-container",
                    "image": "example.com/hello",
                    "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
                }
            ],
            "containerConcurrency": 0,
            "timeoutSeconds": 300,
            "enableServiceLinks": False,
        }
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {names.CREATOR_ANNOTATION: "me", names.LAST_MODIFIER_ANNOTATION: "me"},
        },
        "spec": {
            "template": template,
            "traffic": [{"latestRevision": True, "percent": 100}],
            **spec,
        },
    }


class Cluster:
    """Objects in an index, and what a reconcile does to them."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.index = Index()
        self.world = World(
            index=self.index,
            settings=settings,
            master_key=MASTER_KEY,
            now=NOW,
            # So late that no status waits for better news.
            clock=1e9,
        )
        self.secrets: dict[Key, Obj] = {}
        self.hidden: dict[tuple[Resource, Key], Obj] = {}
        """What no watch shows, since it lacks the label."""
        self.deferrals = False
        self._version = 0

    def add(self, resource: Resource, obj: Obj) -> Obj:
        obj = copy.deepcopy(obj)
        self._version += 1
        metadata = obj["metadata"]
        metadata.setdefault("namespace", NAMESPACE)
        metadata["uid"] = f"uid-{self._version}"
        metadata["resourceVersion"] = str(self._version)
        metadata["generation"] = 1
        if resource is SECRETS:
            self.secrets[key_of(obj)] = obj
        else:
            assert self.index.put(resource, obj)
        return obj

    def hide(self, resource: Resource, obj: Obj) -> Obj:
        """Add an object that is there, but not known."""
        made = self.add(resource, obj)
        self.index.remove(resource, made)
        self.hidden[resource, key_of(made)] = made
        return made

    def everything(self, resource: Resource) -> list[tuple[Key, Obj]]:
        """All objects of a kind, hidden ones included."""
        cache = self.index.cache(resource)
        found = {key: obj for (kind, key), obj in self.hidden.items() if kind is resource}
        found |= {key: obj for key in cache if (obj := cache.get(key)) is not None}
        return sorted(found.items())

    def change(self, resource: Resource, key: Key, patch: Obj) -> Obj:
        """A merge patch, as a user or the operator sends it."""
        before = self.get(resource, key.name)
        after: Obj = merged(before, patch)
        self._version += 1
        after["metadata"]["resourceVersion"] = str(self._version)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        assert self.index.put(resource, after)
        return after

    def remove(self, resource: Resource, name: str) -> None:
        assert self.index.remove(resource, self.get(resource, name))

    def get(self, resource: Resource, name: str) -> Obj:
        obj = self.index.get(resource, NAMESPACE, name)
        assert obj is not None, f"{resource.plural} {name} does not exist"
        return obj

    def plan(self, resource: Resource = SERVICES, name: str = "hello", **world: Any) -> Plan:
        settled: dict[str, Any] = {"deferred_since": _Always()} if not self.deferrals else {}
        return plan(Root(resource, Key(NAMESPACE, name)), replace(self.world, **settled, **world))

    def reconcile(
        self,
        resource: Resource = SERVICES,
        name: str = "hello",
        refuse: dict[Target, Refusal] | None = None,
    ) -> Plan:
        """Carry out plans until there is nothing more to write; returns the last that had work."""
        refusals: dict[Target, Refusal] = {}
        ensured: set[Target] = set()
        for _ in range(10):
            planned = self.plan(resource, name, refusals=refusals, ensured=ensured)
            for action in planned.children:
                target = _target(action)
                if refuse and target in refuse:
                    refusals[target] = refuse[target]
                elif isinstance(action, Create) and target in self.hidden:
                    self._find(action, refusals)
                else:
                    self._act(action, ensured)
            if not planned.children:
                for status in planned.statuses:
                    self._set_status(status)
                return planned
        raise AssertionError("the plans do not come to an end")

    def set_status(self, resource: Resource, name: str, **status: Any) -> None:
        """What another component, or Kubernetes, says about an object."""
        before = self.get(resource, name)
        self._version += 1
        after = copy.deepcopy(before)
        after["status"] = {**(after.get("status") or {}), **status}
        after["metadata"]["resourceVersion"] = str(self._version)
        assert self.index.put(resource, after)

    def scaled(self, revision: str = "hello-00001") -> None:
        """The autoscaler has seen the first pod of a Revision ready."""
        conditions = [
            {"type": kind, "status": "True"}
            for kind in ("Active", "Ready", "SKSReady", "ScaleTargetInitialized")
        ]
        self.set_status(
            POD_AUTOSCALERS,
            revision,
            observedGeneration=1,
            conditions=conditions,
            actualScale=1,
            desiredScale=1,
        )

    def serve(self) -> None:
        """Every gateway serves every Ingress as it is."""
        self.world = replace(self.world, served=_Everywhere())

    def settle(self, revision: str = "hello-00001") -> None:
        """From a new Service to one that is ready."""
        self.serve()
        self.reconcile()
        self.scaled(revision)
        self.reconcile()

    def add_pod(self, revision: str, status: Obj) -> Obj:
        labels = {
            names.REVISION_LABEL: revision,
            names.REVISION_UID_LABEL: uid_of(self.get(REVISIONS, revision)),
        }
        pod = {"metadata": {"name": f"{revision}-pod", "labels": labels}, "status": status}
        return self.add(PODS, pod)

    def _find(self, action: Create, refusals: dict[Target, Refusal]) -> None:
        """As the applier does when a name is in use."""
        target = (action.resource, key_of(action.obj))
        found = self.hidden[target]
        if belongs_to(found, action.parent):
            self.index.revive(found)
            assert self.index.put(action.resource, found)
            del self.hidden[target]
        else:
            refusals[target] = not_owned(action.resource.kind, key_of(found).name)

    def _act(self, action: Action, ensured: set[Target]) -> None:
        match action:
            case Create():
                self.add(action.resource, action.obj)
                if action.optional:
                    ensured.add((action.resource, key_of(action.obj)))
            case Delete():
                assert self.index.remove(action.resource, action.observed)
            case _:
                self.change(action.resource, key_of(action.observed), action.patch)

    def _set_status(self, action: SetStatus) -> None:
        self.change(action.resource, key_of(action.observed), action.patch)


def merged(before: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    after = dict(copy.deepcopy(before)) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = merged(after.get(key), value)
    return after


def conditions(obj: Obj) -> dict[str, tuple[str, str, str]]:
    """By type: status, reason, message."""
    return {
        c["type"]: (c["status"], c.get("reason", ""), c.get("message", ""))
        for c in obj["status"]["conditions"]
    }


def written(planned: Plan) -> list[str]:
    """What a plan would write, in short."""
    lines = [
        f"{type(action).__name__} {_target(action)[0].kind} {_target(action)[1].name}"
        for action in planned.children
    ]
    lines += [f"SetStatus {s.resource.kind} {key_of(s.observed).name}" for s in planned.statuses]
    return sorted(lines)


def _target(action: Action) -> Target:
    if isinstance(action, Create):
        return action.resource, key_of(action.obj)
    return action.resource, key_of(action.observed)


class _Everywhere(dict[str, Served]):
    def get(self, key: str, default: Any = None) -> Any:
        return Served(1, 1)


class _Always(dict[Target, float]):
    """Every status has waited long enough."""

    def get(self, key: Target, default: Any = None) -> Any:
        return 0.0


__all__ = ["DEPLOYMENTS", "INGRESSES", "Cluster", "conditions", "merged", "service", "written"]
