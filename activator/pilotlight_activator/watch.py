"""The gateway's view of the API: informers feed the routing table and the backends.

The only module here that speaks to the Kubernetes API. When the API cannot be reached everything
stays as it was, and `connected` says so.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotlight import names
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.errors import ApiError
from pilotlight.kube.informer import Change, Informer
from pilotlight.kube.resources import ENDPOINT_SLICES, INGRESSES, REVISIONS, SECRETS
from pilotlight_activator.backends import Backends
from pilotlight_activator.objects import (
    read_addresses,
    read_revision,
    read_slice,
    revision_of_slice,
)
from pilotlight_activator.pods import Endpoint
from pilotlight_activator.routes import RoutingTable, compile_ingress, is_ours

_log: Final = logging.getLogger("watch")

Json = Mapping[str, Any]

KEY_RETRY_S: Final = 0.2
KEY_REFRESH_S: Final = 60.0
EXPIRE_S: Final = 1.0


class Slices:
    """The EndpointSlices of Revisions: each change gives the whole list of a Revision's pods."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._by_revision: dict[str, dict[str, list[Endpoint]]] = {}

    def changed(self, obj: Json) -> None:
        key = revision_of_slice(obj)
        if key is not None:
            slices = self._by_revision.setdefault(key, {})
            slices[obj["metadata"]["name"]] = read_slice(obj)
            self._tell(key, slices)

    def deleted(self, obj: Json) -> None:
        key = revision_of_slice(obj)
        slices = self._by_revision.get(key or "")
        if key is None or slices is None:
            return
        slices.pop(obj["metadata"]["name"], None)
        self._tell(key, slices)
        if not slices:
            del self._by_revision[key]

    def tell(self, key: str) -> None:
        """Tells once more what is known of a Revision's pods: it is new, or was made anew."""
        slices = self._by_revision.get(key)
        if slices is not None:
            self._tell(key, slices)

    def _tell(self, key: str, slices: Mapping[str, list[Endpoint]]) -> None:
        self._backends.listed(key, [endpoint for found in slices.values() for endpoint in found])


@dataclass(frozen=True, slots=True)
class Place:
    """Where this activator stands."""

    namespace: str
    """The system namespace."""
    address: str
    """This activator's own, among those of its Service."""


class Watch:
    """Follows the API.

    Args:
        client: of the API.
        table: gets the routes.
        backends: get Revisions, their pods, and the other activators.
        place: where we are.
    """

    def __init__(
        self, client: KubeClient, table: RoutingTable, backends: Backends, place: Place
    ) -> None:
        self.master: bytes | None = None
        """The key that greetings are signed with, None while it is not known."""
        self.on_deleted: Callable[[str], None] = _nobody
        """Called with the key of a Revision that has been deleted."""
        self._client = client
        self._table = table
        self._backends = backends
        self._place = place
        self._slices = Slices(backends)
        self._key_known = asyncio.Event()
        self._ingresses = Informer(client, INGRESSES)
        self._revisions = Informer(client, REVISIONS)
        self._pods = Informer(client, ENDPOINT_SLICES, label_selector=names.REVISION_LABEL)
        self._activators = Informer(
            client,
            ENDPOINT_SLICES,
            namespace=place.namespace,
            label_selector=f"{names.ENDPOINT_SLICE_SERVICE_LABEL}={names.ACTIVATOR_SERVICE}",
        )
        self._ingresses.on_event(self._on_ingress)
        self._revisions.on_event(self._on_revision)
        self._pods.on_event(self._on_slice)
        self._activators.on_event(self._on_activator)

    @property
    def has_synced(self) -> bool:
        """Whether everything has been seen once."""
        return all(informer.has_synced for informer in self._informers)

    @property
    def connected(self) -> bool:
        """Whether the API can be reached now."""
        return all(informer.connected for informer in self._informers)

    async def synced(self) -> None:
        """Waits until everything has been seen once."""
        await asyncio.gather(*(informer.synced() for informer in self._informers))

    async def key_known(self) -> bytes:
        """Waits for the master key."""
        await self._key_known.wait()
        assert self.master is not None
        return self.master

    async def run(self) -> None:
        """Follows the API until cancelled; keeps what is known while the API is away."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run(), name=f"watch {informer.resource.plural}")
            group.create_task(self._read_key(), name="read the master key")
            group.create_task(self._expire(), name="expire pods")

    @property
    def _informers(self) -> tuple[Informer, ...]:
        return self._ingresses, self._revisions, self._pods, self._activators

    async def _read_key(self) -> None:
        """Follows the key; it only changes when somebody replaces it."""
        while True:
            try:
                secret = await self._client.get(SECRETS, self._place.namespace, names.KEYS_SECRET)
                self.master = read_master(secret)
                if self.master is not None:
                    self._key_known.set()
            except ApiError as error:
                _log.log(
                    logging.DEBUG if error.not_found else logging.WARNING,
                    "cannot read the master key: will try again",
                    extra={"error": error.message},
                )
            except ValueError as error:
                _log.error("the master key cannot be used", extra={"error": str(error)})
            await asyncio.sleep(KEY_REFRESH_S if self.master else KEY_RETRY_S)

    async def _expire(self) -> None:
        """A watch that says nothing may be one of a server that hangs: it is asked."""
        while True:
            await asyncio.sleep(EXPIRE_S)
            if self._pods.connected and self._backends.has_overdue() and await self._answers():
                self._backends.expire()

    async def _answers(self) -> bool:
        """Whether the API answers at all."""
        try:
            await self._client.get(SECRETS, self._place.namespace, names.KEYS_SECRET)
        except ApiError as error:
            return error.status != 0
        return True

    def _on_ingress(self, change: Change, obj: Object, before: Object | None) -> None:
        metadata = obj["metadata"]
        if change == "DELETED" or not is_ours(obj):
            self._table.remove(f"{metadata.get('namespace', '')}/{metadata['name']}")
        else:
            self._table.replace(compile_ingress(obj, ingress_hash(obj)))

    def _on_revision(self, change: Change, obj: Object, before: Object | None) -> None:
        spec = read_revision(obj)
        if change == "DELETED":
            self._backends.revision_deleted(spec.key)
            self.on_deleted(spec.key)
        else:
            self._backends.revision_changed(spec)
            if before is None or before["metadata"].get("uid") != obj["metadata"].get("uid"):
                self._slices.tell(spec.key)

    def _on_slice(self, change: Change, obj: Object, before: Object | None) -> None:
        if change == "DELETED":
            self._slices.deleted(obj)
        else:
            self._slices.changed(obj)

    def _on_activator(self, change: Change, obj: Object, before: Object | None) -> None:
        addresses = read_addresses(self._activators.items.values())
        self._backends.activators(addresses, self._place.address)


def read_master(secret: Json) -> bytes | None:
    """The master key in its Secret, None while nobody has filled it.

    Raises:
        ValueError: the field is not hexadecimal.
    """
    field = (secret.get("data") or {}).get(names.KEYS_SECRET_FIELD)
    if not field:
        return None
    return bytes.fromhex(base64.b64decode(field, validate=True).decode("ascii"))


def _nobody(key: str) -> None:
    return None
