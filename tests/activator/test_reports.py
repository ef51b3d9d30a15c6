"""The load of what waits, as frames."""

from __future__ import annotations

from pilotlight.load import wire
from pilotlight_activator.reports import HEARTBEAT_S, LoadReports


class Sent:
    """What was broadcast."""

    def __init__(self) -> None:
        self.decoder = wire.Decoder()
        self.frames: list[wire.Frame] = []

    def __call__(self, data: bytes) -> None:
        self.frames += self.decoder.feed(data)

    def take(self) -> list[wire.Frame]:
        taken, self.frames = self.frames, []
        return taken


def test_load_while_something_waits_then_one_zero_then_heartbeats() -> None:
    sent = Sent()
    reports = LoadReports(sent)
    reports.began("a/b", 10.0)
    reports.began("a/b", 10.5)
    reports.report(11.0)
    assert sent.take() == [wire.Name(1, "a/b"), wire.Load(1, 1.5, 1.0, 0, 2)]
    reports.ended("a/b", 11.0)
    reports.ended("a/b", 11.5)
    reports.report(12.0)
    reports.report(13.0)
    assert sent.take() == [wire.Load(1, 0.5, 1.0, 0, 0), wire.Load(1, 0.0, 1.0, 0, 0)]
    reports.report(14.0)
    assert sent.take() == []
    reports.report(13.0 + HEARTBEAT_S)
    assert sent.take() == [wire.Heartbeat()]


def test_starving_is_told_once_each_time() -> None:
    sent = Sent()
    reports = LoadReports(sent)
    reports.began("a/b", 0.0)
    reports.starving("a/b")
    reports.starving("a/b")
    assert sent.take() == [wire.Name(1, "a/b"), wire.Waiting(1, 1)]
    reports.fed("a/b")
    reports.starving("a/b")
    assert sent.take() == [wire.Waiting(1, 1)]
    reports.ended("a/b", 1.0)
    reports.began("a/b", 2.0)
    reports.starving("a/b")
    assert sent.take() == [wire.Waiting(1, 1)]


def test_a_crowd_is_told_of_each_time_that_it_has_grown_by_a_tenth() -> None:
    sent = Sent()
    reports = LoadReports(sent)
    reports.began("a/b", 0.0)
    reports.starving("a/b")
    for _ in range(999):
        reports.began("a/b", 0.0)
    told = [frame.requests for frame in sent.take() if isinstance(frame, wire.Waiting)]
    assert told[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]
    assert 1000 / 1.1 < told[-1] <= 1000
    assert len(told) < 70
    reports.fed("a/b")
    reports.began("a/b", 0.0)
    assert sent.take() == []


def test_a_snapshot_names_all_and_tells_who_starves() -> None:
    reports = LoadReports(Sent())
    for key in ("a/x", "a/y"):
        reports.began(key, 0.0)
        reports.report(1.0)
    reports.starving("a/y")
    frames = wire.Decoder().feed(reports.snapshot())
    assert frames == [wire.Name(1, "a/x"), wire.Name(2, "a/y"), wire.Waiting(2, 1)]
    assert (reports.key_of(2), reports.key_of(3)) == ("a/y", None)


def test_the_id_of_a_deleted_revision_is_used_again() -> None:
    sent = Sent()
    reports = LoadReports(sent)
    for key in ("a/x", "a/y"):
        reports.began(key, 0.0)
        reports.ended(key, 0.0)
    reports.report(1.0)
    reports.forget("a/x")
    assert reports.key_of(1) == "a/x", "its end has not been reported yet"
    reports.report(2.0)
    reports.forget("a/x")
    reports.forget("unknown")
    sent.take()
    reports.starving("a/z")
    assert sent.take() == [wire.Name(1, "a/z"), wire.Waiting(1, 1)]
    assert reports.key_of(1) == "a/z"
