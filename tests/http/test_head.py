"""Request and response heads: what is understood, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.http import HOP_BY_HOP, Forwarding, Limits, PeerError, dropping
from pilotlight.http.fields import _REMEMBERED_LINES, _remembered, parse_fields
from pilotlight.http.forwarding import render_request
from pilotlight.http.head import (
    CHUNKED,
    UNTIL_CLOSE,
    Request,
    parse_request,
    parse_response,
)

LIMITS = Limits()


def request(data: bytes, limits: Limits = LIMITS) -> Request:
    parsed = parse_request(data, limits)
    assert parsed is not None
    return parsed[0]


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, b"Host: example.com", *lines, b"", b""])


def test_a_request_is_understood() -> None:
    data = b"POST /a?b=c HTTP/1.1\r\nHOST: h:80\r\nX-A:1 \r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc"
    parsed = parse_request(data, LIMITS)
    assert parsed is not None
    found, end = parsed
    assert data[end:] == b"abc"
    assert (found.method, found.target, found.path, found.version) == (
        b"POST",
        b"/a?b=c",
        b"/a",
        11,
    )
    assert found.host == b"h:80"
    assert found.get(b"x-a") == b"1"
    assert found.all(b"x-a") == [b"1", b"2"]
    assert found.headers[:2] == [(b"HOST", b"h:80"), (b"X-A", b"1")]
    assert found.length == 3
    assert found.keep_alive
    assert not found.idempotent


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /\r\nHost: a\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, id="version 2"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, id="version 1.2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="h2 preface"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="space in target"),
        pytest.param(b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="control in target"),
        pytest.param(b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="bad method"),
        pytest.param(b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="leading space"),
        pytest.param(b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, id="lower-case version"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(head(b"Host: b"), 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, id="space in host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, id="slash in host"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", 400, id="bare line feeds"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, id="one bare line feed"),
        pytest.param(head(b"X: a\rb"), 400, id="bare carriage return"),
        pytest.param(head(b"X: a\r"), 400, id="carriage return twice"),
        pytest.param(head(b"X : a"), 400, id="space before colon"),
        pytest.param(head(b"X\t: a"), 400, id="tab before colon"),
        pytest.param(head(b" folded"), 400, id="folded"),
        pytest.param(head(b"X: a", b"\tfolded: a"), 400, id="folded with tab"),
        pytest.param(head(b": a"), 400, id="empty name"),
        pytest.param(head(b"X(: a"), 400, id="bad name"),
        pytest.param(head(b"no colon"), 400, id="no colon"),
        pytest.param(head(b"X: a\x00b"), 400, id="nul"),
        pytest.param(head(b"X: a\x7f"), 400, id="delete"),
        pytest.param(head(b"X: a\x0bb"), 400, id="vertical tab"),
        pytest.param(head(b"Content-Length: 1", b"Content-Length: 1"), 400, id="repeated length"),
        pytest.param(head(b"Content-Length: 1, 1"), 400, id="length list"),
        pytest.param(head(b"Content-Length: +1"), 400, id="signed length"),
        pytest.param(head(b"Content-Length: -1"), 400, id="negative length"),
        pytest.param(head(b"Content-Length: 0x1"), 400, id="hex length"),
        pytest.param(head(b"Content-Length: 1_0"), 400, id="underscore length"),
        pytest.param(head(b"Content-Length:"), 400, id="empty length"),
        pytest.param(head(b"Content-Length: " + b"1" * 19), 400, id="huge length"),
        pytest.param(head(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400, id="both"),
        pytest.param(head(b"Transfer-Encoding: gzip, chunked"), 501, id="gzip"),
        pytest.param(head(b"Transfer-Encoding: xchunked"), 501, id="xchunked"),
        pytest.param(head(b"Transfer-Encoding: chunked, chunked"), 501, id="chunked twice"),
        pytest.param(head(b"Transfer-Encoding: identity"), 501, id="identity"),
        pytest.param(head(b"Transfer-Encoding:"), 501, id="empty coding"),
        pytest.param(
            head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
            400,
            id="two codings",
        ),
        pytest.param(
            head(b"Transfer-Encoding: chunked", start=b"GET / HTTP/1.0"), 400, id="chunked in 1.0"
        ),
        pytest.param(head(b"Expect: 200-ok"), 417, id="expectation"),
        pytest.param(head(start=b"CONNECT a:1 HTTP/1.1"), 501, id="connect"),
        pytest.param(head(start=b"GET a:1 HTTP/1.1"), 400, id="authority form"),
        pytest.param(head(start=b"GET * HTTP/1.1"), 400, id="asterisk"),
        pytest.param(head(start=b"GET ftp://a/ HTTP/1.1"), 400, id="other scheme"),
        pytest.param(head(start=b"GET http:///x HTTP/1.1"), 400, id="no authority"),
        pytest.param(head(start=b"GET http://u@[x]/ HTTP/1.1"), 400, id="userinfo"),
        pytest.param(b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="empty lines"),
        pytest.param(head(start=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414, id="long line"),
        pytest.param(head(*[b"X: %d" % n for n in range(128)]), 431, id="many fields"),
        pytest.param(head(b"X: " + b"a" * 65536), 431, id="large head"),
    ],
)
def test_what_is_ambiguous_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(PeerError) as caught:
        parse_request(data, LIMITS)
    assert caught.value.status == status


def test_a_target_may_hold_what_people_type() -> None:
    """curl sends a path as it was typed, and Go's servers take it: refusing would only annoy."""
    assert request(head(start="GET /é HTTP/1.1".encode())).target == "/é".encode()


