"""A Service whose port is named h2c: gRPC from the client to the container."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from e2e.conftest import Deploy
from e2e.harness import IMAGE, Deployed, Gateway

# The image of the tests has no gRPC: here the program runs in the tests' own environment.
pytestmark = [pytest.mark.e2e, pytest.mark.local]

SERVER = str(Path(__file__).parent / "app" / "grpc_app.py")


def spec(**more: Any) -> dict[str, Any]:
    port = {"name": "h2c", "containerPort": 8080}
    container = {"image": IMAGE, "command": [sys.executable, SERVER], "ports": [port]}
    return {"containers": [container], **more}


@pytest.fixture(name="service")
def service_fixture(deploy: Deploy) -> Deployed:
    return deploy(name="talk", spec=spec(), concurrency=2).ready()


@pytest.fixture(name="channel")
def channel_fixture(service: Deployed, gateway: Gateway) -> Iterator[grpc.Channel]:
    options = [("grpc.default_authority", service.host)]
    with grpc.insecure_channel(urlsplit(gateway.url).netloc, options) as channel:
        yield channel


def test_calls_reach_the_container_also_when_it_sleeps(
    service: Deployed, channel: grpc.Channel
) -> None:
    unary = channel.unary_unary("/e2e.Echo/Unary")
    large = b"x" * 1_000_000
    assert unary(large, timeout=30) == large
    service.asleep()
    reply, call = unary.with_call(b"awake", timeout=30)
    assert reply == b"awake"
    assert dict(call.trailing_metadata())["x-instance"].isdigit()
    calls = [unary.future(b"%d" % number, timeout=30) for number in range(40)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(40)]


def test_a_stream_goes_both_ways(channel: grpc.Channel) -> None:
    chat = channel.stream_stream("/e2e.Echo/Chat")
    replies = chat((b"%d" % number for number in range(100)), timeout=30)
    assert list(replies) == [b"%d" % number for number in range(100)]


def test_what_is_not_there_is_said_in_grpc(service: Deployed, gateway: Gateway) -> None:
    options = [("grpc.default_authority", f"no{service.host}")]
    address = urlsplit(gateway.url).netloc
    with grpc.insecure_channel(address, options) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/e2e.Echo/Unary")(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "no service has the host" in caught.value.details()
