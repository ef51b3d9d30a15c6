"""What one new Service costs the API server, counted there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiohttp

from benchmarks.cluster.bed import Bed, Room
from benchmarks.cluster.counting import (
    EVERYBODY,
    KUBERNETES,
    OTHERS,
    AuditLog,
    Request,
    count_audit,
    count_metrics,
)
from benchmarks.cluster.manifests import service
from benchmarks.results import Row, row
from pilotlight.kube.config import from_environment
from pilotlight.names import SYSTEM_NAMESPACE

CASE: Final = "api writes per new service"
ASLEEP: Final = f"{CASE}, until it sleeps"
OURS: Final = "pilotlight"
# What follows a Service's becoming Ready.
_AFTER_S: Final = 3.0
_METRICS_S: Final = 30.0

Counts = Counter[Request]
Meter = Callable[[], Awaitable[Counts]]


async def api_writes(bed: Bed, rounds: int) -> list[Row]:
    """Requests by verb and resource from a Service's creation to 3 s after it is Ready, and until
    it sleeps. By user if there is an audit log, else of everybody together.
    """
    if bed.settings.audit_log is None:
        bed.note(f"{CASE}: of everybody together, the one of this program included, for "
                 "PILOTLIGHT_AUDIT_LOG names no audit log")  # fmt: skip
    ready, asleep = list[Counts](), list[Counts]()
    async with bed.room("writes") as room:
        for number in range(max(2, rounds // 4)):
            name = f"service-{number}"
            counted = await _meter(room)
            await room.apply(service(name, bed.settings.image))
            await room.ready(name)
            await asyncio.sleep(_AFTER_S)
            ready.append(await counted())
            await room.empty()
            asleep.append(await counted())
            await room.delete_service(name)
            await asyncio.sleep(_AFTER_S)
    return [*rows_of(CASE, ready), *rows_of(ASLEEP, asleep)]


def rows_of(case: str, rounds: Sequence[Counts]) -> list[Row]:
    """What each did in each round: all its writes, and every verb and resource, reads included."""
    parts = sorted({request.who for counts in rounds for request in counts} - {OTHERS})
    components = [part for part in parts if part not in {KUBERNETES, EVERYBODY}]
    subjects = {part: {part} for part in parts}
    if components:
        subjects = {OURS: set(components), **subjects}
    made: list[Row] = []
    for subject, members in subjects.items():
        made.append(row(case, subject, "writes", "", [_writes(one, members) for one in rounds]))
        if subject == OURS:
            continue
        for verb, resource in sorted({r[1:] for one in rounds for r in one if r.who == subject}):
            values = [one[Request(subject, verb, resource)] for one in rounds]
            made.append(row(case, subject, f"{verb} {resource}", "", values))
    return made


def _writes(counts: Counts, who: set[str]) -> int:
    return sum(n for request, n in counts.items() if request.who in who and request.is_write)


async def _meter(room: Room) -> Meter:
    """Counts from now on."""
    path = room.bed.settings.audit_log
    if path is not None:
        log = AuditLog(path)

        async def audited() -> Counts:
            return count_audit(log.lines(), {room.namespace, SYSTEM_NAMESPACE})

        return audited
    before = await _metrics()

    async def difference() -> Counts:
        return await _metrics() - before

    return difference


async def _metrics() -> Counts:
    config = from_environment()
    bearer = config.bearer()
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=config.ssl_context() or True),
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
            timeout=aiohttp.ClientTimeout(total=_METRICS_S),
            raise_for_status=True,
        ) as session,
        session.get(f"{config.server}/metrics") as answer,
    ):
        return count_metrics(await answer.text())