def test_the_limits_are_exact() -> None:
    assert len(request(head(*[b"X: 1"] * 127)).fields) == 128
    line = b"GET /" + b"a" * (8192 - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
    assert len(line) == 8192
    assert request(head(start=line)).method == b"GET"
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    largest = start + b"a" * (LIMITS.head - len(start)) + b"\r\n\r\n"
    assert request(largest).method == b"GET"


OUTCOMES = [
    head(),
    head(b"Content-Length: 10"),
    head(b"Transfer-Encoding: Chunked"),
    b"\r\n" + head(),
    b"\r\n\r\n" + head(b"X: y"),
    head(b"X : a"),
    head(b"X: a\nb"),
    head(b"A: " + b"a" * 300),
    head(start=b"GET /" + b"a" * 200 + b" HTTP/1.1"),
    head(*[b"X: %d" % n for n in range(12)]),
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"nonsense\r\n\r\n",
]
SMALL = Limits(request_line=100, head=200, fields=10)


def outcome(pieces: list[bytes], limits: Limits) -> object:
    """What becomes of a head that arrives in these pieces: its fields, "refused", or None."""
    seen = b""
    for piece in pieces:
        before = len(seen)
        seen += piece
        try:
            parsed = parse_request(seen, limits, before)
        except PeerError:
            return "refused"
        if parsed is not None:
            return parsed[0].headers, parsed[0].length, parsed[0].target
    return None


@pytest.mark.parametrize("data", OUTCOMES)
@pytest.mark.parametrize("limits", [LIMITS, SMALL], ids=["default", "small"])
def test_byte_by_byte_gives_the_same(data: bytes, limits: Limits) -> None:
    whole = outcome([data], limits)
    assert whole is not None
    assert outcome([data[n : n + 1] for n in range(len(data))], limits) == whole


@given(st.sampled_from(OUTCOMES), st.lists(st.integers(1, 60), max_size=12))
def test_any_split_gives_the_same(data: bytes, sizes: list[int]) -> None:
    pieces = []
    rest = data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    for limits in (LIMITS, SMALL):
        assert outcome([*pieces, rest], limits) == outcome([data], limits)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    for candidate in (data, head(data), head(start=data)):
        try:
            parse_request(candidate, LIMITS)
            parse_response(candidate, b"GET", LIMITS)
        except PeerError:
            pass


def test_the_absolute_form_replaces_the_host() -> None:
    found = request(b"GET HTTP://Other:81/x?y HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n")
    assert (found.target, found.host) == (b"/x?y", b"Other:81")
    assert render_request(found, Forwarding(), False).count(b"Host:") == 1
    assert request(head(start=b"GET http://other?y HTTP/1.1")).target == b"/?y"


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close", False),
        (b"1.1", b"Connection: x, Close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive", True),
        (b"1.1", b"Connection: keep-alive", True),
    ],
)
def test_keep_alive(version: bytes, connection: bytes, keep: bool) -> None:
    lines = [connection] if connection else []
    assert request(head(*lines, start=b"GET / HTTP/" + version)).keep_alive is keep


