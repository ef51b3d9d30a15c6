from __future__ import annotations

import pytest

from benchmarks.cluster.bed import PodStart
from benchmarks.cluster.install import is_rolled_out
from benchmarks.cluster.starts import (
    OURS,
    POD,
    PYTHON,
    PYTHON_BESIDE,
    Times,
    over_own_start,
    phases_of,
)
from benchmarks.results import CaseError
from pilotlight.cli.load import Answer


def test_phases_come_from_the_answers_header() -> None:
    headers = {"server-timing": "decide;dur=18.9, patch;dur=13.3, total;dur=502.9"}
    phases = phases_of(Answer(200, headers, "", 0.5))
    assert phases == {"decide": 18.9, "patch": 13.3, "total": 502.9}


@pytest.mark.parametrize("value", ["", "queue;dur=3.1"])
def test_an_answer_of_a_pod_that_ran_is_no_cold_start(value: str) -> None:
    with pytest.raises(CaseError, match="no cold start"):
        phases_of(Answer(200, {"server-timing": value}, "", 0.5))


def test_what_was_not_heard_is_left_out() -> None:
    times = Times()
    times.add_pods("cold start", [PodStart(30, 20, None), PodStart(40, 25, 10)])
    rows = {(row.case, row.figure): row for row in times.rows()}
    assert rows["cold start", "p95_ms"].median == 40
    assert rows["cold start, listening", "p50_ms"].rounds == 1
    silent = Times()
    silent.add("a", "b", None)
    assert silent.rows() == []


def test_what_a_cold_start_takes_beyond_the_programs_own_start() -> None:
    times = Times()
    for case, cold, bare in ((PYTHON, 500.0, 300.0), (PYTHON_BESIDE, 350.0, 200.0)):
        times.add(case, OURS, cold - 1, cold, 9999.0)
        times.add(f"{case}, listening", POD, bare, bare, 9999.0)
    own, over = over_own_start(times)
    assert (own.median, over.median) == (100.0, 50.0)
    with pytest.raises(CaseError, match="nothing was measured"):
        over_own_start(Times())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2}, True),
        ({"observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2}, False),
        ({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2}, False),
        ({"observedGeneration": 2, "updatedReplicas": 2}, False),
        ({}, False),
    ],
)
def test_a_rollout_is_done(status: dict[str, int], expected: bool) -> None:
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}
    assert is_rolled_out(deployment) is expected
