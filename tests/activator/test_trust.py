"""Whom the activator believes: greetings from elsewhere, of another Revision, at bad moments."""

from __future__ import annotations

import asyncio

import pytest

from pilotlight.http import Exchange
from pilotlight.load import wire
from pilotlight_activator.objects import RevisionSpec
from pilotlight_activator.pods import Endpoint, RevisionPods, Voice, Word
from pilotlight_activator.reports import LoadReports, is_from

from .conftest import FakePod, Held, Rig, answer, until

KEY = "shop/cart-1"
ELSEWHERE = "10.9.8.7:9090"


@pytest.mark.parametrize(
    ("peer", "host", "same"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.8", False),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
        ("fd00::1", "fd00:0::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("127.0.0.1", "127.3.0.9", True),
        ("10.0.0.7", "127.0.0.1", False),
        ("127.0.0.6", "10.0.0.7", False),
        ("10.0.0.7", "metadata.internal", False),
        ("", "10.0.0.7", False),
    ],
)
def test_a_connection_comes_from_the_address_that_it_names(
    peer: str, host: str, same: bool
) -> None:
    assert is_from(peer, host) is same


def test_a_pod_that_names_an_address_it_does_not_have_waits_for_the_api() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ELSEWHERE, direct=False), 0.0)
    assert pods.said(1, "p", Word.READY)
    assert pods.usable(1.0) == []
    assert pods.to_probe() == []
    pods.listed([Endpoint("p", ELSEWHERE, ready=False, terminating=False)])
    assert [known.pod for known in pods.usable(1.0)] == ["p"]


def test_a_pod_that_the_api_knows_is_not_moved_by_a_greeting_from_elsewhere() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", "10.0.0.1:8012"), 0.0)
    pods.said(1, "p", Word.READY)
    pods.listed([Endpoint("p", "10.0.0.1:8012", ready=True, terminating=False)])
    pods.greeted(Voice(2, "p", ELSEWHERE, direct=False), 0.0)
    assert not pods.said(2, "p", Word.READY)
    assert [known.address for known in pods.usable(1.0)] == ["10.0.0.1:8012"]


async def test_no_request_goes_to_an_address_that_a_greeting_claims(rig: Rig) -> None:
    pod = await rig.pod(answer(), greet=False)
    host, _, port = "192.0.2.1", "", pod.port
    pod.host = host
    await pod.greet()
    await until(lambda: rig.service.collector.statistics().sessions == 1)
    await until(lambda: rig.service.collector.statistics().frames >= 2)
    backend = rig.service.backends.get(KEY)
    assert backend is not None
    known = backend.pods.get(pod.name)
    assert known is not None
    assert (known.word, known.address) == (Word.READY, f"{host}:{port}")
    assert backend.throttle.usable() == set()


async def test_pods_of_a_revision_that_was_made_anew_are_not_its_own(rig: Rig) -> None:
    old = await rig.pod(answer(b"old"))
    rig.revision(uid="uid-2")
    assert not rig.is_used(old)
    waiting = asyncio.create_task(rig.get())
    await until(lambda: rig.waiting() == 1)
    await rig.pod(answer(b"new"), uid="uid-2")
    assert (await waiting).body == b"new"


async def test_a_pod_that_greets_before_its_revision_is_known_has_to_belong_to_it(
    rig: Rig,
) -> None:
    stale = FakePod(rig, answer(b"old"), "stale", "127.0.0.31", revision="shop/late", uid="old")
    own = FakePod(rig, answer(b"new"), "own", "127.0.0.32", revision="shop/late", uid="new")
    for pod in (stale, own):
        rig.pods.append(await pod.start())
        await pod.greet()
    await until(lambda: rig.service.collector.statistics().frames >= 4)
    rig.service.backends.revision_changed(RevisionSpec("shop", "late", "new"))
    assert rig.is_used(own)
    assert not rig.is_used(stale)


