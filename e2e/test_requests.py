"""From a manifest to answers."""

from __future__ import annotations

import json
import time

import aiohttp
import pytest

from e2e.conftest import Deploy
from e2e.harness import Cluster, Deployed, Gateway, Wish, condition_of

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", name="app")
def app_fixture(cluster: Cluster, gateway: Gateway, shared: str) -> Deployed:
    """One Service for all the tests that only ask."""
    wish = Wish(name="seen", env={"COLOUR": "amber"}, annotations={"min-scale": "1"})
    cluster.apply(wish.manifest(shared))
    return Deployed(cluster, gateway, shared, "seen").ready()


def test_an_applied_service_becomes_ready_and_answers(deploy: Deploy) -> None:
    service = deploy(env={"NAME": "first light"}).ready()
    status = service.object()["status"]
    assert status["latestReadyRevisionName"] == status["latestCreatedRevisionName"] == "app-00001"
    assert status["url"].startswith(f"http://app.{service.namespace}.")
    assert [entry["percent"] for entry in status["traffic"]] == [100]
    for kind in ("ConfigurationsReady", "RoutesReady", "Ready"):
        assert condition_of(service.object(), kind)["status"] == "True"
    answer = service.ask()
    assert (answer.status, answer.text) == (200, "first light")


def test_the_program_sees_the_request_and_the_runtime_contract(app: Deployed) -> None:
    environment = json.loads(app.ask("/env").text)
    assert environment["COLOUR"] == "amber"
    assert environment["K_SERVICE"] == environment["K_CONFIGURATION"] == "seen"
    assert environment["K_REVISION"] == "seen-00001"
    assert environment["PORT"].isdigit()
    headers = {
        name.lower(): value
        for name, value in json.loads(app.ask("/headers", headers={"X-Mine": "kept"}).text)
    }
    assert headers["x-mine"] == "kept"
    assert headers["host"] == app.host
    assert "x-forwarded-for" in headers
    assert "k-network-probe" not in headers


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_bodies_go_both_ways_whole(app: Deployed, size: int) -> None:
    body = b"0123456789abcdef" * (size // 16 + 1)
    answer = app.ask("/echo", method="POST", body=body[:size])
    assert answer.status == 200
    assert answer.text == body[:size].decode()


def test_the_status_of_the_program_is_the_answers(app: Deployed) -> None:
    codes = [201, 404, 500, 503]
    assert [app.ask(f"/status?code={code}").status for code in codes] == codes


def test_a_stream_is_passed_on_as_it_comes(app: Deployed) -> None:
    arrived = []
    with app.gateway.open(app.host, "/stream?n=4&ms=200") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        while line := response.readline():
            if line.startswith(b"data:"):
                arrived.append(time.monotonic())
    assert len(arrived) == 4
    assert arrived[-1] - arrived[0] > 0.4, "the events came in one piece"


async def test_a_websocket_echoes(deploy: Deploy, gateway: Gateway) -> None:
    service = deploy(name="echo", image="dev.local/echo:1").ready()
    headers = {"Host": service.host}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(gateway.url, headers=headers, timeout=_SOON) as socket,
    ):
        for message in ("ping", "ü" * 1000):
            await socket.send_str(message)
            assert await socket.receive_str() == message
        await socket.send_bytes(bytes(70_000))
        assert await socket.receive_bytes() == bytes(70_000)


_SOON = aiohttp.ClientWSTimeout(ws_receive=10.0, ws_close=5.0)


def test_a_host_that_nobody_serves_is_not_found(gateway: Gateway) -> None:
    assert gateway.ask("nobody.nowhere.localhost").status == 404
