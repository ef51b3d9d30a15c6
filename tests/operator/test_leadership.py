"""Two operators: one leads, and the other knows as much and takes over."""

from __future__ import annotations

import asyncio
import signal

import pytest

from pilotlight import names
from pilotlight.kube.resources import CONFIG_MAPS, CORE_SERVICES, SERVICES
from pilotlight_operator.index import KINDS
from tests.operator.conftest import Bench, Replica, eventually
from tests.operator.test_process import WRITES, hello, make_ready, ready

QUICK = {"lease-duration": "3s", "renew-deadline": "2s", "retry-period": "200ms"}


@pytest.fixture(name="two")
async def two_fixture(bench: Bench) -> Bench:
    """The first leads, with a Service that is ready; the second stands by, and admits it all."""
    key = (names.SYSTEM_NAMESPACE, names.CONFIG_LEADER_ELECTION)
    await bench.client.patch(CONFIG_MAPS, key, {"data": QUICK})
    await bench.one.start()
    await eventually(lambda: bench.leader() == bench.one.name, "the first leads")
    await bench.two.start()
    await bench.ask(bench.two)
    await make_ready(bench)
    return bench


async def label(bench: Bench, value: str) -> None:
    """A change that has to arrive at the children."""
    patch = {"metadata": {"labels": {"team": value}}}
    await bench.client.patch(SERVICES, ("default", "hello"), patch)


def arrived(bench: Bench, value: str) -> bool:
    child = bench.cluster.get(CORE_SERVICES, "default", "hello") or {}
    return bool(child["metadata"]["labels"].get("team") == value)


async def leads(replica: Replica) -> bool:
    return await replica.metric("pilotlight_operator_leader") == 1


async def test_a_standby_admits_and_knows_and_writes_nothing(two: Bench) -> None:
    await two.client.create(SERVICES, hello("other"))
    await eventually(two.scaled("other-00001"), "the first reconciles")
    await eventually(ready(two, "other"), "the Service is ready")

    async def knows_as_much() -> bool:
        metric = "pilotlight_operator_objects"
        return await two.two.metric(metric) == await two.one.metric(metric) > 0

    await eventually(knows_as_much, "the second knows all objects")
    assert await leads(two.one)
    assert not await leads(two.two)
    assert await two.two.metric("pilotlight_operator_admissions_total") > 0
    assert await two.two.metric(WRITES) == 0
    assert await two.two.metric("pilotlight_operator_queue_keys") == 0
    assert await two.two.metric("pilotlight_operator_gateway_probes_total") == 0


async def test_a_killed_leader_is_replaced_within_the_lease(two: Bench) -> None:
    await two.one.end(signal.SIGKILL)
    await label(two, "blue")
    async with asyncio.timeout(5.0):
        await eventually(lambda: arrived(two, "blue"), "the second reconciles")
    assert two.leader() == two.two.name


async def test_a_leader_that_ends_hands_over_at_once(two: Bench) -> None:
    assert await two.one.end() == 0
    async with asyncio.timeout(1.0):
        await eventually(lambda: two.leader() == two.two.name, "the second takes over")
    await label(two, "blue")
    await eventually(lambda: arrived(two, "blue"), "the second reconciles")


async def test_a_leader_that_was_frozen_writes_nothing_more(two: Bench) -> None:
    # It has work in hand when it is stopped, and finds more of it when it wakes up.
    await two.client.create(SERVICES, hello("other"))
    two.one.send(signal.SIGSTOP)
    await label(two, "blue")
    await eventually(lambda: arrived(two, "blue"), "the second reconciles")
    await eventually(two.scaled("other-00001"), "the second makes the rest")
    await eventually(ready(two, "other"), "the Service is ready")
    before = _versions(two)
    two.one.send(signal.SIGCONT)
    await eventually(lambda: _is_known(two), "the first is back")
    assert _versions(two) == before
    written = await two.one.metric(WRITES)
    await label(two, "green")
    await eventually(lambda: arrived(two, "green"), "the second reconciles")
    await asyncio.sleep(1.0)
    assert not await leads(two.one)
    assert await two.one.metric(WRITES) == written
    assert two.leader() == two.two.name
    assert await two.one.metric("pilotlight_operator_leader_changes_total") == 2


def _versions(bench: Bench) -> dict[str, str]:
    """Of everything that an operator writes."""
    return {
        obj["metadata"]["uid"]: obj["metadata"]["resourceVersion"]
        for resource in KINDS
        for obj in bench.cluster.list(resource)
    }


async def _is_known(bench: Bench) -> bool:
    return await bench.one.metric("pilotlight_operator_leader_changes_total") == 2
