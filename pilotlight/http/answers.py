"""Answers of our own: status lines, the Date field, heads, and error bodies in text or JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pilotlight.http.errors import PeerError
from pilotlight.http.fields import HOP_BY_HOP, Headers, line
from pilotlight.names import LEG_HEADER

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.head import Response

_REASONS = {
    100: b"Continue",
    101: b"Switching Protocols",
    200: b"OK",
    204: b"No Content",
    301: b"Moved Permanently",
    302: b"Found",
    304: b"Not Modified",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TEXT = (b"Content-Type", b"text/plain; charset=utf-8")
JSON = (b"Content-Type", b"application/json")

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b""))


def http_date(seconds: float) -> bytes:
    """An IMF-fixdate (RFC 9110, section 5.6.7) of a unix time in seconds."""
    t = time.gmtime(seconds)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAYS[t.tm_wday],
        t.tm_mday,
        _MONTHS[t.tm_mon - 1],
        t.tm_year,
        t.tm_hour,
        t.tm_min,
        t.tm_sec,
    )


def own_head(status: int, headers: Headers, length: int, date: bytes) -> list[bytes]:
    """The lines of an answer made here, without line ends; `length` is the body's in bytes."""
    lines = [status_line(status), b"Date: " + date]
    lines += [line(name, value) for name, value in headers]
    if status >= 200 and status not in (204, 304):
        lines.append(b"Content-Length: %d" % length)
    return lines


def refusal(error: PeerError, date: bytes) -> bytes:
    """The last answer on a connection whose request cannot be understood."""
    body = error.reason.encode()
    lines = own_head(error.status, [TEXT], len(body), date)
    lines.append(b"Connection: close\r\n\r\n")
    return b"\r\n".join(lines) + body


def interim_head(response: Response, extra: Headers = ()) -> bytes:
    """An informational answer, as it is passed on."""
    lines = [response.status_line]
    lines += [field[2] for field in response.fields if field[0] not in HOP_BY_HOP]
    lines += [b"%b: %b" % pair for pair in extra]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def wants_json(accept: bytes | None) -> bool:
    """Whether an Accept field names JSON (a plain `*/*` gets text)."""
    return accept is not None and b"json" in accept.lower()


_GRPC = b"application/grpc"
_GRPC_STATUS = {
    400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 4
}  # fmt: skip
"""As gRPC itself reads statuses of HTTP (INTERNAL, UNAUTHENTICATED, PERMISSION_DENIED,
UNIMPLEMENTED, UNAVAILABLE), but DEADLINE_EXCEEDED for a timeout: UNAVAILABLE would invite a client
to send a call again that may have been carried out."""
_UNKNOWN = 2


def _is_grpc(content_type: bytes) -> bool:
    """Whether it is gRPC, and not gRPC-Web, which has its own way to say so."""
    low = content_type.lower()
    return low == _GRPC or low.startswith((_GRPC + b"+", _GRPC + b";"))


def _grpc_status(status: int, text: str) -> Headers:
    message = "".join(c if " " <= c <= "~" and c != "%" else f"%{ord(c):02X}" for c in text)
    return [
        (b"Content-Type", _GRPC),
        (b"Grpc-Status", b"%d" % _GRPC_STATUS.get(status, _UNKNOWN)),
        (b"Grpc-Message", message.encode()),
    ]


def answer_error(
    exchange: Exchange,
    status: int,
    text: str,
    leg: str,
    *,
    revision: str = "",
    headers: Headers = (),
) -> None:
    """Answer with an error of our own that names the leg that failed.

    `text` is the body; a client that accepts JSON gets `{"error", "leg", "revision"}`, and one of
    gRPC a status that it knows.
    """
    named = [(LEG_HEADER.encode(), leg.encode()), *headers]
    if _is_grpc(exchange.request.get(b"content-type") or b""):
        exchange.respond(status, b"", [*_grpc_status(status, text), *named])
        return
    if wants_json(exchange.request.get(b"accept")):
        import json

        body = json.dumps({"error": text, "leg": leg, "revision": revision}).encode()
        exchange.respond(status, body, [JSON, *named])
    else:
        exchange.respond(status, text.encode(), [TEXT, *named])
