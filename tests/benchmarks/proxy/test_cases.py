from __future__ import annotations

import pytest

from benchmarks.proxy.__main__ import choose, unit
from benchmarks.proxy.cases import BUSY, CASES, SINGLE, Case
from benchmarks.proxy.goals import verdicts
from benchmarks.proxy.report import spread_table
from benchmarks.proxy.subjects import CHAIN, KNATIVE_CHAIN, QUEUE_PROXY, SUBJECTS
from benchmarks.results import Row


def named(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_a_case_is_chosen_by_its_name_or_several_by_its_start() -> None:
    assert named(choose([BUSY])) == [BUSY]
    assert named(choose(["idle", SINGLE])) == [
        SINGLE,
        "idle 1000 connections",
        "idle 10000 connections",
    ]
    assert choose([]) == list(CASES)
    assert choose(["nothing"]) == []


def test_a_limit_is_measured_where_it_is_known() -> None:
    subjects = {subject.name: subject for subject in SUBJECTS}
    limited = next(case for case in CASES if case.concurrency)
    assert limited.fits(subjects[QUEUE_PROXY])
    assert not limited.fits(subjects["nginx"])
    assert choose([BUSY])[0].fits(subjects["nginx"])
    websocket = next(case for case in CASES if case.upgrades)
    assert not websocket.fits(subjects["aiohttp"])


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("cpu_us_per_request", "us"),
        ("cpu_ns_per_byte", "ns"),
        ("requests_per_s", "1/s"),
        ("p99_ms", "ms"),
        ("private_mb", "MB"),
        ("rss_kib_per_connection", "KiB"),
    ],
)
def test_the_unit_is_in_a_figures_name(figure: str, expected: str) -> None:
    assert unit(figure) == expected


def test_the_table_has_a_line_for_each_subject() -> None:
    rows = [
        Row("a case", "us", "p50_ms", "ms", 2.0, 1.0, 3.0, 5),
        Row("a case", "nginx", "p50_ms", "ms", 0.25, 0.25, 0.25, 5),
        Row("a case", "nginx", "p99_ms", "ms", 9.0, 9.0, 9.0, 1),
    ]
    assert [line.split() for line in spread_table(rows).splitlines()] == [
        ["a", "case", "p50_ms", "p99_ms"],
        ["us", "2", "±50%", "-"],
        ["nginx", "0.25", "±0%", "9"],
    ]


def test_what_is_asked_for_beside_others() -> None:
    ours = Row(SINGLE, CHAIN, "p50_ms", "ms", 0.2, 0.1, 0.3, 5)
    slower = Row(SINGLE, KNATIVE_CHAIN, "p50_ms", "ms", 0.4, 0.4, 0.4, 5)
    assert verdicts([ours, slower]).splitlines()[-1].endswith("1 x knative (0.4)  reached")
    faster = slower.__class__(SINGLE, KNATIVE_CHAIN, "p50_ms", "ms", 0.1, 0.1, 0.1, 5)
    assert verdicts([ours, faster]).splitlines()[-1].endswith("missed")
