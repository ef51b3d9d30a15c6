"""Cold starts and new Services, beside bare pods and bare Deployments of the same program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.cluster.bed import (
    READY_S,
    Bed,
    PodStart,
    Room,
    first_answer,
    since,
    start_pods,
)
from benchmarks.cluster.client import Address
from benchmarks.cluster.manifests import ANNOUNCE, deployment, front, service
from benchmarks.results import CaseError, Row, percentile_rows, row
from pilotlight.cli.load import Answer
from pilotlight.cli.timing import TOTAL, parse_server_timing
from pilotlight.kube.resources import CORE_SERVICES, DEPLOYMENTS

OURS: Final = "pilotlight"
POD: Final = "bare-pod"
DEPLOYMENT: Final = "bare-deployment"
COLD: Final = "cold start"
MANY: Final = "20 sleeping services at once"
BURST: Final = "100 requests of 200 ms at once"
PYTHON: Final = "cold start small python app"
PYTHON_BESIDE: Final = f"{PYTHON}, c app"
PYTHON_OVER: Final = f"{PYTHON}, over its own start"
CREATE: Final = "service create to ready"
_SLEEPERS: Final = 20
_REQUESTS: Final = 100
_CONCURRENCY: Final = 10
_NAME: Final = "sleeper"


@dataclass(slots=True)
class Times:
    """Milliseconds by case and subject, in the order in which they were first measured."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, case: str, subject: str, *values: float | None) -> None:
        """What could not be measured (None) is left out."""
        found = self.values.setdefault((case, subject), [])
        found += [value for value in values if value is not None]

    def add_pods(self, case: str, pods: Iterable[PodStart]) -> None:
        for pod in pods:
            self.add(case, POD, pod.ready)
            self.add(f"{case}, first answer", POD, pod.answer)
            self.add(f"{case}, listening", POD, pod.listening)

    def median(self, case: str, subject: str) -> float:
        """CaseError when it was never measured."""
        values = self.values.get((case, subject))
        if not values:
            raise CaseError(f"{case}, {subject}: nothing was measured")
        return median(values)

    def rows(self) -> list[Row]:
        return [
            made
            for (case, subject), values in self.values.items()
            if values
            for made in percentile_rows(case, subject, "ms", values)
        ]


async def cold_start(bed: Bed, rounds: int) -> list[Row]:
    """One sleeping Service, one request; a bare pod; a bare Deployment from 0 to 1."""
    times = Times()
    async with bed.room("cold") as room:
        await _sleeper(room, _NAME, bed.settings.image)
        address = await _bare_deployment(room)
        for number in range(rounds):
            await _wake(room, _NAME, COLD, times)
            await room.empty()
            times.add_pods(COLD, await start_pods(room, bed.settings.image, [f"pod-{number}"]))
            await room.empty()
            times.add(COLD, DEPLOYMENT, await _scale_up(room, address))
            await room.empty()
    return times.rows()


async def cold_start_python(bed: Bed, rounds: int) -> list[Row]:
    """As `cold start`, in turns with a program that has an interpreter to start. `own start` is
    what that takes bare; `over its own start` is what a Service's cold start takes beyond it. Both
    are differences of medians.
    """
    times = Times()
    programs = {PYTHON: bed.settings.python_image, PYTHON_BESIDE: bed.settings.image}
    names = {PYTHON: "python", PYTHON_BESIDE: "c"}
    async with bed.room("python") as room:
        for case, image in programs.items():
            await _sleeper(room, names[case], image)
        for number in range(rounds):
            for case, image in programs.items():
                await _wake(room, names[case], case, times)
                await room.empty()
                times.add_pods(case, await start_pods(room, image, [f"pod-{number}"]))
                await room.empty()
    try:
        return [*times.rows(), *over_own_start(times)]
    except CaseError as error:
        bed.note(str(error))
        return times.rows()


def over_own_start(times: Times) -> list[Row]:
    """What the interpreter takes bare, and what a Service with it takes beyond that."""
    bare = [times.median(f"{case}, listening", POD) for case in (PYTHON, PYTHON_BESIDE)]
    cold = [times.median(case, OURS) for case in (PYTHON, PYTHON_BESIDE)]
    own = bare[0] - bare[1]
    return [
        row(f"{PYTHON}, own start", POD, "p50_ms", "ms", [own]),
        row(PYTHON_OVER, OURS, "p50_ms", "ms", [cold[0] - cold[1] - own]),
    ]


