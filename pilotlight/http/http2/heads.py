"""Heads of HTTP/2 and those of HTTP/1.1 into each other (RFC 9113, section 8). Pure.

Everything that could mean something else once it is a line of HTTP/1.1 is refused here: control
characters, upper case, fields about connections, pseudo-fields out of place or twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hpack.struct import NeverIndexedHeaderTuple

from pilotlight.http.answers import status_line
from pilotlight.http.errors import PeerError
from pilotlight.http.fields import (
    HOP_BY_HOP,
    TOKEN,
    Field,
    Headers,
    host_field,
    parse_fields,
    tokens,
    values_of,
)
from pilotlight.http.forwarding import Forwarding
from pilotlight.http.head import CHUNKED, Request, Response
from pilotlight.http.limits import Limits

Pair = tuple[bytes, bytes]
Pairs = list[Pair]

VERSION = 20
_OVERHEAD = 32
_LENGTH_DIGITS = 18
_METHOD = re.compile(TOKEN)
_TARGET = re.compile(rb"/[\x21-\x7e\x80-\xff]*")
_STATUS = re.compile(rb"[1-9][0-9][0-9]")
_UPPER = re.compile(rb"[A-Z]")
_FORBIDDEN = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_ASKED = (b":method", b":scheme", b":authority", b":path")
_SECRET = frozenset((b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"))
_NOT_SENT = HOP_BY_HOP | {b"host", b"expect"}


def size_of(pairs: Iterable[Pair]) -> int:
    """The size of a head, as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum(len(name) + len(value) + _OVERHEAD for name, value in pairs)


def read_request(pairs: Sequence[Pair], ended: bool, limits: Limits) -> Request:
    """The request of a head; `ended`: no body follows.

    Raises PeerError: 400 malformed, 417, 431 too large, 501 CONNECT.
    """
    pseudo, fields = _split(pairs, _ASKED, limits)
    method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if method == b"CONNECT":
        raise PeerError(501, "CONNECT is not supported")
    if _METHOD.fullmatch(method) is None or b":scheme" not in pseudo:
        raise PeerError(400, "malformed request")
    if _TARGET.fullmatch(target) is None and (method, target) != (b"OPTIONS", b"*"):
        raise PeerError(400, "malformed request target")
    if len(target) > limits.request_line:
        raise PeerError(414, "request line too long")
    authority = pseudo.get(b":authority")
    hosts = values_of(fields, b"host")
    if authority is not None:
        if any(host != authority for host in hosts):
            raise PeerError(400, "host is not the authority")
        if not hosts:
            fields.insert(0, host_field(authority))
    elif not hosts:
        raise PeerError(400, "missing host")
    request = Request(method, target, VERSION, _with_one_cookie(fields))
    if ended:
        if request.length:
            raise PeerError(400, "content-length without a body")
    elif b"content-length" not in request.index:
        request.length = CHUNKED
    request.expects_continue = b"expect" in request.index and not ended
    return request


def read_response(pairs: Sequence[Pair], ended: bool, method: bytes, limits: Limits) -> Response:
    """The response of a head, final or informational. Raises PeerError."""
    pseudo, fields = _split(pairs, (b":status",), limits)
    code = pseudo.get(b":status", b"")
    if _STATUS.fullmatch(code) is None:
        raise PeerError(502, "malformed status")
    status = int(code)
    response = Response(status, status_line(status), VERSION, fields)
    response.keep_alive = True
    if status < 200 or status in (204, 304) or method == b"HEAD":
        response.length = 0
    elif not ended or b"content-length" not in response.index:
        response.length = _length(response.index.get(b"content-length"))
    return response


def read_trailers(pairs: Sequence[Pair], limits: Limits) -> list[Field]:
    """Trailers, which have no pseudo-fields. Raises PeerError."""
    return _split(pairs, (), limits)[1]


