"""What the gateway needs of the API's objects, read once at the border."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotlight import names
from pilotlight.api.kubelet_probes import kubelet_decides
from pilotlight_activator.pods import Endpoint

Json = Mapping[str, Any]

DEFAULT_TIMEOUT_S: Final = 300.0
_DATA_PORTS: Final = ("http", "http2", "queue-port")


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """A Revision, as far as requests are concerned. Times in seconds, 0 for no limit."""

    namespace: str
    name: str
    uid: str
    concurrency: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_S
    response_start_s: float = 0.0
    idle_s: float = 0.0
    kubelet_decides: bool = False
    """A container has a probe that only the kubelet can run."""
    service: str = ""
    configuration: str = ""
    h2c: bool = False
    """Its pods are spoken to in HTTP/2."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_revision(obj: Json) -> RevisionSpec:
    """A Revision object."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    labels = metadata.get("labels") or {}
    return RevisionSpec(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        concurrency=int(spec.get("containerConcurrency") or 0),
        timeout_s=float(spec.get("timeoutSeconds") or DEFAULT_TIMEOUT_S),
        response_start_s=float(spec.get("responseStartTimeoutSeconds") or 0),
        idle_s=float(spec.get("idleTimeoutSeconds") or 0),
        kubelet_decides=kubelet_decides(spec.get("containers") or ()),
        service=labels.get(names.SERVICE_LABEL, ""),
        configuration=labels.get(names.CONFIGURATION_LABEL, ""),
        h2c=any(
            port.get("name") == names.H2C
            for container in spec.get("containers") or ()
            for port in (container.get("ports") or ())[:1]
        ),
    )


def revision_of_slice(obj: Json) -> str | None:
    """`namespace/name` of the Revision whose pods an EndpointSlice lists; None for other slices,
    such as those of a Revision's public Service, behind which we stand ourselves."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    revision = labels.get(names.REVISION_LABEL)
    service = labels.get(names.ENDPOINT_SLICE_SERVICE_LABEL)
    if not revision or service != names.private_service_name(revision):
        return None
    return f"{metadata.get('namespace', '')}/{revision}"


def read_slice(obj: Json) -> list[Endpoint]:
    """The pods of an EndpointSlice of a Revision's private Service."""
    port = _data_port(obj)
    if port is None:
        return []
    return [
        endpoint
        for item in obj.get("endpoints") or ()
        if (endpoint := _read_endpoint(item, port)) is not None
    ]


def read_addresses(slices: Iterable[Json]) -> tuple[str, ...]:
    """All ready addresses of a Service, sorted."""
    found = {
        address
        for obj in slices
        for item in obj.get("endpoints") or ()
        if (item.get("conditions") or {}).get("ready") is not False
        for address in item.get("addresses") or ()
    }
    return tuple(sorted(found))


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """The reverse of `join_address`.

    Raises:
        ValueError: it is no address with a port.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {address!r} must be host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _data_port(obj: Json) -> int | None:
    ports = {port.get("name"): port.get("port") for port in obj.get("ports") or ()}
    for name in _DATA_PORTS:
        if ports.get(name):
            return int(ports[name])
    return None


def _read_endpoint(item: Json, port: int) -> Endpoint | None:
    addresses = item.get("addresses") or ()
    if not addresses:
        return None
    conditions = item.get("conditions") or {}
    address = join_address(addresses[0], port)
    return Endpoint(
        pod=(item.get("targetRef") or {}).get("name") or address,
        address=address,
        ready=conditions.get("ready") is not False,
        terminating=conditions.get("terminating") is True,
    )