@pytest.mark.parametrize("half_open", [True, False])
async def test_an_address_that_another_revision_has_now_gets_no_request(
    rig: Rig, half_open: bool
) -> None:
    """The API still shows the pod that had the address before."""
    old = await rig.pod(answer(b"ours"))
    rig.listed(Endpoint(old.name, old.address, ready=True, terminating=False))
    old.server.close()
    assert old.reporter is not None
    if not half_open:
        await old.reporter.close()
        await until(lambda: not rig.is_used(old))

    def theirs(exchange: Exchange) -> None:
        probe = exchange.request.get(b"k-network-probe")
        exchange.respond(200, b"theirs" if probe is None else probe)

    other = FakePod(rig, theirs, "other", old.host, "shop/other-1", "uid-9", old.port)
    rig.service.backends.revision_changed(RevisionSpec("shop", "other-1", "uid-9"))
    rig.pods.append(await other.start())
    await other.greet()
    await until(lambda: rig.is_used(other))
    assert not rig.is_used(old)
    waiting = asyncio.create_task(rig.get())
    await asyncio.sleep(0.3)  # a probe would have passed by now
    assert not waiting.done()
    await old.reporter.close()
    await rig.pod(answer(b"new"))
    assert (await waiting).body == b"new"


async def test_a_busy_answer_after_the_revision_is_gone_ends_the_request(rig: Rig) -> None:
    held = Held()
    await rig.pod(held)
    asked = asyncio.create_task(rig.get())
    await until(lambda: held.holds)
    rig.service.backends.revision_deleted(KEY)
    held.exchanges[0].respond(503, b"", [(b"K-Pilotlight-Busy", b"full")])
    got = await asyncio.wait_for(asked, 5)
    assert (got.status, got.headers["k-pilotlight-leg"]) == (503, "queue")
    assert b"deleted" in got.body
    assert rig.service.gateway.statistics().waiting == 0


async def test_a_pod_is_not_released_while_a_connection_to_it_is_being_made(rig: Rig) -> None:
    held = Held()
    pod = await rig.pod(held)
    backend = rig.service.backends.get(KEY)
    assert backend is not None
    carried = asyncio.create_task(rig.get())
    await until(lambda: held.holds)
    # What a granted request is between its grant and its connection.
    upstream = backend.upstreams[f"{pod.name}@{pod.address}"]
    upstream.busy -= 1
    pod.say(wire.PodState.DRAINING)
    await until(lambda: not rig.is_used(pod))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pod.released.wait(), 0.35)
    upstream.busy += 1
    await asyncio.wait_for(pod.released.wait(), 1)
    held.let_go()
    assert (await carried).status == 200


async def test_a_pod_that_drains_a_second_time_is_released_again(rig: Rig) -> None:
    pod = await rig.pod(answer())
    for _ in range(2):
        pod.say(wire.PodState.DRAINING)
        await asyncio.wait_for(pod.released.wait(), 1)
        pod.released.clear()
        pod.say(wire.PodState.READY)
        await until(lambda: rig.is_used(pod))


def test_the_name_of_a_deleted_revision_is_forgotten_after_its_last_report() -> None:
    sent: list[bytes] = []
    reports = LoadReports(sent.append)
    reports.began(KEY, 0.0)
    reports.report(1.0)
    reports.ended(KEY, 1.0)
    reports.forget(KEY)
    assert reports.key_of(1) == KEY
    reports.report(2.0)
    reports.report(3.0)
    assert reports.key_of(1) is None
    assert reports.snapshot() == b""


def test_a_revision_that_is_made_anew_before_its_last_report_is_kept() -> None:
    reports = LoadReports(lambda _: None)
    reports.began(KEY, 0.0)
    reports.report(1.0)
    reports.ended(KEY, 1.0)
    reports.forget(KEY)
    reports.began(KEY, 1.5)
    reports.ended(KEY, 1.6)
    reports.report(2.0)
    reports.report(3.0)
    assert reports.key_of(1) == KEY
