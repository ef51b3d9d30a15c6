"""Body decoders: any split of the bytes gives the same payload, and nothing bad gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.http import Limits, PeerError
from pilotlight.http.body import ChunkedBody, CloseBody, LengthBody, chunk, decoder_for, last_chunk
from pilotlight.http.fields import trailer_lines

LIMITS = Limits()


def decode(pieces: list[bytes], limits: Limits = LIMITS) -> tuple[bytes, bytes, list[bytes]] | str:
    """Payload, what follows the body, and trailers; or "refused", or "incomplete"."""
    decoder = ChunkedBody(limits)
    payload = b""
    for number, piece in enumerate(pieces):
        try:
            payload += decoder.feed(piece)
        except PeerError:
            return "refused"
        if decoder.done:
            rest = decoder.rest + b"".join(pieces[number + 1 :])
            return payload, rest, trailer_lines(decoder.trailers)
    return "incomplete"


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


GOOD = [
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", b"GET /"),
    (b"5;a=b\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", b"hello!", b""),
    (
        b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\nX: y\r\n\r\nmore",
        b"01234567890123456789a",
        b"more",
    ),
    (b"2\r\n\r\n\r\n0\r\n\r\n\r\n", b"\r\n", b"\r\n"),
]
BAD = [
    b"x\r\n",
    b"-1\r\n",
    b"+1\r\n\r\n",
    b"0x1\r\na\r\n",
    b"1_0\r\n",
    b" 1\r\na\r\n",
    b"1 \r\na\r\n",
    b"1\na\n0\n\n",
    b"\r\n",
    b";a\r\n",
    b"1\r\nab\r\n",
    b"1\r\na\n",
    b"1\r\na\r\r\n",
    b"1;a\nb\r\na\r\n",
    b"1;a\x00\r\na\r\n",
    b"1" * 16 + b"\r\n",
    b"1;" + b"a" * 300 + b"\r\na\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\nX: y\n\r\n\r\n",
    b"0\r\n folded\r\n\r\n",
    b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"0\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
]


@pytest.mark.parametrize(("data", "payload", "rest"), GOOD)
def test_chunked_bodies(data: bytes, payload: bytes, rest: bytes) -> None:
    whole = decode([data])
    assert whole[:2] == (payload, rest)
    assert decode([data[n : n + 1] for n in range(len(data))]) == whole


@pytest.mark.parametrize("data", BAD)
def test_bad_chunks_are_refused(data: bytes) -> None:
    assert decode([data]) == "refused"
    assert decode([data[n : n + 1] for n in range(len(data))]) == "refused"


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(1, 20), max_size=30))
def test_what_is_encoded_is_decoded_in_any_split(chunks: list[bytes], sizes: list[int]) -> None:
    data = b"".join(map(chunk, chunks)) + last_chunk([b"X-Sum: 1"]) + b"next"
    assert decode(split(data, sizes)) == (b"".join(chunks), b"next", [b"X-Sum: 1"])


@given(st.sampled_from([g[0] for g in GOOD] + BAD), st.lists(st.integers(1, 20), max_size=30))
def test_any_split_gives_the_same(data: bytes, sizes: list[int]) -> None:
    assert decode(split(data, sizes)) == decode([data])


@given(st.binary(max_size=100), st.lists(st.integers(1, 20), max_size=10))
def test_arbitrary_bytes_raise_nothing_else(data: bytes, sizes: list[int]) -> None:
    decode(split(data, sizes))


def test_trailers_that_frame_or_route_are_left_out() -> None:
    found = decode([b"0\r\nContent-Length: 5\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"])
    assert found == (b"", b"", [b"X-Sum: 1"])


@given(st.integers(1, 100), st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=30))
def test_a_length_is_exact(length: int, data: bytes, sizes: list[int]) -> None:
    decoder = LengthBody(length)
    payload = b""
    pieces = split(data, sizes)
    while pieces and not decoder.done:
        payload += decoder.feed(pieces.pop(0))
    assert payload == data[:length]
    assert decoder.rest + b"".join(pieces) == data[length:]
    assert decoder.done is (len(data) >= length)


def test_a_body_until_the_end_of_the_connection() -> None:
    decoder = decoder_for(-2, LIMITS)
    assert isinstance(decoder, CloseBody)
    assert decoder.feed(b"abc") == b"abc"
    assert not decoder.done
