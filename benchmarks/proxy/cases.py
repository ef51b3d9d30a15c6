"""What is measured. A case is a row of `CASES`: a name, a load, and what it wants of a subject."""

from __future__ import annotations

from typing import Final, NamedTuple

from benchmarks.proxy import loads
from benchmarks.proxy.loads import Load
from benchmarks.proxy.subjects import Subject

_KIB: Final = 1024
_MIB: Final = 1024 * 1024
BUSY: Final = "http1 13B c16"
SINGLE: Final = "http1 13B c1"
HALF: Final = "http1 13B half load"
START: Final = "start"
IDLE: Final = ("idle 1000 connections", "idle 10000 connections")
LARGE: Final = ("http1 16KiB c16", "http1 1MiB c16")


class Case(NamedTuple):
    """`concurrency` is the subject's containerConcurrency: with one, or with `limits`, only those
    that know it are measured."""

    name: str
    load: Load
    concurrency: int = 0
    upgrades: bool = False

    def fits(self, subject: Subject) -> bool:
        return (subject.limits or not self.concurrency) and (subject.upgrades or not self.upgrades)


CASES: Final = (
    Case(START, loads.start),
    Case(SINGLE, loads.http(1)),
    Case(BUSY, loads.http(16)),
    Case("http1 13B c128", loads.http(128)),
    Case("http1 13B c1000", loads.http(1000)),
    Case("http1 13B c16 new connections", loads.http(16, close=True)),
    Case(HALF, loads.half_load),
    # As many as may run and wait: a queue has room for ten times the limit.
    Case("http1 13B c8 limit 1", loads.http(8), concurrency=1),
    Case("http1 13B c16 limit 100", loads.http(16), concurrency=100),
    Case("http1 13B c128 limit 100", loads.http(128), concurrency=100),
    Case("http1 16KiB c1", loads.http(1, 16 * _KIB)),
    Case(LARGE[0], loads.http(16, 16 * _KIB)),
    Case("http1 16KiB c128", loads.http(128, 16 * _KIB)),
    Case(LARGE[1], loads.http(16, _MIB)),
    Case("http1 1MiB upload c16", loads.http(16, _MIB, script=loads.UPLOAD)),
    Case("websocket 13B c16", loads.websocket(16), upgrades=True),
    Case(IDLE[0], loads.idle(1000)),
    Case(IDLE[1], loads.idle(10_000)),
)