def render_request(request: Request, edit: Forwarding, expect: bool) -> Pairs:
    """The head to send to an upstream of HTTP/2; `expect` asks it for 100 Continue first."""
    drop = edit.drop | _NOT_SENT
    if request.listed:
        drop |= request.listed
    host = b"" if b"host" in edit.drop else request.host
    added: Pairs = []
    for name, value in edit.add:
        lower = name.lower()
        if lower == b"host":
            host = value
        else:
            added.append((lower, value))
    pairs: Pairs = [
        (b":method", request.method),
        (b":scheme", b"http"),
        (b":path", edit.target or request.target),
    ]
    if host:
        pairs.insert(2, (b":authority", host))
    pairs += [_pair(field[0], field[1]) for field in request.fields if field[0] not in drop]
    pairs += added
    if b"te" in request.index and b"trailers" in tokens(values_of(request.fields, b"te")):
        pairs.append((b"te", b"trailers"))
    if expect:
        pairs.append((b"expect", b"100-continue"))
    return pairs


def render_response(response: Response, extra: Headers) -> Pairs:
    """The head to send to a client of HTTP/2."""
    drop = HOP_BY_HOP | response.listed if response.listed else HOP_BY_HOP
    pairs: Pairs = [(b":status", b"%d" % response.status)]
    pairs += [_pair(field[0], field[1]) for field in response.fields if field[0] not in drop]
    pairs += lowered(extra)
    return pairs


def render_own(status: int, headers: Headers, length: int, date: bytes) -> Pairs:
    """The head of an answer made here. One that names a gRPC status is a "trailers-only" answer,
    whose HTTP status is 200.
    """
    pairs = lowered(headers)
    if any(name == b"grpc-status" for name, _ in pairs):
        return [(b":status", b"200"), (b"date", date), *pairs]
    pairs = [(b":status", b"%d" % status), (b"date", date), *pairs]
    if status >= 200 and status not in (204, 304):
        pairs.append((b"content-length", b"%d" % length))
    return pairs


def trailer_pairs(lines: Iterable[bytes]) -> Pairs:
    """Trailers that were rendered as lines."""
    split = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in split]


def lowered(headers: Headers) -> Pairs:
    """Fields under names in lower case."""
    return [(name.lower(), value) for name, value in headers]


def _length(size: bytes | None) -> int:
    if size is None:
        return CHUNKED
    if not size.isdigit() or len(size) > _LENGTH_DIGITS:
        raise PeerError(502, "invalid content-length")
    return int(size)


def _pair(name: bytes, value: bytes) -> Pair:
    """What is secret does not get into the table of a connection that others use as well."""
    return NeverIndexedHeaderTuple(name, value) if name in _SECRET else (name, value)


def _split(
    pairs: Sequence[Pair], known: Sequence[bytes], limits: Limits
) -> tuple[dict[bytes, bytes], list[Field]]:
    """Pseudo-fields and checked fields."""
    if len(pairs) > limits.fields + len(known):
        raise PeerError(431, "too many header fields")
    if size_of(pairs) > limits.head:
        raise PeerError(431, "head too large")
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    for name, value in pairs:
        if name.startswith(b":"):
            if lines or name in pseudo or name not in known:
                raise PeerError(400, "malformed pseudo-field")
            pseudo[name] = bytes(value)
            continue
        if _UPPER.search(name) is not None or name in _FORBIDDEN:
            raise PeerError(400, "field that HTTP/2 does not have")
        if name == b"te" and value.lower() != b"trailers":
            raise PeerError(400, "field that HTTP/2 does not have")
        lines.append(b"%b: %b" % (name, value))
    return pseudo, parse_fields(lines)


def _with_one_cookie(fields: list[Field]) -> list[Field]:
    """HTTP/2 may cut a Cookie into pieces; HTTP/1.1 has one (RFC 9113, section 8.2.3)."""
    crumbs = values_of(fields, b"cookie")
    if len(crumbs) < 2:
        return fields
    value = b"; ".join(crumbs)
    kept = [field for field in fields if field[0] != b"cookie"]
    return [*kept, (b"cookie", value, b"cookie: " + value)]
