"""The process: readiness, metrics, the end, and several activators that share pods."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pilotlight.http import Exchange, Server
from pilotlight.load import wire
from pilotlight_activator.errors import SettingsError
from pilotlight_activator.pods import Endpoint, Voice, Word
from pilotlight_activator.service import Service
from pilotlight_activator.settings import Settings, read_settings

from .conftest import (
    LOCALHOST,
    Answer,
    Autoscaler,
    Held,
    Knowledge,
    Rig,
    answer,
    ask,
    here,
    route_rule,
    until,
)


async def admin(rig: Rig, path: str) -> Answer:
    return await ask(rig.addresses.admin, f"GET {path} HTTP/1.1", {"Host": "admin"})


async def test_readiness_waits_for_the_objects_of_the_api(rig: Rig) -> None:
    assert (await admin(rig, "/readyz")).body == b"ok\n"
    rig.knowledge.has_synced = False
    assert (await admin(rig, "/readyz")).status == 503
    assert (await admin(rig, "/healthz")).status == 200
    got = await rig.get_inside(Host="10.0.0.1", User_Agent="kube-probe/1")
    assert got.status == 500


async def test_without_the_api_it_goes_on_and_says_so(rig: Rig) -> None:
    await rig.pod(answer())
    rig.knowledge.connected = False
    got = await admin(rig, "/readyz")
    assert got.status == 200
    assert b"cannot be reached" in got.body
    assert (await rig.get()).status == 200
    assert "pilotlight_gateway_api_connected 0.0" in (await admin(rig, "/metrics")).body.decode()


async def test_metrics(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    text = (await admin(rig, "/metrics")).body.decode()
    names = (
        'k8s_namespace_name="shop",kn_configuration_name="cart",'
        'kn_revision_name="cart-1",kn_service_name="cart"'
    )
    label = f"{{{','.join(sorted(names.split(',')))}}}"
    lines = {_sorted_labels(line) for line in text.splitlines()}
    assert f"kn_revision_request_queued{label} 1.0" in lines
    assert f"kn_revision_request_active{label} 0.0" in lines
    assert f"kn_revision_request_concurrency{label} 1.0" in lines
    await rig.pod(answer())
    await waiting
    await rig.get(Host="unknown")
    text = (await admin(rig, "/metrics")).body.decode()
    assert 'http_server_request_duration_seconds_bucket{http_response_status_code="200"' in text
    assert 'phase="total"' in text
    assert 'phase="first-byte"' in text
    assert "pilotlight_gateway_unrouted_total 1.0" in text
    assert "kn_activator_stats_conn_reachable 1.0" in text


def _sorted_labels(line: str) -> str:
    name, brace, rest = line.partition("{")
    if not brace:
        return line
    labels, _, value = rest.partition("}")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}}{value}"


async def test_requests_under_way_may_end(settings: Settings) -> None:
    """A request in a pod and one that waits both end well after the process was told to stop."""
    service = Service(replace(settings, shutdown=replace(settings.shutdown, linger_s=0.05)), here)
    service.know(Knowledge())
    addresses = await service.start()
    program = Held()
    server = Server(program)
    port = await server.listen(LOCALHOST, 0)
    rig = Rig(service, addresses, Knowledge(), Autoscaler())
    rig.revision(concurrency=1)
    rig.route()
    backends = service.backends
    backends.greeted("shop/cart-1", Voice(1, "pod", f"{LOCALHOST}:{port}"))
    backends.said("shop/cart-1", 1, "pod", Word.READY)
    first, second = asyncio.create_task(rig.get()), asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1 and program.holds == 1)

    stopping = asyncio.create_task(service.stop())
    await until(lambda: service.health.stopping)
    assert (await admin(rig, "/readyz")).status == 503
    # The listeners still accept for a moment.
    third = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 2)
    for _ in range(3):
        await until(lambda: program.holds == 1)
        program.let_go()
    assert {got.status for got in await asyncio.gather(first, second, third)} == {200}
    assert await stopping
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await rig.get()
    server.close()


async def test_what_does_not_end_in_time_is_cut_off(settings: Settings) -> None:
    service = Service(replace(settings, shutdown=replace(settings.shutdown, drain_s=0.1)), here)
    service.know(Knowledge())
    rig = Rig(service, await service.start(), Knowledge(), Autoscaler())
    rig.revision()
    rig.route()
    _, writer = await asyncio.open_connection(LOCALHOST, rig.addresses.external)
    writer.write(b"GET / HTTP/1.1\r\nHost: cart.shop.localhost\r\n\r\n")
    await until(lambda: rig.waiting() == 1)
    assert not await service.stop()
    assert rig.waiting() == 0
    writer.close()


class Strict:
    """A pod of one slot, as its queue-proxy guards it: what comes beyond is sent back."""

    def __init__(self, source: random.Random) -> None:
        self.holds = 0
        self.most = 0
        self.refused = 0
        self.served = 0
        self._source = source

    def __call__(self, exchange: Exchange) -> None:
        if exchange.request.get(b"k-network-probe") is not None:
            exchange.respond(200, b"queue")
        elif self.holds:
            self.refused += 1
            exchange.respond(503, b"", [(b"K-Pilotlight-Busy", b"full")])
        else:
            self.holds += 1
            self.most = max(self.most, self.holds)
            delay = self._source.uniform(0.001, 0.03)
            asyncio.get_running_loop().call_later(delay, self._end, exchange)

    def _end(self, exchange: Exchange) -> None:
        self.holds -= 1
        self.served += 1
        exchange.respond(200, b"done")


@pytest.fixture
async def shared(settings: Settings) -> AsyncIterator[tuple[list[Rig], list[Strict]]]:
    """Three activators, and ten pods of one slot that all of them use."""
    source = random.Random(11)
    programs = [Strict(source) for _ in range(10)]
    servers = [Server(program) for program in programs]
    endpoints = []
    for number, server in enumerate(servers):
        port = await server.listen(LOCALHOST, 0)
        endpoints.append(Endpoint(f"pod-{number}", f"{LOCALHOST}:{port}", True, False))
    rigs = []
    for number in range(3):
        service = Service(settings, here)
        service.know(Knowledge())
        rig = Rig(service, await service.start(), Knowledge(), Autoscaler())
        rig.revision(concurrency=1)
        rig.route(route_rule("cart.shop.localhost", "cart-1"))
        service.backends.activators(("a", "b", "c"), "abc"[number])
        rig.listed(*endpoints)
        rigs.append(rig)
    await until(lambda: all(usable(rig) == 10 for rig in rigs), "all pods are used", 20)
    yield rigs, programs
    for rig in rigs:
        await rig.service.stop()
    for server in servers:
        server.close()


def usable(rig: Rig) -> int:
    backend = rig.service.backends.get("shop/cart-1")
    return 0 if backend is None else len(backend.throttle.usable())


async def test_three_activators_share_ten_pods_of_one_slot(
    shared: tuple[list[Rig], list[Strict]],
) -> None:
    rigs, programs = shared

    async def load(rig: Rig, count: int) -> list[Answer]:
        return list(await asyncio.gather(*(rig.get() for _ in range(count))))

    # Uneven: the first has far more than its share of slots, and has to borrow.
    answers = await asyncio.gather(load(rigs[0], 200), load(rigs[1], 60), load(rigs[2], 60))
    assert {got.status for found in answers for got in found} == {200}
    assert max(program.most for program in programs) == 1
    assert sum(program.served for program in programs) == 320
    assert sum(program.refused for program in programs) > 0


def test_the_settings_of_an_environment() -> None:
    settings = read_settings(
        {
            "PILOTLIGHT_BIND": "127.3.0.5",
            "PILOTLIGHT_GATEWAY": "7,8",
            "POD_NAME": "activator-1",
            "PILOTLIGHT_QUEUE_REQUESTS": "5",
            "PILOTLIGHT_LINGER_SECONDS": "0.5",
        }
    )
    assert settings.gateways == (7, 8)
    assert settings.pod_ip == "127.3.0.5"
    assert settings.autoscaler == "autoscaler-reports.knative-serving.svc.cluster.local:8014"
    assert settings.queueing.revision_count == 5
    assert settings.shutdown.linger_s == 0.5
    assert read_settings({}).bind == "0.0.0.0"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PILOTLIGHT_GATEWAY", "127.0.0.1:8080", "must be numbers"),
        ("PILOTLIGHT_GATEWAY", "7,", "must be numbers"),
        ("PILOTLIGHT_AUTOSCALER", "somewhere", "must be host:port"),
        ("PILOTLIGHT_QUEUE_REQUESTS", "-1", "must be a whole number"),
        ("PILOTLIGHT_QUEUE_BYTES", "1k", "must be a whole number"),
        ("PILOTLIGHT_LINGER_SECONDS", "soon", "must be a number of seconds"),
        ("PILOTLIGHT_DRAIN_SECONDS", "inf", "must be a number of seconds"),
    ],
)
def test_settings_that_cannot_be_used(name: str, value: str, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule) as caught:
        read_settings({name: value})
    assert name in str(caught.value)


async def test_a_reporter_that_is_gone_is_not_counted(rig: Rig) -> None:
    pod = await rig.pod(answer())
    assert rig.service.collector.statistics().sessions == 1
    await pod.close()
    await until(lambda: rig.service.collector.statistics().sessions == 0)
    pod.say(wire.PodState.READY)
    assert not rig.is_used(pod)


async def test_requests_are_only_taken_when_it_is_known_where_they_go(settings: Settings) -> None:
    service, knowledge = Service(settings), Knowledge()
    knowledge.has_synced = False
    service.know(knowledge)
    starting = asyncio.create_task(service.start())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(starting), 0.1)
    knowledge.has_synced = True
    addresses = await asyncio.wait_for(starting, 2)
    got = await ask(addresses.external, "GET / HTTP/1.1", {"Host": "nobody"})
    assert got.status == 404
    await service.stop()