async def many_at_once(bed: Bed, rounds: int) -> list[Row]:
    """Twenty sleeping Services get a request each at once; twenty bare pods."""
    times = Times()
    async with bed.room("many") as room:
        names = [f"{_NAME}-{number}" for number in range(_SLEEPERS)]
        for name in names:
            await room.apply(service(name, bed.settings.image))
        for name in names:
            await room.ready(name)
        await room.empty()
        for number in range(_fewer(rounds)):
            answers = await asyncio.gather(*(room.ask(name) for name in names))
            times.add(MANY, OURS, *(answer.seconds * 1000 for answer in answers))
            await room.empty()
            pods = [f"pod-{number}-{index}" for index in range(_SLEEPERS)]
            times.add_pods(MANY, await start_pods(room, bed.settings.image, pods))
            await room.empty()
    return times.rows()


async def burst(bed: Bed, rounds: int) -> list[Row]:
    """A hundred requests of 200 ms at once to a sleeping Service whose pods take ten; ten bare
    pods. `pods` counts every pod that was made from the requests until all sleep again.
    """
    times, counts = Times(), list[float]()
    async with bed.room("burst") as room:
        await room.apply(service(_NAME, bed.settings.image, concurrency=_CONCURRENCY))
        await room.ready(_NAME)
        await room.empty()
        for number in range(_fewer(rounds)):
            room.pods.seen.clear()
            asking = (room.ask(_NAME, "/sleep?ms=200") for _ in range(_REQUESTS))
            answers = await asyncio.gather(*asking)
            times.add(BURST, OURS, *(answer.seconds * 1000 for answer in answers))
            await room.empty()
            counts.append(len(room.pods.seen))
            pods = [f"pod-{number}-{index}" for index in range(_REQUESTS // _CONCURRENCY)]
            times.add_pods(BURST, await start_pods(room, bed.settings.image, pods))
            await room.empty()
    return [*times.rows(), row(BURST, OURS, "pods", "", counts)]


async def create_to_ready(bed: Bed, rounds: int) -> list[Row]:
    """From a Service's creation to Ready; from a bare Deployment's to available."""
    times = Times()
    async with bed.room("create") as room:
        for number in range(rounds):
            name = f"service-{number}"
            started = time.monotonic()
            await room.apply(service(name, bed.settings.image))
            await room.ready(name)
            times.add(CREATE, OURS, since(started))
            await room.delete_service(name)
            await room.empty()
            started = time.monotonic()
            await room.create(DEPLOYMENTS, deployment(name, bed.settings.image, 1))
            await _available(room, name)
            times.add(CREATE, DEPLOYMENT, since(started))
            await bed.kube.delete(DEPLOYMENTS, room.namespace, name)
            await room.empty()
    return times.rows()


def phases_of(answer: Answer) -> Mapping[str, float]:
    """The phases of a cold start, in milliseconds; CaseError for an answer that was none."""
    phases = parse_server_timing(answer.headers.get("server-timing", ""))
    if TOTAL not in phases:
        raise CaseError("a request to a sleeping Service was no cold start")
    return phases


async def _sleeper(room: Room, name: str, image: str) -> None:
    """A Service that is asleep, and says when its program listens."""
    where = room.bed.announcements.where(name)
    await room.apply(service(name, image, env={ANNOUNCE: where}))
    await room.ready(name)
    await room.empty()


async def _wake(room: Room, name: str, case: str, times: Times) -> float:
    """One cold start; its milliseconds."""
    announcements = room.bed.announcements
    announcements.forget(name)
    started = time.monotonic()
    answer = await room.ask(name)
    took = answer.seconds * 1000
    times.add(case, OURS, took)
    heard = await announcements.heard(name, started)
    if heard is None:
        room.bed.note(f"{case}: pods cannot reach {announcements.address} to say that they listen")
    times.add(f"{case}, listening", OURS, heard)
    for phase, value in phases_of(answer).items():
        times.add(f"{case}, phase {phase}", OURS, value)
    return took


async def _bare_deployment(room: Room) -> Address:
    """A Deployment of no pods, and a Kubernetes Service before it; where that is."""
    await room.create(DEPLOYMENTS, deployment(DEPLOYMENT, room.bed.settings.image, 0))
    made = await room.create(CORE_SERVICES, front(DEPLOYMENT))
    return Address(made["spec"]["clusterIP"], 80)


async def _scale_up(room: Room, address: Address) -> float:
    """From 0 to 1, until it answers through its Service, in milliseconds; and back to 0."""
    started = time.monotonic()
    kube = room.bed.kube
    await kube.scale(DEPLOYMENTS, room.namespace, DEPLOYMENT, 1)
    took = await first_answer(address, started)
    await kube.scale(DEPLOYMENTS, room.namespace, DEPLOYMENT, 0)
    return took


async def _available(room: Room, name: str) -> None:
    def look() -> bool:
        found = room.deployments.get(name) or {}
        return bool((found.get("status") or {}).get("availableReplicas"))

    await room.deployments.until(look, READY_S, f"the Deployment {name} is available")


def _fewer(rounds: int) -> int:
    """Rounds of a case that has many measurements in each."""
    return max(1, rounds // 4)
