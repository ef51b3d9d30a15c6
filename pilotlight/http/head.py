"""Heads of requests and responses: bytes to immutable values. Pure."""

from __future__ import annotations

import re

from pilotlight.http.errors import PeerError
from pilotlight.http.fields import (
    HOP_BY_HOP,
    TOKEN,
    Field,
    host_field,
    index_of,
    parse_fields,
    tokens,
    values_of,
)
from pilotlight.http.limits import Limits

CHUNKED = -1
"""Length of a body whose end is marked by its last chunk."""
UNTIL_CLOSE = -2
"""Length of a response body that ends with its connection."""

_ORIGIN_LINE = re.compile(rb"(" + TOKEN + rb") (/[\x21-\x7e\x80-\xff]*) HTTP/1\.([01])")
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)")
_LENGTH_DIGITS = 18

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"expect")
NO_NAMES: frozenset[bytes] = frozenset()


class Request:
    """The head of a request.

    `target` is the origin form (`/path?query`, or `*`); the authority of an absolute form has
    replaced the Host. `version` is 10 or 11. `length` is the body's length in bytes, 0 without a
    body, or CHUNKED. `listed` holds the names that Connection lists, to be dropped with the
    hop-by-hop fields. `upgrade` is the protocol asked for, None in an ordinary request.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "index",
        "keep_alive",
        "length",
        "listed",
        "method",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: int, fields: list[Field]) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.index = index = {field[0]: field[1] for field in fields}
        if len(index) != len(fields):
            self.index = index = _index_of_repeated(fields)
        self.listed = NO_NAMES
        self.upgrade: bytes | None = None
        self.keep_alive = version == 11
        connection = index.get(b"connection")
        if connection is not None:
            self._read_connection(connection)
        self.length = 0
        if b"content-length" in index or b"transfer-encoding" in index:
            self.length = _request_length(index, version)
        self.expects_continue = False
        if b"expect" in index:
            self._read_expect(index[b"expect"])

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field; `name` in lower case."""
        return self.index.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order; `name` in lower case."""
        return values_of(self.fields, name)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """(name as sent, value) pairs, in order."""
        return [(f[2][: len(f[0])], f[1]) for f in self.fields]

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def host(self) -> bytes:
        return self.index.get(b"host", b"")

    @property
    def idempotent(self) -> bool:
        return self.method in _IDEMPOTENT and self.upgrade is None

    def _read_connection(self, value: bytes) -> None:
        low = value.lower()
        if low == b"keep-alive" and len(self.index) == len(self.fields):
            self.keep_alive = True
            return
        names = tokens(values_of(self.fields, b"connection"))
        if b"close" in names:
            self.keep_alive = False
        elif b"keep-alive" in names:
            self.keep_alive = True
        if b"upgrade" in names and self.version == 11:
            wanted = self.index.get(b"upgrade", b"")
            if wanted and wanted.lower() != b"h2c":
                self.upgrade = wanted
        self.listed = frozenset(names) - _NEVER_LISTED

    def _read_expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            raise PeerError(417, "unknown expectation")
        self.expects_continue = self.version == 11 and self.length != 0


_NEVER_LISTED = HOP_BY_HOP | frozenset(
    (b"close", b"host", b"content-length", b"content-type", b"expect", b"cache-control")
)
"""Names that a Connection field cannot have removed: framing and routing do not depend on it."""


def _index_of_repeated(fields: list[Field]) -> dict[bytes, bytes]:
    for name in _SINGLE:
        if len(values_of(fields, name)) > 1:
            raise PeerError(400, f"repeated {name.decode()}")
    return index_of(fields)


def _content_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise PeerError(400, "invalid content-length")
    return int(value)


def _request_length(index: dict[bytes, bytes], version: int) -> int:
    """Framing of a request body (RFC 9112, section 6.3), with everything ambiguous refused."""
    coding = index.get(b"transfer-encoding")
    if coding is None:
        return _content_length(index[b"content-length"])
    if b"content-length" in index:
        raise PeerError(400, "both content-length and transfer-encoding")
    if version == 10:
        raise PeerError(400, "transfer-encoding in HTTP/1.0")
    if coding.lower() != b"chunked":
        raise PeerError(501, "unknown transfer-encoding")
    return CHUNKED


def parse_request(data: bytes, limits: Limits, seen: int = 0) -> tuple[Request, int] | None:
    """The request whose head begins at the start of `data`, and where the head ends.

    None when more bytes are needed; `seen` is then the length of what was given before, so that
    no byte is looked at again and again. Raises PeerError: 400 malformed or ambiguous, 414 request
    line too long, 431 head too large, 501 unknown coding or CONNECT, 505 other HTTP versions.
    """
    end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
    if end < 0 or end > limits.head:
        _check_partial(data if end < 0 else data[: limits.head + 4], limits, seen)
        return None
    lines = data[:end].split(b"\r\n")
    first = lines[0]
    if len(first) > limits.request_line:
        raise PeerError(414, "request line too long")
    if len(lines) > limits.fields + 1:
        raise PeerError(431, "too many header fields")
    match = _ORIGIN_LINE.fullmatch(first)
    if match is None:
        if not first:
            return _after_empty_lines(data, limits)
        return _unusual(lines), end + 4
    method, target, minor = match.groups()
    del lines[0]
    request = Request(method, target, 11 if minor == b"1" else 10, parse_fields(lines))
    if minor == b"1" and b"host" not in request.index:
        raise PeerError(400, "missing host")
    return request, end + 4


def _unusual(lines: list[bytes]) -> Request:
    """A request whose target is not a path."""
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise PeerError(400, "malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor > b"1":
        raise PeerError(505, "HTTP version not supported")
    target, fields = _other_form(method, target, parse_fields(lines[1:]))
    request = Request(method, target, 11 if minor == b"1" else 10, fields)
    if minor == b"1" and b"host" not in request.index:
        raise PeerError(400, "missing host")
    return request


def _after_empty_lines(data: bytes, limits: Limits) -> tuple[Request, int] | None:
    """Empty lines before a request line are ignored (RFC 9112, section 2.2): two at most."""
    skip = _empty_lines(data)
    rest = data[skip:]
    if rest.startswith(b"\r\n"):
        raise PeerError(400, "malformed request line")
    if not rest:
        return None
    parsed = parse_request(rest, limits)
    return parsed and (parsed[0], parsed[1] + skip)


def _empty_lines(data: bytes) -> int:
    """The length of the empty lines, two at most, that `data` begins with."""
    if not data.startswith(b"\r\n"):
        return 0
    return 4 if data.startswith(b"\r\n\r\n") else 2


def _other_form(method: bytes, target: bytes, fields: list[Field]) -> tuple[bytes, list[Field]]:
    if method == b"CONNECT":
        raise PeerError(501, "CONNECT is not supported")
    if target == b"*" and method == b"OPTIONS":
        return target, fields
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not match[1]:
        raise PeerError(400, "malformed request target")
    authority, path = match.groups()
    if len(values_of(fields, b"host")) > 1:
        raise PeerError(400, "repeated host")
    kept = [field for field in fields if field[0] != b"host"]
    kept.insert(0, host_field(authority))
    return (path if path.startswith(b"/") else b"/" + path), kept


def check_line_ends(data: bytes, seen: int) -> int:
    """The number of new line ends, the first `seen` bytes having been checked before.

    Raises PeerError(400) for a line feed without carriage return.
    """
    ends = data.count(b"\n", seen)
    if ends and ends != data.count(b"\r\n", max(seen - 1, 0)):
        raise PeerError(400, "line feed without carriage return")
    return ends


def _check_partial(data: bytes, limits: Limits, seen: int) -> None:
    """Refuse an incomplete head as soon as it cannot become a good one."""
    start = _empty_lines(data)
    first = data.find(b"\r\n", start, start + limits.request_line + 2)
    if (first if first >= 0 else len(data) - 1) - start > limits.request_line:
        raise PeerError(414, "request line too long")
    if len(data) > limits.head + 3:
        raise PeerError(431, "request head too large")
    if check_line_ends(data, seen) and data.count(b"\n", start) > limits.fields + 1:
        raise PeerError(431, "too many header fields")


class Response:
    """The head of a response.

    `status_line` is what is sent on. `length` is the body's length in bytes (0 where none can
    follow), CHUNKED or UNTIL_CLOSE. `keep_alive` says whether the connection survives it.
    """

    __slots__ = (
        "fields",
        "index",
        "keep_alive",
        "length",
        "listed",
        "status",
        "status_line",
        "version",
    )

    def __init__(self, status: int, status_line: bytes, version: int, fields: list[Field]):
        self.status = status
        self.status_line = status_line
        self.version = version
        self.fields = fields
        self.index = index = {field[0]: field[1] for field in fields}
        if len(index) != len(fields):
            self.index = index = _index_of_repeated(fields)
        self.listed = NO_NAMES
        self.keep_alive = version == 11
        if b"connection" in index:
            names = tokens(values_of(fields, b"connection"))
            self.keep_alive = b"close" not in names and (version == 11 or b"keep-alive" in names)
            self.listed = frozenset(names) - _NEVER_LISTED
        self.length = 0

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field; `name` in lower case."""
        return self.index.get(name)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """(name as sent, value) pairs, in order."""
        return [(f[2][: len(f[0])], f[1]) for f in self.fields]


