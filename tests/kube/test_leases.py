"""Electors on local mode's API server, over real connections."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import pytest

from pilotlight.config.leader_election import LeaderElection
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.config import KubeConfig
from pilotlight.kube.leases import Candidacy, Elector, identity_of
from pilotlight.kube.resources import LEASES
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.server import ApiServer, ServerOptions

QUICK = LeaderElection(lease_duration_s=2.0, renew_deadline_s=1.2, retry_period_s=0.1)


class Api:
    """An API server that can go away and come back where it was."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self._server = ApiServer(self.cluster, ServerOptions())

    async def start(self) -> None:
        await self._server.start()

    @property
    def url(self) -> str:
        return self._server.url

    async def stop(self) -> None:
        await self._server.stop()

    async def restart(self) -> None:
        self._server = ApiServer(self.cluster, ServerOptions(port=self._server.port))
        await self._server.start()

    def spec(self) -> Object:
        found = self.cluster.get(LEASES, "default", "operator")
        return {} if found is None else dict(found["spec"])


class Replica:
    """A process that stands for the Lease and keeps a diary of its terms."""

    def __init__(self, api: Api, name: str, timings: LeaderElection = QUICK) -> None:
        self.diary: list[str] = []
        self._client = KubeClient(KubeConfig(api.url))
        self.elector = Elector(
            self._client, Candidacy("default", "operator", name), lambda: timings
        )
        self.task = asyncio.create_task(self.elector.run(self.term))

    async def term(self) -> None:
        self.diary.append("begins")
        try:
            await asyncio.Event().wait()
        finally:
            self.diary.append("ends")

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await self._client.close()

    async def kill(self) -> None:
        """Nothing more is sent."""
        await self._client.close()
        self.elector._release = _nothing  # type: ignore[method-assign]
        self.task.cancel()
        await asyncio.wait([self.task])


async def _nothing() -> None: ...


