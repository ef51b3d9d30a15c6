"""The prober against real listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from pilotlight import names
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Key, Obj
from pilotlight_operator.prober import Prober, host_of
from pilotlight_operator.status.ingress import Served

KEY = Key("default", "hello")


def ingress(percent: int = 100) -> Obj:
    rule = {
        "hosts": ["hello.default", "hello.default.svc.cluster.local"],
        "http": {"paths": [{"splits": [{"percent": percent}]}]},
    }
    return {"metadata": {"name": "hello", "namespace": "default"}, "spec": {"rules": [rule]}}


class Gateway:
    """Answers every request with the fingerprint that it has."""

    def __init__(self) -> None:
        self.digest = ""
        self.hosts: list[str] = []
        self.address = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        _, port = self._runner.addresses[0]
        self.address = f"127.0.0.1:{port}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.headers[names.HASH_HEADER] == names.HASH_OVERRIDE
        self.hosts.append(request.host)
        return web.Response(headers={names.HASH_HEADER: self.digest})


class Bench:
    def __init__(self) -> None:
        self.gateways = [Gateway(), Gateway()]
        self.addresses: list[str] = []
        self.told: asyncio.Queue[Key] = asyncio.Queue()
        self.prober = Prober(lambda: self.addresses, self.told.put_nowait, Metrics())

    async def next_answer(self, subject: Obj) -> Served:
        async with asyncio.timeout(10):
            assert await self.told.get() == KEY
        return self.prober.answers[ingress_hash(subject)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    for gateway in made.gateways:
        await gateway.start()
        made.addresses.append(gateway.address)
    yield made
    await made.prober.close()
    for gateway in made.gateways:
        await gateway.stop()


async def test_served_everywhere(bench: Bench) -> None:
    for gateway in bench.gateways:
        gateway.digest = ingress_hash(ingress())
    bench.prober.ask(ingress())
    assert await bench.next_answer(ingress()) == Served(2, 2)
    assert bench.gateways[0].hosts == ["hello.default.svc.cluster.local"]


async def test_asks_until_the_last_one_serves(bench: Bench) -> None:
    bench.gateways[0].digest = ingress_hash(ingress())
    bench.prober.ask(ingress())
    served = await bench.next_answer(ingress())
    assert (served.current, served.gateways) == (1, 2)
    assert "does not serve this version yet" in served.obstacle
    bench.gateways[1].digest = ingress_hash(ingress())
    assert await bench.next_answer(ingress()) == Served(2, 2)


async def test_nobody_there(bench: Bench) -> None:
    bench.addresses.clear()
    bench.prober.ask(ingress())
    assert await bench.next_answer(ingress()) == Served(0, 0)


async def test_nobody_answers(bench: Bench) -> None:
    bench.addresses[:] = ["127.0.0.1:1"]
    bench.prober.ask(ingress())
    served = await bench.next_answer(ingress())
    assert "127.0.0.1:1 does not answer" in served.obstacle


async def test_a_new_version_replaces_the_question(bench: Bench) -> None:
    bench.prober.ask(ingress(100))
    changed = ingress(50)
    for gateway in bench.gateways:
        gateway.digest = ingress_hash(changed)
    bench.prober.ask(changed)
    assert await bench.next_answer(changed) == Served(2, 2)
    assert set(bench.prober.answers) == {ingress_hash(changed)}
    bench.prober.forget(KEY)
    assert bench.prober.answers == {}


async def test_no_task_is_left(bench: Bench) -> None:
    bench.prober.ask(ingress())
    await bench.prober.close()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("probe")]


def test_the_host_to_ask_for() -> None:
    assert host_of(ingress()) == "hello.default.svc.cluster.local"
    assert host_of({"spec": {}}) == ""