def test_hop_by_hop_and_listed_fields_are_dropped() -> None:
    found = request(
        head(
            b"Connection: X-Secret, close, host, content-length",
            b"X-Secret: 1",
            b"Keep-Alive: timeout=5",
            b"Proxy-Authorization: Basic x",
            b"TE: gzip",
            b"Upgrade: websocket",
            b"X-Kept: 1",
            b"Knative-Serving-Revision: r",
            b"Content-Length: 0",
        )
    )
    sent = render_request(found, Forwarding(dropping(b"knative-serving-revision")), False)
    assert sent == (
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n"
    )


def test_connection_lines_add_up() -> None:
    found = request(head(b"Connection: X-A", b"Connection: X-B", b"X-A: 1", b"X-B: 2"))
    assert b"X-" not in render_request(found, Forwarding(HOP_BY_HOP), False)


def test_fields_are_added_and_the_target_replaced() -> None:
    edit = Forwarding(add=[(b"X-Forwarded-For", b"1.2.3.4")], target=b"/other")
    sent = render_request(request(head()), edit, False)
    assert sent.startswith(b"GET /other HTTP/1.1\r\n")
    assert sent.endswith(b"\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")


def test_upgrades_and_trailers_are_passed_on() -> None:
    found = request(head(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"))
    assert found.upgrade == b"websocket"
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in render_request(
        found, Forwarding(), False
    )
    assert request(head(b"Connection: Upgrade", b"Upgrade: h2c")).upgrade is None
    assert request(head(b"Upgrade: websocket")).upgrade is None
    assert b"TE: trailers\r\n" in render_request(
        request(head(b"TE: x, Trailers")), Forwarding(), False
    )


def test_http_1_0_gets_a_host() -> None:
    found = request(b"GET / HTTP/1.0\r\n\r\n")
    assert not found.keep_alive
    assert b"\r\nHost: \r\n" in render_request(found, Forwarding(), False)


@pytest.mark.parametrize(
    ("method", "start", "lines", "length"),
    [
        (b"GET", b"HTTP/1.1 200 OK", [b"Content-Length: 5"], 5),
        (b"GET", b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], CHUNKED),
        (b"GET", b"HTTP/1.1 200 OK", [], UNTIL_CLOSE),
        (b"GET", b"HTTP/1.0 200 OK", [], UNTIL_CLOSE),
        (b"GET", b"HTTP/1.1 200", [b"Content-Length: 0"], 0),
        (b"HEAD", b"HTTP/1.1 200 OK", [b"Content-Length: 5"], 0),
        (b"HEAD", b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], 0),
        (b"GET", b"HTTP/1.1 204 No Content", [], 0),
        (b"GET", b"HTTP/1.1 304 Not Modified", [b"Content-Length: 5"], 0),
        (b"GET", b"HTTP/1.1 103 Early Hints", [], 0),
    ],
)
def test_framing_of_responses(method: bytes, start: bytes, lines: list[bytes], length: int) -> None:
    parsed = parse_response(b"\r\n".join([start, *lines, b"", b""]), method, LIMITS)
    assert parsed is not None
    assert parsed[0].length == length
    assert parsed[0].keep_alive is (length != UNTIL_CLOSE and b"1.1" in start)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    ],
)
def test_bad_responses_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        parse_response(data, b"GET", LIMITS)


def test_what_is_remembered_is_bounded_and_holds_no_secrets() -> None:
    parse_fields([b"X-%d: 1" % n for n in range(3 * _REMEMBERED_LINES)])
    assert len(_remembered) <= _REMEMBERED_LINES
    secret = b"Authorization: Bearer abc"
    assert parse_fields([secret])[0][1] == b"Bearer abc"
    assert secret not in _remembered
    long = b"X: " + b"a" * 1000
    parse_fields([long])
    assert long not in _remembered
