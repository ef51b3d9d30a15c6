"""A rolling update under a steady load: what it loses, and what it delays."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.cluster.bed import Bed, Room
from benchmarks.cluster.client import Pool, Steady
from benchmarks.cluster.manifests import service
from benchmarks.results import CaseError, Row, row
from pilotlight.cli.load import Tally

CASE: Final = "rolling update 200 rps, 4 revisions"
OURS: Final = "pilotlight"
LOADER: Final = "loader"
_RATE: Final = 200.0
_REVISIONS: Final = 4
_BETWEEN_S: Final = 25.0
_NAME: Final = "rolling"


async def rolling_update(bed: Bed, _: int) -> list[Row]:
    """Four new Revisions, one each 25 s, while 200 requests a second come: 25,000 in all."""
    tally, stop = Tally(), asyncio.Event()
    pool = Pool(bed.gateway)
    try:
        async with bed.room("rolling") as room:
            await room.apply(_edition(room, 0))
            await room.ready(_NAME)
            steady = Steady(pool, room.host(_NAME), _RATE, tally)
            async with asyncio.TaskGroup() as group:
                group.create_task(steady.run(stop), name="load")
                try:
                    await _roll(room)
                finally:
                    stop.set()
    finally:
        pool.close()
    if tally.lost:
        bed.note(f"{CASE}: {tally.explain()}")
    latencies = {"p50_ms": 50.0, "p99_ms": 99.0, "max_ms": 100.0}
    return [
        row(CASE, OURS, "requests", "", [tally.total]),
        row(CASE, OURS, "lost", "", [tally.lost]),
        *(
            row(CASE, OURS, figure, "ms", [tally.percentile(percent) * 1000])
            for figure, percent in latencies.items()
        ),
        row(CASE, LOADER, "late_ms", "ms", [steady.lag_s * 1000]),
    ]


async def _roll(room: Room) -> None:
    for number in range(1, _REVISIONS + 1):
        await asyncio.sleep(_BETWEEN_S)
        before = room.revision(_NAME)
        room.bed.say(f"  revision {number} of {_REVISIONS} ...")
        await room.apply(_edition(room, number))
        await room.ready(_NAME, before)
        if room.revision(_NAME) == before:
            raise CaseError("a new template made no new Revision")
    await asyncio.sleep(_BETWEEN_S)


def _edition(room: Room, number: int) -> dict[str, object]:
    return service(_NAME, room.bed.settings.image, env={"EDITION": str(number)})
