"""How a request's head is changed on its way to an upstream, and its rendering. Pure."""

from __future__ import annotations

from pilotlight.http.fields import HOP_BY_HOP, Headers, tokens, values_of
from pilotlight.http.head import CHUNKED, Request


class Forwarding:
    """How a request is changed on its way to an upstream.

    `drop`: lower-case names of fields to leave out, hop-by-hop ones included (build it with
    `dropping`); `add`: pairs appended; `target`: replaces the request's own.
    """

    __slots__ = ("add", "drop", "target")

    def __init__(
        self,
        drop: frozenset[bytes] = HOP_BY_HOP,
        add: Headers = (),
        target: bytes | None = None,
    ) -> None:
        self.drop = drop
        self.add = add
        self.target = target


AS_IS = Forwarding()


def dropping(*names: bytes) -> frozenset[bytes]:
    """The hop-by-hop fields and `names` (lower case)."""
    return HOP_BY_HOP | frozenset(names)


def render_request(request: Request, edit: Forwarding, expect: bool) -> bytes:
    """The head to send to an HTTP/1.1 upstream; `expect` asks it for 100 Continue first."""
    drop = edit.drop
    if request.listed:
        drop = drop | request.listed
    if request.expects_continue:
        drop = drop | {b"expect"}
    lines = [b"%b %b HTTP/1.1" % (request.method, edit.target or request.target)]
    lines += [field[2] for field in request.fields if field[0] not in drop]
    if edit.add:
        lines += [b"%b: %b" % pair for pair in edit.add]
    if request.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    if request.upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade)
    elif b"te" in request.index and b"trailers" in tokens(values_of(request.fields, b"te")):
        lines.append(b"Connection: TE\r\nTE: trailers")
    if expect:
        lines.append(b"Expect: 100-continue")
    if request.version == 10 and b"host" not in request.index:
        lines.append(b"Host: ")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
