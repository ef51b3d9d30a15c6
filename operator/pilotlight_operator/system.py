"""What lies in the system namespace: the configuration, the keys, the certificate, the gateways."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pilotlight import names
from pilotlight.certificates import ServingCertificate, generate
from pilotlight.config.go_values import ConfigError
from pilotlight.kube.client import KubeClient
from pilotlight.kube.errors import ApiError
from pilotlight.kube.informer import Informer
from pilotlight.kube.resources import CONFIG_MAPS, ENDPOINT_SLICES, SECRETS
from pilotlight.load.keys import MASTER_KEY_BYTES, new_master_key
from pilotlight_operator import settings as settings_module
from pilotlight_operator.certificates import (
    from_secret_data,
    host_names,
    is_good,
    load,
    now_utc,
    request,
    to_secret_data,
)
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Obj, name_of
from pilotlight_operator.settings import Settings

_log: Final = logging.getLogger("system")

CERTIFICATE_CHECK_S: Final = 12 * 3600.0
_CONFLICTS_TOLERATED: Final = 5


class Configuration:
    """Keeps the settings as the ConfigMaps say; one that is no good changes nothing."""

    def __init__(
        self, client: KubeClient, namespace: str, cluster_domain: str, metrics: Metrics
    ) -> None:
        self.informer = Informer(client, CONFIG_MAPS, namespace=namespace)
        self._namespace = namespace
        self._cluster_domain = cluster_domain
        self._metrics = metrics
        self._settings: Settings | None = None
        self._changed: Callable[[Settings], None] = lambda _: None

    @property
    def settings(self) -> Settings:
        """As they are now; there are none before `start`."""
        assert self._settings is not None
        return self._settings

    async def start(self, changed: Callable[[Settings], None]) -> Settings:
        """The first settings; `changed` is called with all later ones. Raises ConfigError."""
        await self.informer.synced()
        data = {name: obj.get("data") or {} for (_, name), obj in self.informer.items.items()}
        self._settings, faults = settings_module.initial(
            data, self._namespace, self._cluster_domain
        )
        for name, error in faults.items():
            self._refuse(name, error, "its defaults hold")
        self._changed = changed
        self.informer.on_event(self._on_event)
        return self._settings

    def _on_event(self, change: str, obj: Obj, _: Obj | None) -> None:
        name = name_of(obj)
        if self._settings is None or not settings_module.is_read(name):
            return
        data = {} if change == "DELETED" else obj.get("data") or {}
        try:
            self._settings = settings_module.changed(self._settings, name, data)
        except ConfigError as error:
            self._refuse(name, error, "what it said before stays")
            return
        self._metrics.config_errors.labels(name).set(0)
        self._changed(self._settings)

    def _refuse(self, name: str, error: ConfigError, consequence: str) -> None:
        self._metrics.config_errors.labels(name).set(1)
        _log.warning(
            "a ConfigMap is not valid: %s",
            consequence,
            extra={"config_map": name, "key": error.key, "error": str(error)},
        )


class Gateways:
    """The addresses of the activators that answer."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        selector = f"{names.ENDPOINT_SLICE_SERVICE_LABEL}={names.ACTIVATOR_SERVICE}"
        self.informer = Informer(
            client, ENDPOINT_SLICES, namespace=namespace, label_selector=selector
        )

    def addresses(self) -> list[str]:
        return sorted(
            {address for obj in self.informer.items.values() for address in addresses_of(obj)}
        )

    def endpoints(self) -> tuple[Obj, ...]:
        """The same, as Endpoints spell it, in their order."""
        found = {
            address: {"ip": address, **_pod_of(endpoint)}
            for obj in self.informer.items.values()
            for endpoint in _ready(obj)
            for address in endpoint.get("addresses") or ()
        }
        return tuple(found[address] for address in sorted(found))


def addresses_of(endpoint_slice: Obj) -> list[str]:
    """`host:port` of everything in an EndpointSlice that is ready."""
    found = []
    for endpoint in _ready(endpoint_slice):
        for address in endpoint.get("addresses") or ():
            host = f"[{address}]" if ":" in address else address
            found.append(f"{host}:{names.ACTIVATOR_HTTP_PORT}")
    return found


def _ready(endpoint_slice: Obj) -> list[Obj]:
    return [
        endpoint
        for endpoint in endpoint_slice.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]


