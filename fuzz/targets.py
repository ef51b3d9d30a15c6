"""What has to hold for any bytes: each target takes some, and raises AssertionError if it does not.

The first byte says how the rest is cut into the pieces that arrive; what is read must not depend on
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fuzz.peers import by_h11, by_httptools, lowered, ours
from pilotlight.http import Limits, PeerError
from pilotlight.http.body import ChunkedBody, Decoder
from pilotlight.http.head import Request, Response, parse_request, parse_response
from pilotlight.load import wire

# Small, so that a few hundred bytes reach them.
LIMITS: Final = Limits(head=512, request_line=128, fields=16)

Head = tuple[bytes, ...]


class Read(NamedTuple):
    """What was read of a message: its head or the error, and how many bytes that took."""

    head: Head | None
    error: int
    used: int


def requests(data: bytes) -> None:
    """Request heads: no exception but PeerError, the same however they arrive, and nothing that
    only we accept or read otherwise than others do."""
    how, message = data[:1], data[1:]
    whole = _arrived([message], _request)
    for pieces in (_cut(how, message), [bytes([byte]) for byte in message]):
        assert _agree(whole, _arrived(pieces, _request)), (whole, pieces)
    mine = ours(message)
    if mine is None or not _is_common(mine[1], message):
        return
    # RFC 9112 allows empty lines before a request, which h11 does not know.
    h11s, httptools_ = by_h11(message.lstrip(b"\r\n")), by_httptools(message)
    assert h11s is not None or httptools_ is not None, message
    for theirs in (h11s, httptools_):
        if theirs is not None:
            assert mine[:2] == theirs[:2], (mine, theirs)
            assert mine[3] == theirs[3], (mine, theirs)
            assert lowered(mine[2]) == lowered(theirs[2]), (mine, theirs)


def responses(data: bytes) -> None:
    """Response heads: no exception but PeerError, and the same however they arrive."""
    how, message = data[:1], data[1:]
    whole = _arrived([message], _response)
    assert _agree(whole, _arrived(_cut(how, message), _response))


def chunks(data: bytes) -> None:
    """Chunked bodies: the same however they arrive, and what we accept h11 reads alike."""
    how, body = data[:1], data[1:]
    whole, error = _decoded(ChunkedBody(Limits()), [body])
    pieces, error_in_pieces = _decoded(ChunkedBody(Limits()), _cut(how, body))
    assert (whole is None) == (pieces is None)
    if whole is None:
        assert error == error_in_pieces
        return
    assert whole == pieces
    payload, done = whole
    if done:
        theirs = by_h11(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert theirs is not None, body
        assert theirs[3] == payload


def frames(data: bytes) -> None:
    """Frames of load reports: nothing but ProtocolError, and the same however they arrive."""
    how, stream = data[:1], data[1:]
    whole, refused = _frames([stream])
    pieces, refused_in_pieces = _frames(_cut(how, stream))
    assert refused == refused_in_pieces
    # In pieces the frames before a bad one have been handed out already.
    assert repr(whole) == repr(pieces) or refused


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "requests": requests,
    "responses": responses,
    "chunks": chunks,
    "frames": frames,
}


def _is_common(target: bytes, message: bytes) -> bool:
    """Whether others read such targets alike: of an absolute form we take the authority for the
    Host, as RFC 9112 has it, which they leave to their callers; and we let bytes above 127 pass, as
    nginx and Go do.
    """
    return target.isascii() and message.partition(b" ")[2].startswith(target + b" ")


def _cut(how: bytes, data: bytes) -> list[bytes]:
    size = (how[0] if how else 0) % 61 + 1
    return [data[at : at + size] for at in range(0, len(data), size)]


def _arrived(pieces: list[bytes], parse: Callable[[bytes, int], Read | None]) -> Read | None:
    """Read a head as a connection does: what is incomplete is kept, and looked at again with more.
    None for one that has not arrived as a whole."""
    kept = b""
    for piece in pieces:
        seen, kept = len(kept), kept + piece
        read = parse(kept, seen)
        if read is not None:
            return read
    return None


def _agree(whole: Read | None, pieces: Read | None) -> bool:
    """Of what is refused, the reason may differ: in pieces less of it has been seen."""
    if whole is not None and pieces is not None and whole.error:
        return bool(pieces.error)
    return whole == pieces


def _request(data: bytes, seen: int) -> Read | None:
    try:
        parsed = parse_request(data, LIMITS, seen)
    except PeerError as error:
        return Read(None, error.status, 0)
    return parsed and Read(_of_request(parsed[0]), 0, parsed[1])


def _response(data: bytes, seen: int) -> Read | None:
    try:
        parsed = parse_response(data, b"GET", LIMITS, seen)
    except PeerError as error:
        return Read(None, error.status, 0)
    return parsed and Read(_of_response(parsed[0]), 0, parsed[1])


def _of_request(head: Request) -> Head:
    fields = [part for field in head.fields for part in field[:2]]
    return (head.method, head.target, b"%d" % head.length, *fields)


def _of_response(head: Response) -> Head:
    fields = [part for field in head.fields for part in field[:2]]
    return (head.status_line, b"%d" % head.length, *fields)


def _decoded(decoder: Decoder, pieces: list[bytes]) -> tuple[tuple[bytes, bool] | None, int]:
    payload = b""
    for piece in pieces:
        if decoder.done:
            break
        try:
            payload += decoder.feed(piece)
        except PeerError as error:
            return None, error.status
    return (payload, decoder.done), 0


def _frames(pieces: list[bytes]) -> tuple[list[wire.Frame], bool]:
    decoder, found = wire.Decoder(), []
    for piece in pieces:
        try:
            found += decoder.feed(piece)
        except wire.ProtocolError:
            return found, True
    return found, False
