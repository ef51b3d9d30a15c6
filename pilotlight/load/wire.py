"""The wire format of load reports: bytes in, frames out, and frames to bytes. No I/O, no clock.

A collector opens with a challenge: 4 bytes of magic and 16 of nonce. The reporter answers with a
greeting, signed over the nonce, so that a recorded greeting is worth nothing on another connection.
Everything after the challenge is a frame: type (1 byte), length of the payload (2 bytes, big
endian), payload. All numbers are big endian.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

MAGIC: Final = b"PLT1"
NONCE_LENGTH: Final = 16
CHALLENGE_LENGTH: Final = len(MAGIC) + NONCE_LENGTH
MAC_LENGTH: Final = 32
LONGEST_GREETING: Final = 2048
LONGEST_NAME: Final = 512


class ProtocolError(Exception):
    """The peer sent what the format does not allow; the connection is of no more use."""


class PodState(enum.IntEnum):
    """What a queue-proxy says of its pod."""

    NOT_READY = 0
    READY = 1
    DRAINING = 2


class Greeting(NamedTuple):
    """Who reports. `kind` is "queue-proxy" or "activator"; `address` is "ip:port", the port on
    which the pod takes requests; `uid` is the Revision's (empty for an activator).
    """

    kind: str
    namespace: str
    revision: str
    uid: str
    pod: str
    address: str


class Name(NamedTuple):
    """From now on `id` stands for the Revision `key` ("namespace/name") on this connection."""

    id: int
    key: str


class Load(NamedTuple):
    """What a reporter held of a Revision during the last `seconds`: the time-weighted mean of
    concurrent requests, the requests that arrived, and those in hand at the end. `age`: seconds
    between that end and the sending of the record.
    """

    id: int
    average: float
    seconds: float
    requests: int
    inflight: int
    age: float = 0.0


class State(NamedTuple):
    """The state of the reporting pod. Times are Unix seconds, 0 when unknown: when the
    queue-proxy's process began, and when the user's container first answered.
    """

    state: PodState
    started_at: float
    answered_at: float


class Waiting(NamedTuple):
    """So many requests wait for a Revision that has no usable pod. Sent at once for the first, and
    again as they grow more.
    """

    id: int
    requests: int


class Heartbeat(NamedTuple):
    """The reporter is there, and idle."""


class Decided(NamedTuple):
    """The collector's answer to `Waiting`: when it decided to scale, and when the API had it.
    Unix seconds.
    """

    id: int
    decided_at: float
    patched_at: float


class Released(NamedTuple):
    """The collector saw DRAINING and will send this pod nothing more."""


class SignedGreeting(NamedTuple):
    """A greeting as received: `body` and `mac` let the collector check it by `verify`."""

    greeting: Greeting
    body: bytes
    mac: bytes


Frame = SignedGreeting | Name | Load | State | Waiting | Heartbeat | Decided | Released

_HEADER: Final = struct.Struct(">BH")
_ID: Final = struct.Struct(">I")
_LOAD: Final = struct.Struct(">IddIId")
_STATE: Final = struct.Struct(">Bdd")
_WAITING_BODY: Final = struct.Struct(">II")
_DECIDED: Final = struct.Struct(">Idd")

_GREETING, _NAME, _LOAD_TYPE, _STATE_TYPE, _WAITING, _HEARTBEAT, _DECIDED_TYPE, _RELEASED = range(
    1, 9
)

_LARGEST_U32: Final = 2**32 - 1


def encode_challenge(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_LENGTH:
        raise ValueError(f"a nonce has {NONCE_LENGTH} bytes, not {len(nonce)}")
    return MAGIC + nonce


def decode_challenge(data: bytes) -> bytes:
    """The nonce in a collector's first 20 bytes."""
    if len(data) != CHALLENGE_LENGTH or not data.startswith(MAGIC):
        raise ProtocolError("the peer does not speak the load report protocol")
    return data[len(MAGIC) :]


def encode_greeting(greeting: Greeting, key: bytes, nonce: bytes) -> bytes:
    body = json.dumps(greeting._asdict(), separators=(",", ":")).encode()
    if len(body) > LONGEST_GREETING:
        raise ValueError(f"a greeting has at most {LONGEST_GREETING} bytes, not {len(body)}")
    return _frame(_GREETING, _mac(key, nonce, body) + body)


def verify(signed: SignedGreeting, key: bytes, nonce: bytes) -> bool:
    """Whether the greeting was signed with `key` for this connection's nonce."""
    return hmac.compare_digest(_mac(key, nonce, signed.body), signed.mac)


