"""What the control plane costs while nothing happens: memory and CPU, by number of Services."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from benchmarks.cluster.bed import Bed, Room
from benchmarks.cluster.manifests import service
from benchmarks.cluster.processes import processes_of
from benchmarks.processes import Memory, cpu_of, memory
from benchmarks.results import CaseError, Row, row
from pilotlight.kube.resources import SERVICES
from pilotlight.names import APP_LABEL

MEMORY: Final = "control plane memory"
CPU: Final = "control plane idle cpu"
WHOLE: Final = "pilotlight"
_LEVELS: Final = (0, 50, 200)
_IDLE_UP_TO: Final = 50
_IDLE_S: Final = 60.0
_CALM_S: Final = 10.0
_AT_ONCE: Final = 5


async def control_plane(bed: Bed, rounds: int) -> list[Row]:
    """Memory at 0, 50 and 200 sleeping Services; CPU time of an idle minute at 0 and 50."""
    rows: list[Row] = []
    minutes = max(1, rounds // 10)
    others = len((await bed.kube.list(SERVICES))["items"])
    if others:
        bed.note(f"{MEMORY}, {CPU}: the cluster had {others} Services of others besides")
    async with bed.room("standing") as room:
        for before, level in zip((0, *_LEVELS), _LEVELS, strict=False):
            await _add_services(room, before, level)
            await asyncio.sleep(_CALM_S)
            groups = await _components(bed)
            rows += _memory_rows(level, groups)
            if level <= _IDLE_UP_TO:
                rows += await _idle_rows(level, groups, minutes)
    return rows


async def _add_services(room: Room, first: int, end: int) -> None:
    """Services number `first` up to `end`, all asleep at the end."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def add(name: str) -> None:
        async with limit:
            await room.apply(service(name, room.bed.settings.image))
            await room.ready(name)

    if first < end:
        room.bed.say(f"  {end} Services ...")
    await asyncio.gather(*(add(f"service-{number}") for number in range(first, end)))
    await room.empty()


async def _components(bed: Bed) -> dict[str, list[int]]:
    """The processes of each component."""
    groups: dict[str, list[int]] = {}
    for pod in await bed.system_pods():
        name = (pod["metadata"].get("labels") or {}).get(APP_LABEL, pod["metadata"]["name"])
        groups.setdefault(name, []).extend(processes_of(pod))
    missing = [name for name, pids in groups.items() if not pids]
    if missing or not groups:
        raise CaseError(f"no process on this machine of: {', '.join(missing) or 'any component'}")
    return groups


def _memory_rows(level: int, groups: dict[str, list[int]]) -> list[Row]:
    case = f"{MEMORY}, {level} services"
    parts = {name: sum(map(memory, pids), Memory()) for name, pids in groups.items()}
    parts[WHOLE] = sum(parts.values(), Memory())
    return [
        row(case, name, figure, "MB", [getattr(part, figure)])
        for name, part in parts.items()
        for figure in ("rss_mb", "pss_mb", "private_mb")
    ]


async def _idle_rows(level: int, groups: dict[str, list[int]], minutes: int) -> list[Row]:
    measured: dict[str, list[float]] = {}
    for _ in range(minutes):
        started, before = time.monotonic(), cpu_of(groups)
        await asyncio.sleep(_IDLE_S)
        after, seconds = cpu_of(groups), time.monotonic() - started
        used = {name: (after[name] - before[name]) / 1e6 / seconds * 60 for name in groups}
        used[WHOLE] = sum(used.values())
        for name, value in used.items():
            measured.setdefault(name, []).append(value)
    case = f"{CPU}, {level} services"
    return [row(case, name, "cpu_ms_per_minute", "ms", v) for name, v in measured.items()]