_status_lines: dict[bytes, tuple[int, int, bytes]] = {}


def _parse_status_line(first: bytes, limits: Limits) -> tuple[int, int, bytes]:
    if len(first) > limits.request_line:
        raise PeerError(502, "status line too long")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise PeerError(502, "malformed status line")
    minor, status, reason = match.groups()
    parsed = (
        int(status),
        11 if minor == b"1" else 10,
        b"HTTP/1.1 %b %b" % (status, reason or b""),
    )
    if len(_status_lines) < 64 and len(first) < 64:
        _status_lines[first] = parsed
    return parsed


def parse_response(
    data: bytes, method: bytes, limits: Limits, seen: int = 0
) -> tuple[Response, int] | None:
    """The response to a `method` request whose head begins `data`, and where the head ends.

    None when more bytes are needed; `seen` as for requests. Raises PeerError (its status is not
    for the client: a bad answer of an upstream is a 502).
    """
    end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
    if end < 0 or end > limits.head:
        _check_partial(data if end < 0 else data[: limits.head + 4], limits, seen)
        return None
    lines = data[:end].split(b"\r\n")
    if len(lines) > limits.fields + 1:
        raise PeerError(502, "too many header fields")
    first = lines[0]
    status, version, status_line = _status_lines.get(first) or _parse_status_line(first, limits)
    del lines[0]
    response = Response(status, status_line, version, parse_fields(lines))
    size = response.index.get(b"content-length")
    if (
        size is not None
        and status == 200
        and method != b"HEAD"
        and b"transfer-encoding" not in (response.index)
    ):
        response.length = _content_length(size)
    else:
        response.length = _response_length(response, method)
    return response, end + 4


def _response_length(response: Response, method: bytes) -> int:
    """Framing of a response body (RFC 9112, section 6.3), with everything ambiguous refused."""
    index = response.index
    coding = index.get(b"transfer-encoding")
    size = index.get(b"content-length")
    if coding is not None:
        if size is not None:
            raise PeerError(502, "both content-length and transfer-encoding")
        if coding.lower() != b"chunked" or response.version == 10:
            raise PeerError(502, "unknown transfer-encoding")
    length = _content_length(size) if size is not None else None
    status = response.status
    if status < 200 or status in (204, 304) or method == b"HEAD":
        return 0
    if coding is not None:
        return CHUNKED
    if length is not None:
        return length
    response.keep_alive = False
    return UNTIL_CLOSE
