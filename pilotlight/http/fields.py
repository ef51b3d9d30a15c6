"""Header fields: strict parsing, the hop-by-hop table, rendering.

A field is a tuple `(name in lower case, value, the line as it is sent on)`. Lines repeat from
request to request, so the tuples of short ones are remembered: a line that was seen before costs
one look-up and needs no second validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pilotlight.http.errors import PeerError

Pair = tuple[bytes, bytes]
Headers = Sequence[Pair]
Field = tuple[bytes, bytes, bytes]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_TOKEN = re.compile(TOKEN)
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields about one connection (RFC 9110, section 7.6.1, and their customary relatives)."""

_NOT_IN_TRAILERS = HOP_BY_HOP | frozenset(
    (
        b"content-length",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"host",
        b"trailer",
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"cache-control",
        b"expect",
        b"range",
        b"forwarded",
    )
)

_REMEMBERED_LINES = 1024
_REMEMBERED_BYTES = 256
_NEVER_REMEMBERED = frozenset(
    (b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"traceparent")
)
"""Secrets do not stay in memory, and what differs in each request would only displace others."""

_remembered: dict[bytes, Field] = {}
_recall = _remembered.get


def parse_fields(lines: Iterable[bytes]) -> list[Field]:
    """The fields of header or trailer lines (without their line ends).

    Raises PeerError(400) for a folded line, white space before the colon, an empty or bad name, a
    control character (a bare CR or LF among them), or a Host that is none.
    """
    return [_recall(line) or _parse_field(line) for line in lines]


def _parse_field(line: bytes) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise PeerError(400, "malformed header field")
    name, value = match.groups()
    value = value.rstrip(b" \t")
    lower = name.lower()
    if lower == b"host" and _HOST.fullmatch(value) is None:
        raise PeerError(400, "malformed host")
    field = (lower, value, b"%b: %b" % (name, value))
    if len(line) <= _REMEMBERED_BYTES and lower not in _NEVER_REMEMBERED:
        if len(_remembered) >= _REMEMBERED_LINES:
            _remembered.clear()
        _remembered[line] = field
    return field


def index_of(fields: list[Field]) -> dict[bytes, bytes]:
    """The first value of each name."""
    index = {field[0]: field[1] for field in fields}
    if len(index) != len(fields):
        index = {field[0]: field[1] for field in reversed(fields)}
    return index


def values_of(fields: list[Field], name: bytes) -> list[bytes]:
    """All values of one (lower-case) name, in order."""
    return [field[1] for field in fields if field[0] == name]


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The lower-case members of comma-separated lists."""
    return [
        item
        for value in values
        for part in value.split(b",")
        if (item := part.strip(b" \t").lower())
    ]


def host_field(value: bytes) -> Field:
    """A Host field; PeerError(400) for a value that is no host."""
    return _parse_field(b"Host: " + value)


def line(name: bytes, value: bytes) -> bytes:
    """`Name: value`, refused with ValueError when it could break out of its line."""
    if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise ValueError(f"not a header field: {name!r}: {value!r}")
    return b"%b: %b" % (name, value)


def trailer_lines(fields: list[Field]) -> list[bytes]:
    """The lines of trailer fields that may be passed on: none that frames or routes a message."""
    return [field[2] for field in fields if field[0] not in _NOT_IN_TRAILERS]
