"""Whatever a peer of HTTP/2 says in a head, what becomes of it is one head of HTTP/1.1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pilotlight.http.errors import PeerError
from pilotlight.http.forwarding import AS_IS, render_request
from pilotlight.http.head import parse_request
from pilotlight.http.http2 import heads
from pilotlight.http.http2.patience import CONTROL, RESET, Patience
from pilotlight.http.limits import Limits

LIMITS = Limits()
NAMES = st.sampled_from(
    [b":method", b":path", b":scheme", b":authority", b":status", b"host", b"te", b"cookie",
     b"connection", b"content-length", b"transfer-encoding", b"expect", b"x", b"X", b""]
) | st.binary(max_size=4)  # fmt: skip
VALUES = st.sampled_from(
    [b"GET", b"/", b"*", b"http", b"a", b"trailers", b"chunked", b"0", b"5", b"100-continue"]
) | st.binary(max_size=6)
GOOD = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/p")]


@given(st.booleans(), st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_heads_become_one_head_or_none(
    whole: bool, more: list[tuple[bytes, bytes]], ended: bool
) -> None:
    try:
        request = heads.read_request([*(GOOD if whole else ()), *more], ended, LIMITS)
    except PeerError:
        return
    rendered = render_request(request, AS_IS, False)
    parsed = parse_request(rendered, LIMITS)
    assert parsed is not None
    again, end = parsed
    assert end == len(rendered), "a second message begins in it"
    assert (again.method, again.target, again.host) == (
        request.method,
        request.target,
        request.host,
    )
    assert again.length == request.length
    assert again.upgrade is None
    # And back: nothing is lost or added on the way through a proxy of HTTP/1.1.
    back = heads.read_request(heads.render_request(again, AS_IS, False), ended, LIMITS)
    assert (back.method, back.target, back.host) == (again.method, again.target, again.host)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_answers_are_understood_or_refused(pairs: list[tuple[bytes, bytes]], ended: bool) -> None:
    try:
        response = heads.read_response([(b":status", b"200"), *pairs], ended, b"GET", LIMITS)
    except PeerError:
        return
    rendered = heads.render_response(response, ())
    assert all(name == name.lower() and b"\n" not in name + value for name, value in rendered)


@given(st.lists(st.floats(0, 1), max_size=50))
def test_patience_is_never_more_than_its_rate(pauses: list[float]) -> None:
    """However a peer spreads them, resets above the burst take 5 ms each."""
    now = spent = 0.0
    patience = Patience(now)
    for pause in pauses:
        now += pause
        for _ in range(400):
            patience.spend(RESET)
        spent += 400 * RESET
        now += patience.delay(now)
        assert spent <= Patience.MOST + Patience.RATE * now + 1e-6


def test_patience_costs_nothing_below_its_rate() -> None:
    patience = Patience(0.0)
    for step in range(1, 100):
        for _ in range(90):
            patience.spend(CONTROL)
        assert patience.delay(step * 0.1) == 0
