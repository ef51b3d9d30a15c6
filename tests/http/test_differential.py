"""The same bytes through our parser, h11 and httptools: we accept nothing that both refuse, and
where all three accept a request they agree on what it says.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.peers import by_h11, by_httptools, lowered, ours
from pilotlight.http import Limits, PeerError
from pilotlight.http.body import ChunkedBody

PIECES = [
    b"Host: a\r\n",
    b"host: b\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 03\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: +3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: Chunked \r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"X: y\r\n",
    b"X:\ty \r\n",
    b"X : y\r\n",
    b"X: y\n",
    b" fold\r\n",
    b"X: \x00\r\n",
    b"X: \x01\r\n",
    b"X: \xe9\r\n",
    b"X\r\n",
    b": y\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
]
STARTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /x?y HTTP/1.1\r\n",
    b"POST /x HTTP/1.0\r\n",
    b"GET / HTTP/1.1\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET / HTTP/1.1 \r\n",
    b"G\x00T / HTTP/1.1\r\n",
    b"GET / HTTP/1.10\r\n",
]
BODIES = [
    b"",
    b"abc",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;e\r\nabc\r\n0\r\nT: t\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
]
streams = st.builds(
    lambda start, fields, body: start + b"".join(fields) + b"\r\n" + body,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PIECES), max_size=5),
    st.sampled_from(BODIES),
)


@settings(max_examples=1500, deadline=None)
@given(streams)
@example(
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"
)
def test_we_are_at_least_as_strict(data: bytes) -> None:
    mine, h11s, httptools_ = ours(data), by_h11(data), by_httptools(data)
    if mine is None:
        return
    assert h11s is not None or httptools_ is not None, "only we accept this"
    for theirs in (h11s, httptools_):
        if theirs is not None:
            assert mine[0] == theirs[0]
            assert mine[1] == theirs[1]
            assert mine[3] == theirs[3]
            assert lowered(mine[2]) == lowered(theirs[2])


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=30), max_size=5),
    st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=1)), max_size=2),
)
def test_mutated_chunks(chunks: list[bytes], mutations: list[tuple[int, bytes]]) -> None:
    """Flip bytes of a good chunked body: what we still accept, h11 decodes to the same."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    for position, byte in mutations:
        at = position % len(body)
        body = body[:at] + byte + body[at + 1 :]
    decoder = ChunkedBody(Limits())
    try:
        payload = decoder.feed(body)
    except PeerError:
        return
    if not decoder.done:
        return
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    theirs = by_h11(head + body)
    assert theirs is not None
    assert theirs[3] == payload
