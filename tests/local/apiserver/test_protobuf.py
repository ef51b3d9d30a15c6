"""Bodies as kubectl 1.32 sends them, and what cannot be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.apiserver.builtin.protobuf import decode
from pilotlight_local.apiserver.errors import ApiError
from tests.local.apiserver.harness import relaxed


def _bytes(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


def _envelope(api_version: bytes, kind: bytes, raw: bytes) -> bytes:
    type_meta = _bytes(1, api_version) + _bytes(2, kind)
    return b"k8s\x00" + _bytes(1, type_meta) + _bytes(2, raw) + _bytes(3, b"") + _bytes(4, b"")


METADATA = _bytes(1, b"web") + _bytes(2, b"") + _bytes(8, b"") + _number(7, 0)


def test_a_namespace() -> None:
    body = _envelope(b"v1", b"Namespace", _bytes(1, METADATA) + _bytes(2, b"") + _bytes(3, b""))
    assert decode(body) == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "web"},
        "spec": {},
        "status": {},
    }


def test_maps_bytes_and_flags() -> None:
    entry = _bytes(1, b"key") + _bytes(2, b"\x00\xff")
    raw = _bytes(1, METADATA) + _bytes(2, entry) + _bytes(3, b"Opaque") + _number(5, 0)
    obj = decode(_envelope(b"v1", b"Secret", raw))
    assert obj["data"] == {"key": "AP8="}
    assert obj["type"] == "Opaque"
    assert obj["immutable"] is False


def test_values_with_a_form_of_their_own() -> None:
    target = _number(1, 1) + _number(2, 0) + _bytes(3, b"http")
    port = _bytes(1, b"web") + _number(3, 80) + _bytes(4, target)
    obj = decode(_envelope(b"v1", b"Service", _bytes(1, METADATA) + _bytes(2, _bytes(1, port))))
    assert obj["spec"]["ports"] == [{"name": "web", "port": 80, "targetPort": "http"}]
    secret = _bytes(1, _bytes(1, b"name")) + _bytes(2, b"key")
    variable = _bytes(1, b"V") + _bytes(3, _bytes(4, secret))
    limits = _bytes(1, _bytes(1, b"cpu") + _bytes(2, _bytes(1, b"1")))
    container = _bytes(1, b"c") + _bytes(7, variable) + _bytes(8, limits)
    obj = decode(_envelope(b"v1", b"Pod", _bytes(2, _bytes(2, container))))
    assert obj["spec"]["containers"] == [
        {
            "name": "c",
            "env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "name", "key": "key"}}}],
            "resources": {"limits": {"cpu": "1"}},
        }
    ]


def test_a_kind_that_is_not_known() -> None:
    with pytest.raises(ApiError) as caught:
        decode(_envelope(b"example.com/v1", b"Lamp", b""))
    assert caught.value.status == 415


@relaxed
@given(st.binary(max_size=60))
def test_nonsense_is_refused_and_nothing_else(data: bytes) -> None:
    for body in (data, _envelope(b"v1", b"Pod", data)):
        with contextlib.suppress(ApiError):
            assert isinstance(decode(body), dict)