def _pod_of(endpoint: Obj) -> Obj:
    target = endpoint.get("targetRef")
    return {"targetRef": target} if target else {}


class Certificate:
    """The webhooks' certificate, and the TLS context that serves it."""

    def __init__(self, client: KubeClient, namespace: str, cluster_domain: str) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._client = client
        self._namespace = namespace
        self._hosts = host_names(namespace, cluster_domain)
        self._held: ServingCertificate | None = None

    @property
    def ca(self) -> bytes:
        assert self._held is not None
        return self._held.ca

    async def ensure(self) -> bool:
        """Serve what the Secret holds, made anew if it is no good; whether it is another now."""
        held = await _ensure_secret(
            self._client, self._namespace, names.WEBHOOK_CERTS_SECRET, self._renewed
        )
        fresh = from_secret_data(held)
        assert fresh is not None
        if fresh == self._held:
            return False
        load(self.context, fresh)
        self._held = fresh
        return True

    def _renewed(self, data: dict[str, str]) -> dict[str, str] | None:
        now = now_utc()
        if is_good(from_secret_data(data), self._hosts, now):
            return None
        _log.info("making a certificate for the webhooks", extra={"hosts": self._hosts})
        return to_secret_data(generate(request(self._hosts), now))


async def master_key(client: KubeClient, namespace: str) -> bytes:
    """The key that all greetings are signed with in the end; made once per installation."""
    data = await _ensure_secret(client, namespace, names.KEYS_SECRET, _with_master_key)
    key = _master_key(data)
    assert key is not None
    return key


def cluster_domain(resolv_conf: Path = Path("/etc/resolv.conf")) -> str:
    """The cluster's domain, as the resolver of a pod knows it."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return names.CLUSTER_DOMAIN
    for line in lines:
        word, *domains = line.split() or [""]
        for domain in domains if word == "search" else ():
            if domain.startswith("svc."):
                return domain.removeprefix("svc.").rstrip(".")
    return names.CLUSTER_DOMAIN


def _with_master_key(data: dict[str, str]) -> dict[str, str] | None:
    if _master_key(data) is not None:
        return None
    _log.info("making the key that greetings are signed with")
    encoded = base64.b64encode(new_master_key().encode()).decode()
    return {**data, names.KEYS_SECRET_FIELD: encoded}


def _master_key(data: dict[str, str]) -> bytes | None:
    try:
        key = bytes.fromhex(base64.b64decode(data[names.KEYS_SECRET_FIELD]).decode())
    except (KeyError, ValueError, binascii.Error):
        return None
    return key if len(key) == MASTER_KEY_BYTES else None


async def _ensure_secret(
    client: KubeClient,
    namespace: str,
    name: str,
    complete: Callable[[dict[str, str]], dict[str, str] | None],
) -> dict[str, str]:
    """The data of a Secret after `complete`, which gives None when nothing is missing in it. Of
    several operators that start at once the first one's wins.
    """
    for _ in range(_CONFLICTS_TOLERATED):
        found = await _secret(client, namespace, name)
        data = dict(found.get("data") or {}) if found is not None else {}
        wanted = complete(data)
        if wanted is None:
            return data
        try:
            await _write_secret(client, namespace, name, found, wanted)
        except ApiError as error:
            if not (error.conflict or error.already_exists):
                raise
        else:
            return wanted
    raise ApiError(409, "Conflict", f"Secret {namespace}/{name} is changed all the time")


async def _secret(client: KubeClient, namespace: str, name: str) -> Obj | None:
    try:
        return await client.get(SECRETS, namespace, name)
    except ApiError as error:
        if error.not_found:
            return None
        raise


async def _write_secret(
    client: KubeClient, namespace: str, name: str, found: Obj | None, data: dict[str, str]
) -> None:
    if found is not None:
        await client.replace(SECRETS, {**found, "data": data})
        return
    metadata = {"name": name, "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    await client.create(SECRETS, secret, names.OPERATOR_MANAGER)


async def keep_certificate(certificate: Certificate, renewed: Callable[[], object]) -> None:
    """Look after it until cancelled; `renewed` starts telling the API server."""
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_S)
        try:
            if await certificate.ensure():
                renewed()
        except ApiError as error:
            _log.warning("the certificate was not checked", extra={"error": error.message})
