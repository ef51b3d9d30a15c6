"""Which pods may be used, by all that can be known about them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_activator.pods import (
    CONFIRM_S,
    Endpoint,
    Probe,
    RevisionPods,
    Use,
    View,
    Voice,
    Word,
    preferred,
    use,
)

ADDRESS = "10.0.0.1:8012"


def endpoint(
    pod: str = "p", address: str = ADDRESS, *, ready: bool = True, terminating: bool = False
) -> Endpoint:
    return Endpoint(pod, address, ready, terminating)


def usable(pods: RevisionPods) -> list[str]:
    return [known.pod for known in pods.usable(0.0)]


def to_probe(pods: RevisionPods) -> list[str]:
    return [known.pod for known in pods.to_probe()]


@pytest.mark.parametrize(
    ("word", "view", "probe"), [pytest.param(*case) for case in product(Word, View, Probe)]
)
def test_every_case(word: Word, view: View, probe: Probe) -> None:
    ending = word is Word.DRAINING or view in (View.TERMINATING, View.REVOKED)
    passed = probe is not Probe.NONE
    if ending:
        expected = Use.AVOID
    elif word is Word.READY:
        expected = Use.USE
    elif word is Word.SILENT and view in (View.READY, View.NOT_READY):
        expected = Use.USE if passed else Use.PROBE
    else:
        expected = Use.AVOID
    assert use(word, view, probe) is expected
    if view is not View.READY:
        assert use(word, view, probe, kubelet_decides=True) is Use.AVOID


def test_a_greeting_is_believed_before_the_api_knows() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    assert usable(pods) == []
    assert pods.said(1, "p", Word.READY)
    assert usable(pods) == ["p"]
    assert pods.unconfirmed()
    pods.listed([endpoint(ready=False)])
    assert not pods.unconfirmed()
    assert usable(pods) == ["p"]


def test_the_api_revokes_a_pod_that_greeted() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    pods.said(1, "p", Word.READY)
    pods.listed([endpoint()])
    pods.listed([])
    assert usable(pods) == to_probe(pods) == []
    pods.lost(1, "p")
    assert not pods


def test_a_pod_that_the_api_never_shows_is_given_up() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ADDRESS), 100.0)
    pods.said(1, "p", Word.READY)
    assert not pods.expire(100.0 + CONFIRM_S - 0.1)
    assert usable(pods) == ["p"]
    assert pods.expire(100.0 + CONFIRM_S)
    assert usable(pods) == []
    pods.listed([endpoint()])
    assert usable(pods) == ["p"]


@pytest.mark.parametrize("ready", [True, False])
def test_a_silent_pod_needs_our_probe(ready: bool) -> None:
    pods = RevisionPods()
    pods.listed([endpoint(ready=ready)])
    assert (usable(pods), to_probe(pods)) == ([], ["p"])
    pods.probed(f"p@{ADDRESS}")
    assert (usable(pods), to_probe(pods)) == (["p"], [])


def test_a_pod_that_becomes_not_ready_is_probed_again() -> None:
    pods = RevisionPods()
    pods.listed([endpoint()])
    pods.probed(f"p@{ADDRESS}")
    pods.listed([endpoint(ready=False)])
    assert (usable(pods), to_probe(pods)) == ([], ["p"])


def test_a_lost_greeting_makes_a_pod_silent() -> None:
    pods = RevisionPods()
    pods.listed([endpoint()])
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    pods.said(1, "p", Word.READY)
    pods.lost(1, "p")
    assert (usable(pods), to_probe(pods)) == ([], ["p"])


def test_only_the_newest_connection_speaks_for_a_pod() -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    pods.greeted(Voice(2, "p", ADDRESS), 1.0)
    assert pods.said(2, "p", Word.READY)
    assert not pods.said(1, "p", Word.NOT_READY)
    pods.lost(1, "p")
    assert usable(pods) == ["p"]


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_that_ends_is_never_used(ready: bool) -> None:
    pods = RevisionPods()
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    pods.said(1, "p", Word.READY)
    pods.listed([endpoint(ready=ready, terminating=True)])
    pods.probed(f"p@{ADDRESS}")
    assert usable(pods) == to_probe(pods) == []


def test_a_draining_pod_stays_draining_when_its_connection_ends() -> None:
    pods = RevisionPods()
    pods.listed([endpoint()])
    pods.greeted(Voice(1, "p", ADDRESS), 0.0)
    pods.said(1, "p", Word.DRAINING)
    pods.lost(1, "p")
    pods.listed([endpoint()])
    assert usable(pods) == to_probe(pods) == []


def test_a_busy_answer_can_tell_of_the_drain() -> None:
    pods = RevisionPods()
    pods.listed([endpoint()])
    pods.probed(f"p@{ADDRESS}")
    pods.draining(f"p@{ADDRESS}")
    assert usable(pods) == to_probe(pods) == []


def test_an_address_that_went_to_another_pod() -> None:
    pods = RevisionPods()
    pods.listed([endpoint("old")])
    pods.probed(f"old@{ADDRESS}")
    pods.greeted(Voice(1, "new", ADDRESS), 0.0)
    pods.said(1, "new", Word.READY)
    pods.listed([endpoint("new")])
    assert usable(pods) == ["new"]
    assert pods.get("old") is None


def test_a_pod_with_a_new_address_is_another_one() -> None:
    pods = RevisionPods()
    pods.listed([endpoint()])
    pods.probed(f"p@{ADDRESS}")
    pods.listed([endpoint(address="10.0.0.2:8012")])
    assert (usable(pods), to_probe(pods)) == ([], ["p"])


def test_pods_are_ordered_by_address_and_their_first_use_is_noted() -> None:
    pods = RevisionPods()
    for number in (3, 1, 2):
        pods.greeted(Voice(number, f"p{number}", f"10.0.0.{number}:8012"), 0.0)
        pods.said(number, f"p{number}", Word.READY)
    pods.timed("p1", 5.0, 6.0)
    assert [known.pod for known in pods.usable(7.0)] == ["p1", "p2", "p3"]
    pods.usable(8.0)
    known = pods.get("p1")
    assert known is not None
    assert (known.usable_since, known.started_at, known.answered_at) == (7.0, 5.0, 6.0)


def test_what_is_said_of_an_unknown_pod_is_ignored() -> None:
    pods = RevisionPods()
    assert not pods.said(1, "p", Word.READY)
    pods.lost(1, "p")
    pods.timed("p", 1.0, 2.0)
    pods.probed("p")
    pods.draining("p")
    assert not pods


@given(pods=st.integers(0, 40), activators=st.integers(1, 8))
def test_the_shares_cover_all_pods_evenly(pods: int, activators: int) -> None:
    shares = [preferred(pods, index, activators) for index in range(activators)]
    covered = [pod for share in shares for pod in share]
    assert set(covered) == set(range(pods)) or pods < activators
    if pods >= activators > 1:
        assert sorted(covered) == list(range(pods))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    elif pods > 1:
        assert all(len(share) == 1 for share in shares) or activators == 1


def test_an_activator_that_is_not_listed_prefers_all() -> None:
    assert preferred(5, -1, 3) == range(5)