def encode_name(id_: int, key: str) -> bytes:
    return _frame(_NAME, _ID.pack(id_) + key.encode())


def encode_load(load: Load) -> bytes:
    return _HEADER.pack(_LOAD_TYPE, _LOAD.size) + _LOAD.pack(
        load.id,
        load.average,
        load.seconds,
        min(load.requests, _LARGEST_U32),
        load.inflight,
        load.age,
    )


def encode_state(state: State) -> bytes:
    return _frame(_STATE_TYPE, _STATE.pack(*state))


def encode_waiting(waiting: Waiting) -> bytes:
    return _frame(_WAITING, _WAITING_BODY.pack(*waiting))


def encode_heartbeat() -> bytes:
    return _frame(_HEARTBEAT, b"")


def encode_decided(decided: Decided) -> bytes:
    return _frame(_DECIDED_TYPE, _DECIDED.pack(*decided))


def encode_released() -> bytes:
    return _frame(_RELEASED, b"")


class Decoder:
    """Bytes to frames. `feed` takes any split of the stream; it raises ProtocolError once the
    stream makes no sense, and holds at most one incomplete frame.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Frame]:
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer, start)
            _check_length(kind, length)
            end = start + _HEADER.size + length
            if end > len(buffer):
                break
            frames.append(_decode(kind, buffer[start + _HEADER.size : end]))
            start = end
        self._buffer = buffer[start:]
        return frames


_LENGTHS: Final[dict[int, tuple[int, int]]] = {
    _GREETING: (MAC_LENGTH + 2, MAC_LENGTH + LONGEST_GREETING),
    _NAME: (_ID.size + 1, _ID.size + LONGEST_NAME),
    _LOAD_TYPE: (_LOAD.size, _LOAD.size),
    _STATE_TYPE: (_STATE.size, _STATE.size),
    _WAITING: (_WAITING_BODY.size, _WAITING_BODY.size),
    _HEARTBEAT: (0, 0),
    _DECIDED_TYPE: (_DECIDED.size, _DECIDED.size),
    _RELEASED: (0, 0),
}


def _check_length(kind: int, length: int) -> None:
    bounds = _LENGTHS.get(kind)
    if bounds is None:
        raise ProtocolError(f"unknown frame type {kind}")
    if not bounds[0] <= length <= bounds[1]:
        raise ProtocolError(f"a frame of type {kind} cannot have {length} bytes")


def _decode(kind: int, payload: bytes) -> Frame:
    try:
        return _DECODERS[kind](payload)
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"a frame of type {kind} cannot be read: {error}") from error


def _decode_load(payload: bytes) -> Load:
    load = Load(*_LOAD.unpack(payload))
    # NaN fails both comparisons; infinity and negative values would poison a window for its length.
    if not (
        0.0 <= load.average < 1e9 and 0.0 <= load.seconds < 86_400.0 and 0.0 <= load.age < 60.0
    ):
        raise ValueError(
            f"load out of range: average {load.average}, seconds {load.seconds}, age {load.age}"
        )
    return load


def _decode_greeting(payload: bytes) -> SignedGreeting:
    mac, body = payload[:MAC_LENGTH], payload[MAC_LENGTH:]
    fields = json.loads(body)
    greeting = Greeting(*(str(fields[name]) for name in Greeting._fields))
    return SignedGreeting(greeting, body, mac)


def _decode_name(payload: bytes) -> Name:
    return Name(_ID.unpack_from(payload)[0], payload[_ID.size :].decode())


def _decode_state(payload: bytes) -> State:
    state, started_at, answered_at = _STATE.unpack(payload)
    return State(PodState(state), started_at, answered_at)


_DECODERS: Final[dict[int, Callable[[bytes], Frame]]] = {
    _GREETING: _decode_greeting,
    _NAME: _decode_name,
    _LOAD_TYPE: _decode_load,
    _STATE_TYPE: _decode_state,
    _WAITING: lambda payload: Waiting(*_WAITING_BODY.unpack(payload)),
    _HEARTBEAT: lambda _: Heartbeat(),
    _DECIDED_TYPE: lambda payload: Decided(*_DECIDED.unpack(payload)),
    _RELEASED: lambda _: Released(),
}


def _frame(kind: int, payload: bytes) -> bytes:
    _check_length(kind, len(payload))
    return _HEADER.pack(kind, len(payload)) + payload


def _mac(key: bytes, nonce: bytes, body: bytes) -> bytes:
    return hmac.digest(key, nonce + body, hashlib.sha256)
