"""The EndpointSlice controller: where a Service's pods are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pilotlight import names
from pilotlight.kube.resources import CORE_SERVICES, ENDPOINT_SLICES, PODS
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.endpoints import MANAGED_BY_LABEL, MANAGER, endpoint_slices
from pilotlight_local.controllers.index import key_of
from pilotlight_local.controllers.objects import Object, matches
from pilotlight_local.controllers.workqueue import Controller, Key


class EndpointSlices:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.controller = Controller("endpointslice", self._reconcile)
        self._selectors: dict[str, dict[str, dict[str, str]]] = {}
        self._unsubscribe: list[Callable[[], None]] = [
            cluster.subscribe(CORE_SERVICES, self._on_service),
            cluster.subscribe(PODS, self._on_pod),
            cluster.subscribe(ENDPOINT_SLICES, self._on_slice),
        ]
        for service in cluster.list(CORE_SERVICES):
            self._on_service("ADDED", service, None)

    def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def _on_service(self, type_: str, obj: Object, _old: Object | None) -> None:
        namespace, name = key_of(obj)
        selector = obj["spec"].get("selector") if type_ != "DELETED" else None
        if selector:
            self._selectors.setdefault(namespace, {})[name] = selector
        else:
            self._selectors.get(namespace, {}).pop(name, None)
        self.controller.enqueue((namespace, name))

    def _on_pod(self, _type: str, obj: Object, old: Object | None) -> None:
        namespace = obj["metadata"]["namespace"]
        labels = obj["metadata"].get("labels")
        before = old["metadata"].get("labels") if old is not None else None
        for name, selector in self._selectors.get(namespace, {}).items():
            if matches(selector, labels) or (before != labels and matches(selector, before)):
                self.controller.enqueue((namespace, name))

    def _on_slice(self, type_: str, obj: Object, _old: Object | None) -> None:
        """Somebody else may have changed or removed one of ours."""
        labels = obj["metadata"].get("labels") or {}
        service = labels.get(names.ENDPOINT_SLICE_SERVICE_LABEL)
        if service and labels.get(MANAGED_BY_LABEL) == MANAGER and type_ != "ADDED":
            self.controller.enqueue((obj["metadata"]["namespace"], service))

    async def _reconcile(self, key: Key) -> float | None:
        namespace, name = key
        existing = self._existing(namespace, name)
        service = self._cluster.get(CORE_SERVICES, namespace, name)
        desired: list[dict[str, Any]] = []
        if service is not None:
            desired = endpoint_slices(service, self._cluster.list(PODS, namespace))
        wanted = {s["metadata"]["name"]: s for s in desired}
        for slice_name, made in wanted.items():
            await self._write(made, existing.get(slice_name))
        for slice_name in existing.keys() - wanted.keys():
            try:
                await self._cluster.delete(ENDPOINT_SLICES, namespace, slice_name)
            except ApiError as error:
                if error.status != 404:
                    raise
        return None

    def _existing(self, namespace: str, service: str) -> dict[str, Object]:
        selector = {names.ENDPOINT_SLICE_SERVICE_LABEL: service, MANAGED_BY_LABEL: MANAGER}
        return {
            found["metadata"]["name"]: found
            for found in self._cluster.list(ENDPOINT_SLICES, namespace)
            if matches(selector, found["metadata"].get("labels"))
        }

    async def _write(self, made: dict[str, Any], existing: Object | None) -> None:
        if existing is None:
            await self._cluster.create(ENDPOINT_SLICES, made)
            return
        same = all(existing.get(key) == made[key] for key in ("endpoints", "ports"))
        metadata = existing["metadata"]
        if same and metadata.get("labels") == made["metadata"]["labels"]:
            return
        kept = {k: v for k, v in metadata.items() if k != "resourceVersion"}
        obj = {**made, "metadata": {**kept, **made["metadata"]}}
        await self._cluster.update(ENDPOINT_SLICES, obj)
