"""X-Forwarded-* and Forwarded (RFC 7239): what a proxy says about the client. Pure.

Both functions return `(names to drop, pairs to add)` for a `Forwarding`.
"""

from __future__ import annotations

from pilotlight.http.fields import tokens
from pilotlight.http.head import Request

FOR = b"x-forwarded-for"
PROTO = b"x-forwarded-proto"
HOST = b"x-forwarded-host"
FORWARDED = b"forwarded"

Pairs = list[tuple[bytes, bytes]]
Change = tuple[frozenset[bytes], Pairs]

_NOTHING: Change = (frozenset(), [])
_ALL = frozenset((FOR, PROTO, HOST, FORWARDED))


def x_forwarded(request: Request, peer: str, proto: bytes, *, trust: bool) -> Change:
    """The X-Forwarded-For, -Proto and -Host to send on for a client at address `peer`.

    With `trust`, what the client says is kept and its address is appended to the chain;
    without, it is replaced, and a Forwarded field is dropped, since anybody can write one.
    """
    address = peer.encode("ascii")
    if not trust:
        return _ALL, [
            (b"X-Forwarded-For", address),
            (b"X-Forwarded-Proto", proto),
            (b"X-Forwarded-Host", request.host),
        ]
    index = request.index
    earlier = request.all(FOR) if FOR in index else []
    add: Pairs = [(b"X-Forwarded-For", b", ".join([*earlier, address]))]
    if PROTO not in index:
        add.append((b"X-Forwarded-Proto", proto))
    if HOST not in index:
        add.append((b"X-Forwarded-Host", request.host))
    return frozenset((FOR,)), add


def forwarded_shim(request: Request) -> bytes | None:
    """A Forwarded value made from X-Forwarded-*; None when there is one already, or nothing to say.

    `for=<first>;host=<host>;proto=<proto>, for=<next>...`, IPv6 addresses as `"[address]"`.
    """
    index = request.index
    if FORWARDED in index or not (FOR in index or PROTO in index or HOST in index):
        return None
    addresses = tokens(request.all(FOR)) if FOR in index else []
    elements = [b"for=" + _node(address) for address in addresses]
    first = elements[:1]
    if index.get(HOST):
        first.append(b"host=" + _quoted(index[HOST]))
    if index.get(PROTO):
        first.append(b"proto=" + _quoted(index[PROTO]))
    return b", ".join([b";".join(first), *elements[1:]])


def _node(address: bytes) -> bytes:
    if b":" in address and not address.startswith(b"["):
        return b'"[%b]"' % address.replace(b'"', b"")
    return _quoted(address)


_PLAIN = frozenset(
    b"!#$%&'*+-.^_`|~0123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


def _quoted(value: bytes) -> bytes:
    """Values that could end an element early are quoted; what everybody sends stays bare."""
    if _PLAIN.issuperset(value):
        return value
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
