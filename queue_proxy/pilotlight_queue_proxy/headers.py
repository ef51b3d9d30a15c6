"""What the queue-proxy does to the head of a request on its way to the user's container. Pure."""

from __future__ import annotations

from pilotlight import names
from pilotlight.http.fields import HOP_BY_HOP
from pilotlight.http.forwarded import FOR, HOST, PROTO, forwarded_shim
from pilotlight.http.forwarding import Forwarding
from pilotlight.http.head import Request

_ORIGINAL_HOST = names.ORIGINAL_HOST_HEADER.lower().encode()
_TAG = names.TAG_HEADER.lower().encode()
_DEFAULT_ROUTE = names.DEFAULT_ROUTE_HEADER.lower().encode()

_DROP = HOP_BY_HOP | {
    names.REVISION_HEADER.lower().encode(),
    names.NAMESPACE_HEADER.lower().encode(),
    _ORIGINAL_HOST,
}
_DROP_HOST = _DROP | {b"host"}
_PLAIN = Forwarding(_DROP)
_UNUSUAL = frozenset((_ORIGINAL_HOST, FOR, PROTO, HOST))

TAG_DISABLED = "kn:disabled"
TAG_DEFAULT = "kn:default"
TAG_UNDEFINED = "kn:undefined"
_LONGEST_TAG = 63


def edit(request: Request) -> Forwarding:
    """Knative's routing headers are left out, the original Host is restored, and a Forwarded
    field is made of X-Forwarded-* where there is none.
    """
    index = request.index
    if _UNUSUAL.isdisjoint(index):
        return _PLAIN
    add: list[tuple[bytes, bytes]] = []
    forwarded = forwarded_shim(request)
    if forwarded is not None:
        add.append((b"Forwarded", forwarded))
    original = index.get(_ORIGINAL_HOST)
    if original is None:
        return Forwarding(_DROP, add)
    add.append((b"Host", original))
    return Forwarding(_DROP_HOST, add)


def route_tag(request: Request) -> str:
    """The route tag for metrics, as Knative names the cases."""
    index = request.index
    tag = index.get(_TAG)
    default = index.get(_DEFAULT_ROUTE)
    if tag is None:
        return TAG_DISABLED if default is None else TAG_DEFAULT
    if default == b"true":
        return TAG_UNDEFINED
    return tag[:_LONGEST_TAG].decode("latin-1")
