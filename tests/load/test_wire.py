from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.load import wire
from pilotlight.load.keys import new_master_key, revision_key

GREETING = wire.Greeting("queue-proxy", "default", "hello-00001", "u1", "pod-1", "10.0.0.7:8012")
NONCE = bytes(range(16))
KEY = b"k" * 32

FRAMES: list[tuple[bytes, wire.Frame]] = [
    (wire.encode_name(7, "default/hello-00001"), wire.Name(7, "default/hello-00001")),
    (wire.encode_load(wire.Load(7, 1.5, 1.0, 3, 2)), wire.Load(7, 1.5, 1.0, 3, 2)),
    (
        wire.encode_state(wire.State(wire.PodState.READY, 1.25, 2.5)),
        wire.State(wire.PodState.READY, 1.25, 2.5),
    ),
    (wire.encode_waiting(wire.Waiting(9, 1)), wire.Waiting(9, 1)),
    (wire.encode_heartbeat(), wire.Heartbeat()),
    (wire.encode_decided(wire.Decided(9, 3.0, 4.0)), wire.Decided(9, 3.0, 4.0)),
    (wire.encode_released(), wire.Released()),
]


@pytest.mark.parametrize(("data", "frame"), FRAMES, ids=[type(f).__name__ for _, f in FRAMES])
def test_a_frame_reads_back_as_it_was_written(data: bytes, frame: wire.Frame) -> None:
    assert wire.Decoder().feed(data) == [frame]


@given(st.lists(st.sampled_from(FRAMES), max_size=12), st.lists(st.integers(1, 40), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_frames(
    chosen: list[tuple[bytes, wire.Frame]], cuts: list[int]
) -> None:
    stream = b"".join(data for data, _ in chosen)
    decoder = wire.Decoder()
    seen: list[wire.Frame] = []
    for cut in [*cuts, len(stream)]:
        seen += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert seen == [frame for _, frame in chosen]


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_a_protocol_error(data: bytes) -> None:
    try:
        wire.Decoder().feed(data)
    except wire.ProtocolError:
        pass


def test_a_greeting_is_good_for_its_key_and_its_nonce_only() -> None:
    [signed] = wire.Decoder().feed(wire.encode_greeting(GREETING, KEY, NONCE))
    assert isinstance(signed, wire.SignedGreeting)
    assert signed.greeting == GREETING
    assert wire.verify(signed, KEY, NONCE)
    assert not wire.verify(signed, KEY, bytes(16))
    assert not wire.verify(signed, b"x" * 32, NONCE)
    forged = signed._replace(body=signed.body.replace(b"10.0.0.7", b"10.0.0.8"))
    assert not wire.verify(forged, KEY, NONCE)


def test_a_challenge_of_another_protocol_is_refused() -> None:
    assert wire.decode_challenge(wire.encode_challenge(NONCE)) == NONCE
    with pytest.raises(wire.ProtocolError):
        wire.decode_challenge(b"HTTP/1.1 400 Bad Req")


@pytest.mark.parametrize("average", [math.nan, math.inf, -1.0], ids=str)
def test_load_that_would_poison_a_window_is_refused(average: float) -> None:
    data = wire.encode_load(wire.Load(1, average, 1.0, 0, 0))
    with pytest.raises(wire.ProtocolError):
        wire.Decoder().feed(data)


def test_a_frame_longer_than_its_type_allows_is_refused_before_it_has_arrived() -> None:
    with pytest.raises(wire.ProtocolError):
        wire.Decoder().feed(struct.pack(">BH", 1, 60_000))


def test_the_key_of_a_revision_depends_on_all_that_names_it() -> None:
    master = bytes.fromhex(new_master_key())
    keys = {
        revision_key(master, "a", "b", "1"),
        revision_key(master, "a", "b", "2"),
        revision_key(master, "a", "c", "1"),
        revision_key(master, "d", "b", "1"),
        revision_key(bytes(32), "a", "b", "1"),
    }
    assert len(keys) == 5
