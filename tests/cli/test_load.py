from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.cli.load import Tally, Target, ask, client, fire, sustain


class Site:
    """Counts what it is asked, and how much of it at once."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.inflight = 0
        self.peak = 0
        self.hosts: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.inflight += 1
        self.peak = max(self.peak, self.inflight)
        self.hosts.add(request.host)
        await asyncio.sleep(0.002)
        self.inflight -= 1
        if request.path == "/odd" and self.asked % 2:
            return web.Response(status=503, text="odd")
        return web.Response(text=f"answer {self.asked % 3}")


@pytest.fixture(name="site")
async def site_fixture() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


async def test_exactly_the_requests_asked_for_are_sent_and_never_more_at_once(site: Site) -> None:
    tally = await fire(Target(site.url, "a.b.example"), total=101, concurrency=7)
    assert (tally.total, tally.good, tally.lost, site.asked) == (101, 101, 0, 101)
    assert site.peak == 7
    assert site.hosts == {"a.b.example"}
    assert sum(tally.texts.values()) == 101


async def test_answers_other_than_200_are_lost(site: Site) -> None:
    tally = await fire(Target(site.url, "a", "/odd"), total=20, concurrency=1)
    assert (tally.good, tally.lost) == (10, 10)
    assert tally.explain() == "10 x 200, 10 x 503"


async def test_no_listener_is_counted_not_raised(unused_tcp_port: int) -> None:
    tally = await fire(Target(f"http://127.0.0.1:{unused_tcp_port}", "a"), total=3, concurrency=2)
    assert (tally.total, tally.lost) == (3, 3)
    assert "3 x Client" in tally.explain()


async def test_load_lasts_as_long_as_it_is_told(site: Site) -> None:
    tally = Tally()
    await sustain(Target(site.url, "a"), seconds=0.2, concurrency=3, tally=tally)
    assert tally.good == site.asked > 3
    assert site.peak == 3


async def test_one_answer_is_whole(site: Site) -> None:
    async with client(1) as session:
        answer = await ask(session, Target.of_url(site.url, "http://x.y:1234", "/odd"))
    assert (answer.status, answer.text) == (503, "odd")
    assert answer.headers["Content-Length"] == "3"
    assert site.hosts == {"x.y:1234"}


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 100))
def test_a_percentile_is_one_of_the_latencies(latencies: list[float], percent: float) -> None:
    tally = Tally()
    for latency in latencies:
        tally.note(200, "", latency)
    value = tally.percentile(percent)
    assert value in latencies
    assert sum(latency <= value for latency in latencies) >= len(latencies) * percent / 100


def test_texts_are_bounded() -> None:
    tally = Tally()
    for number in range(3000):
        tally.note(200, f"{number}" + "x" * 1000, 0.0)
    assert len(tally.texts) == 1000
    assert max(map(len, tally.texts)) == 200
    assert tally.good == 3000
