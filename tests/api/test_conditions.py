"""Living conditions: who decides over Ready, and when a time moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.api.conditions import (
    CONFIGURATION,
    FALSE,
    ROUTE,
    TRUE,
    UNKNOWN,
    Condition,
    Conditions,
    ConditionSet,
    find,
    is_ready,
    timestamp,
)

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
T1 = T0 + timedelta(seconds=10)
TWO = ConditionSet(("A", "B"))


def ready(conditions: Conditions) -> tuple[str, str, str]:
    happy = conditions.happy
    assert happy is not None
    return happy.status, happy.reason, happy.message


def started(kinds: ConditionSet = TWO, now: datetime = T0) -> Conditions:
    conditions = Conditions(kinds, [], now)
    conditions.initialize()
    return conditions


def test_everything_starts_unknown() -> None:
    assert started().to_list() == [
        {"lastTransitionTime": "2026-01-01T12:00:00Z", "status": "Unknown", "type": "A"},
        {"lastTransitionTime": "2026-01-01T12:00:00Z", "status": "Unknown", "type": "B"},
        {"lastTransitionTime": "2026-01-01T12:00:00Z", "status": "Unknown", "type": "Ready"},
    ]


def test_a_dependent_that_is_new_to_a_ready_object_starts_true() -> None:
    conditions = Conditions(TWO, [{"type": "Ready", "status": "True"}], T0)
    conditions.initialize()
    assert [c["status"] for c in conditions.to_list()] == ["True", "True", "True"]


@pytest.mark.parametrize(("a", "b"), list(product([TRUE, FALSE, UNKNOWN], repeat=2)))
def test_ready_is_the_worst_of_its_dependents(a: str, b: str) -> None:
    conditions = started()
    conditions.mark("A", a, "Ra" if a != TRUE else "", "a" if a != TRUE else "")
    conditions.mark("B", b, "Rb" if b != TRUE else "", "b" if b != TRUE else "")
    order = [FALSE, UNKNOWN, TRUE]
    worst = min([(order.index(a), "Ra", "a"), (order.index(b), "Rb", "b")], key=lambda x: x[0])
    wanted = (order[worst[0]], worst[1], worst[2]) if worst[0] != 2 else (TRUE, "", "")
    assert ready(conditions) == wanted


def test_the_latest_of_several_bad_dependents_gives_the_reason() -> None:
    before = [
        {"type": "A", "status": "False", "reason": "Ra", "lastTransitionTime": timestamp(T1)},
        {"type": "B", "status": "False", "reason": "Rb", "lastTransitionTime": timestamp(T0)},
    ]
    conditions = Conditions(TWO, before, T1 + timedelta(seconds=5))
    conditions.mark_false("B", "Rb", "")
    assert ready(conditions) == (FALSE, "Ra", "")


MARKS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from([TRUE, FALSE, UNKNOWN]),
        st.sampled_from(["", "X", "Y"]),
    ),
    max_size=8,
)


@given(MARKS)
def test_deciding_again_over_an_unchanged_object_changes_nothing(
    marks: list[tuple[str, str, str]],
) -> None:
    last = {kind: (status, reason) for kind, status, reason in marks}
    first = started(ConditionSet(("A", "B", "C")))
    for kind, (status, reason) in last.items():
        first.mark(kind, status, reason)
    second = Conditions(ConditionSet(("A", "B", "C")), first.to_list(), T1)
    second.initialize()
    for kind, (status, reason) in last.items():
        second.mark(kind, status, reason)
    assert second.to_list() == first.to_list()


def test_false_wins_over_a_later_unknown() -> None:
    conditions = started()
    conditions.mark_false("A", "Broken", "it is")
    conditions.mark_unknown("B", "Waiting", "for it")
    assert ready(conditions) == (FALSE, "Broken", "it is")


def test_a_dependent_that_is_missing_leaves_ready_unknown() -> None:
    conditions = Conditions(TWO, [], T0)
    conditions.mark_true("A")
    assert ready(conditions) == (UNKNOWN, "", "")


def test_what_only_informs_does_not_touch_ready() -> None:
    conditions = started()
    conditions.mark_true("A")
    conditions.mark_true("B")
    conditions.mark_false("Active", "NoTraffic", "none")
    assert conditions.is_ready
    assert conditions.to_list()[1] == {
        "lastTransitionTime": "2026-01-01T12:00:00Z",
        "message": "none",
        "reason": "NoTraffic",
        "severity": "Info",
        "status": "False",
        "type": "Active",
    }
    conditions.clear("Active")
    assert conditions.get("Active") is None


def test_a_dependent_cannot_be_removed() -> None:
    with pytest.raises(ValueError, match="A decides over Ready"):
        started().clear("A")


def test_ready_itself_is_marked_where_nothing_decides_over_it() -> None:
    conditions = started(CONFIGURATION)
    conditions.mark_false("Ready", "RevisionFailed", "it failed")
    assert ready(conditions) == (FALSE, "RevisionFailed", "it failed")
    conditions.mark_true("Ready")
    assert ready(conditions) == (TRUE, "", "")


def test_a_true_condition_may_have_a_reason_that_ready_does_not_take() -> None:
    conditions = started(ROUTE)
    for kind in ROUTE.dependents:
        conditions.mark_true(kind)
    conditions.mark_true("CertificateProvisioned", "TLSNotEnabled", "off")
    assert ready(conditions) == (TRUE, "", "")


def test_a_time_moves_only_with_the_rest() -> None:
    first = started()
    first.mark_true("A")
    first.mark_unknown("B", "Waiting", "for it")
    second = Conditions(TWO, first.to_list(), T1)
    second.initialize()
    second.mark_false("A", "Gone", "for a moment")
    second.mark_true("A")
    second.mark_unknown("B", "Waiting", "for more")
    times = {c["type"]: c["lastTransitionTime"] for c in second.to_list()}
    assert times == {"A": timestamp(T0), "B": timestamp(T1), "Ready": timestamp(T1)}


def test_a_new_generation_is_not_ready_until_something_is_marked() -> None:
    first = started()
    first.mark_true("A")
    first.mark_true("B")
    second = Conditions(TWO, first.to_list(), T1)
    second.initialize()
    second.observe_generation(2, 1)
    assert ready(second) == (
        UNKNOWN,
        "NewObservedGenFailure",
        "unsuccessfully observed a new generation",
    )
    second.mark_true("A")
    assert second.to_list() == first.to_list()


def test_an_observed_generation_changes_nothing() -> None:
    conditions = started(CONFIGURATION)
    conditions.mark_true("Ready")
    conditions.observe_generation(2, 2)
    assert conditions.is_ready


def test_copying() -> None:
    conditions = started()
    conditions.copy("A", Condition("Ready", FALSE, "Why", "because", "Info"))
    assert conditions.get("A") == Condition("A", FALSE, "Why", "because")
    conditions.copy("A", None)
    assert conditions.get("A") == Condition("A", UNKNOWN)
    conditions.copy("A", Condition("Ready", "Perhaps"))
    assert conditions.get("A") == Condition("A", UNKNOWN)


@given(MARKS)
def test_ready_is_true_exactly_when_all_dependents_are(marks: list[tuple[str, str, str]]) -> None:
    conditions = started(ConditionSet(("A", "B", "C")))
    for kind, status, reason in marks:
        conditions.mark(kind, status, reason)
    statuses = {kind: conditions.get(kind) for kind in "ABC"}
    assert conditions.is_ready == all(c is not None and c.is_true for c in statuses.values())
    assert [c["type"] for c in conditions.to_list()] == ["A", "B", "C", "Ready"]


def test_the_order_of_good_news_does_not_matter() -> None:
    for order in permutations(ROUTE.dependents):
        conditions = started(ROUTE)
        for kind in order:
            conditions.mark_true(kind)
        assert conditions.is_ready


def test_times_are_in_utc_with_whole_seconds() -> None:
    moment = datetime(2026, 1, 1, 13, 0, 0, 999999, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-01-01T12:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("generation", "observed", "status", "wanted"),
    [(1, 1, TRUE, True), (2, 1, TRUE, False), (1, 1, FALSE, False), (1, None, TRUE, False)],
)
def test_ready_for_clients(
    generation: int, observed: int | None, status: str, wanted: bool
) -> None:
    obj = {
        "metadata": {"generation": generation},
        "status": {
            "observedGeneration": observed,
            "conditions": [{"type": "Ready", "status": status}],
        },
    }
    assert is_ready(obj) is wanted


def test_finding_in_nothing() -> None:
    assert find(None) is None
    assert find({"status": None}) is None
    assert not is_ready(None)
