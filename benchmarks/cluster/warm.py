"""The warm path: CPU time of every process that a request crosses, and how long it takes."""

from __future__ import annotations

import re
from typing import Final

from benchmarks import wrk
from benchmarks.cluster.bed import READY_S, Bed, Room, is_pod_ready, pod_address
from benchmarks.cluster.client import Address
from benchmarks.cluster.manifests import pod, service
from benchmarks.cluster.processes import processes_of
from benchmarks.processes import cpu_of
from benchmarks.results import CaseError, Row, row
from pilotlight.cli.load import Tally, Target, sustain
from pilotlight.kube.resources import PODS
from pilotlight.names import ACTIVATOR, APP_LABEL, QUEUE_PROXY, SERVICE_LABEL

BUSY: Final = "http1 13B c16"
SINGLE: Final = "http1 13B c1"
TOGETHER: Final = "pilotlight"
BARE: Final = "bare-pod"
PROGRAM: Final = "program"
_CONNECTIONS: Final = {BUSY: 16, SINGLE: 1}
_SECONDS: Final = 5
_WARM_UP_S: Final = 1
_NAME: Final = "warm"
_QUEUE_PROXY: Final = re.compile(r"queue.proxy")

Measured = dict[tuple[str, str, str], list[float]]


async def warm_path(bed: Bed, rounds: int) -> list[Row]:
    """c=16 and c=1, through the gateway and to a bare pod of the same program, in turns."""
    if not wrk.available():
        bed.note(f"{BUSY}, {SINGLE}: there is no wrk on PATH; loaded by this program itself, which "
                 "takes CPU that the path would have had")  # fmt: skip
    measured: Measured = {}
    async with bed.room("warm") as room:
        await room.apply(
            service(_NAME, bed.settings.image, annotations={"min-scale": "1", "max-scale": "1"})
        )
        await room.ready(_NAME)
        bare = await _bare_pod(room)
        groups = await _groups(room)
        for address, host in ((bed.gateway, room.host(_NAME)), (bare, bare.host)):
            await _load(address, host, 16, _WARM_UP_S)
        for _ in range(max(1, rounds // 2)):
            for case, connections in _CONNECTIONS.items():
                await _through(room, case, connections, groups, measured)
                load = await _load(bare, bare.host, connections, _SECONDS)
                _note_load(measured, case, BARE, load)
    return [row(*key, _unit(key[2]), values) for key, values in measured.items()]


async def _through(
    room: Room, case: str, connections: int, groups: dict[str, list[int]], measured: Measured
) -> None:
    before = cpu_of(groups)
    load = await _load(room.bed.gateway, room.host(_NAME), connections, _SECONDS)
    after = cpu_of(groups)
    cost = {name: (after[name] - before[name]) / 1000 / load.requests for name in groups}
    cost[TOGETHER] = sum(us for name, us in cost.items() if name != PROGRAM)
    for name, us in cost.items():
        measured.setdefault((case, name, "cpu_us_per_request"), []).append(us)
    _note_load(measured, case, TOGETHER, load)


async def _load(address: Address, host: str, connections: int, seconds: int) -> wrk.Load:
    """By wrk where there is one; else by our own client, which takes more of the machine."""
    url = f"http://{address.host}:{address.port}"
    if wrk.available():
        return await wrk.load(f"{url}/", {"Host": host}, connections, seconds)
    tally = Tally()
    await sustain(Target(url, host), seconds, connections, tally)
    if tally.lost or not tally.total:
        raise CaseError(tally.explain())
    p50, p99 = (tally.percentile(percent) * 1000 for percent in (50, 99))
    return wrk.Load(tally.total, tally.total / seconds, p50, p99)


def _note_load(measured: Measured, case: str, subject: str, load: wrk.Load) -> None:
    for figure, value in (
        ("requests_per_s", load.per_second),
        ("p50_ms", load.p50_ms),
        ("p99_ms", load.p99_ms),
    ):
        measured.setdefault((case, subject, figure), []).append(value)


def _unit(figure: str) -> str:
    return {"cpu_us_per_request": "us", "requests_per_s": "1/s"}.get(figure, "ms")


async def _bare_pod(room: Room) -> Address:
    await room.create(PODS, pod(BARE, room.bed.settings.image))
    await room.pods.until(lambda: is_pod_ready(room.pods.get(BARE)), READY_S, f"{BARE} is Ready")
    address = pod_address(room.pods.get(BARE))
    if address is None:
        raise CaseError("a pod that is Ready has no address")
    return address


async def _groups(room: Room) -> dict[str, list[int]]:
    """The processes on the path: activators, the Service's queue-proxy, its program."""
    groups: dict[str, list[int]] = {ACTIVATOR: [], QUEUE_PROXY: [], PROGRAM: []}
    for found in await room.bed.system_pods():
        if (found["metadata"].get("labels") or {}).get(APP_LABEL) == ACTIVATOR:
            groups[ACTIVATOR] += processes_of(found)
    for found in room.pods.items.values():
        if (found["metadata"].get("labels") or {}).get(SERVICE_LABEL) == _NAME:
            for pid, line in processes_of(found).items():
                groups[QUEUE_PROXY if _QUEUE_PROXY.search(line) else PROGRAM].append(pid)
    if not (groups[ACTIVATOR] and groups[QUEUE_PROXY]):
        raise CaseError("the activator's or the queue-proxy's process is not on this machine")
    return groups