async def until(condition: Callable[[], object], within_s: float = 5.0) -> float:
    """Wait until it holds; how long that was."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - began


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def replicas(api: Api) -> AsyncIterator[Callable[..., Replica]]:
    made: list[Replica] = []

    def make(name: str, timings: LeaderElection = QUICK) -> Replica:
        made.append(Replica(api, name, timings))
        return made[-1]

    yield make
    for replica in made:
        await replica.stop()


Make = Callable[..., Replica]


async def test_the_first_one_leads_and_says_so(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    spec = api.spec()
    assert spec["holderIdentity"] == "one"
    assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (2, 0)
    assert datetime.fromisoformat(spec["acquireTime"])
    renewed = spec["renewTime"]
    await until(lambda: api.spec()["renewTime"] != renewed)
    assert api.spec() == {**spec, "renewTime": api.spec()["renewTime"]}
    assert one.diary == ["begins"]


async def test_of_several_at_once_one_leads(api: Api, replicas: Make) -> None:
    several = [replicas(f"pod-{number}") for number in range(5)]
    await until(lambda: any(one.elector.leads() for one in several))
    for _ in range(30):
        assert sum(one.elector.leads() for one in several) == 1
        await asyncio.sleep(0.05)


async def test_one_that_is_killed_is_replaced_within_the_lease(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    two = replicas("two")
    await asyncio.sleep(0.3)
    assert two.diary == []
    await one.kill()
    assert 0.5 < await until(two.elector.leads) < QUICK.lease_duration_s + 0.5
    assert api.spec()["leaseTransitions"] == 1
    assert api.spec()["holderIdentity"] == "two"


async def test_one_that_stops_hands_over_at_once(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    two = replicas("two")
    await asyncio.sleep(0.3)
    await one.stop()
    assert one.diary == ["begins", "ends"]
    assert not one.elector.leads()
    assert await until(two.elector.leads) < 0.5


async def test_it_hands_over_though_a_renewal_is_under_way(api: Api, replicas: Make) -> None:
    """Its last answer was not waited for, so that it does not know the latest version."""
    one = replicas("one")
    await until(one.elector.leads)
    found = api.cluster.get(LEASES, "default", "operator")
    assert found is not None
    await api.cluster.patch(
        LEASES, "default", "operator", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
    )
    await one.stop()
    assert api.spec()["holderIdentity"] == ""


async def test_a_container_that_is_started_again_goes_on_at_once(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    standby = replicas("two")
    acquired = api.spec()["acquireTime"]
    await one.kill()
    again = replicas("one")
    assert await until(again.elector.leads) < 0.5
    assert api.spec()["leaseTransitions"] == 0
    assert api.spec()["acquireTime"] > acquired
    assert standby.diary == []


async def test_without_the_api_it_stops_and_goes_on_when_it_is_back(
    api: Api, replicas: Make
) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    await api.stop()
    stopped = await until(lambda: one.diary == ["begins", "ends"])
    assert QUICK.renew_deadline_s / 2 < stopped < QUICK.renew_deadline_s + 0.3
    await asyncio.sleep(QUICK.lease_duration_s)
    assert not one.task.done()
    await api.restart()
    assert await until(one.elector.leads) < 1.0
    await until(lambda: one.diary == ["begins", "ends", "begins"])
    assert api.spec()["leaseTransitions"] == 0


async def test_an_api_that_does_not_answer_is_as_good_as_away() -> None:
    """It takes connections and says nothing: a request must not wait for longer than it may."""
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    async with KubeClient(KubeConfig(f"http://127.0.0.1:{port}")) as client:
        elector = Elector(client, Candidacy("default", "operator", "one"), lambda: QUICK)
        elector._election.until = time.monotonic() + 1.0
        diary: list[float] = []

        async def term() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                diary.append(time.monotonic())

        began = time.monotonic()
        task = asyncio.create_task(elector.run(term))
        await until(lambda: diary, within_s=3.0)
        assert diary[0] - began < 1.3
        task.cancel()
        await asyncio.wait([task])
    silent.close()


async def test_a_lease_that_is_deleted_is_made_again(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    await api.cluster.delete(LEASES, "default", "operator")
    await until(lambda: api.spec().get("holderIdentity") == "one")
    assert one.diary == ["begins"]


async def test_one_whose_lease_was_taken_stops(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    taken = {"holderIdentity": "somebody", "acquireTime": "2026-01-01T00:00:00.000000Z"}
    await api.cluster.patch(LEASES, "default", "operator", {"spec": taken})
    await until(lambda: one.diary == ["begins", "ends"])
    assert api.spec()["holderIdentity"] == "somebody"


async def test_labels_of_the_lease_stay(api: Api, replicas: Make) -> None:
    one = replicas("one")
    await until(one.elector.leads)
    await api.cluster.patch(
        LEASES, "default", "operator", {"metadata": {"labels": {"team": "blue"}}}
    )
    renewed = api.spec()["renewTime"]
    await until(lambda: api.spec()["renewTime"] != renewed)
    found = api.cluster.get(LEASES, "default", "operator")
    assert found is not None
    assert found["metadata"]["labels"] == {"team": "blue"}
    assert one.diary == ["begins"]


async def test_what_a_term_raises_ends_it_all(api: Api) -> None:
    async def term() -> None:
        raise ValueError("broken")

    async with KubeClient(KubeConfig(api.url)) as client:
        elector = Elector(client, Candidacy("default", "operator", "one"), lambda: QUICK)
        with pytest.raises(ExceptionGroup) as raised:
            await elector.run(term)
    assert raised.group_contains(ValueError, match="broken")
    assert api.spec()["holderIdentity"] == "", "the next one need not wait"


async def test_other_timings_are_taken_in(api: Api) -> None:
    timings = QUICK
    async with KubeClient(KubeConfig(api.url)) as client:
        elector = Elector(client, Candidacy("default", "operator", "one"), lambda: timings)
        task = asyncio.create_task(elector.run(asyncio.Event().wait))  # type: ignore[arg-type]
        await until(elector.leads)
        timings = LeaderElection(7.5, 5.0, 0.1)
        await until(lambda: api.spec()["leaseDurationSeconds"] == 8)
        task.cancel()
        await asyncio.wait([task])


def test_a_pod_stands_by_its_name() -> None:
    assert identity_of({"POD_NAME": "operator-7f-x2"}) == "operator-7f-x2"
    assert identity_of({}) != identity_of({})
