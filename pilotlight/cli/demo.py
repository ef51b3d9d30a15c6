"""`pilotlight demo`: the whole story on one machine, told and checked."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

import aiohttp
import click
import yaml

from pilotlight.cli.cluster import MANAGER, NotInTimeError, PodLine, ServiceDoor
from pilotlight.cli.instance import InstanceError, LocalInstance, Status, descendants, survivors
from pilotlight.cli.load import Answer, Tally, Target, ask, client, fire, sustain
from pilotlight.cli.narrator import Narrator, narrator
from pilotlight.cli.timing import MEANINGS, TOTAL, parse_server_timing
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.config import from_file
from pilotlight.kube.errors import ApiError

_NAMESPACE: Final = "default"
_SERVICE: Final = "hello"
_READY_S: Final = 20.0
_ASLEEP_S: Final = 30.0
_LOAD_S: Final = 6.0
_LOAD_CONCURRENCY: Final = 40
_MOST_PODS: Final = 8
_SPLIT_REQUESTS: Final = 1000
_SPLIT_CONCURRENCY: Final = 8
_SPLIT_PERCENT: Final = 10.0
# Four standard deviations of a fair draw of a thousand; the splitter is to do better.
_SPLIT_TOLERANCE: Final = 4.0
_CLEAN_S: Final = 5.0


class DemoFailedError(Exception):
    """What was shown is not what was promised."""


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a chapter needs."""

    teller: Narrator
    service: ServiceDoor
    gateway: str
    examples: Path


@click.command(short_help="Show it at work, with no cluster.")
@click.option(
    "--examples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the manifests and the programs; those that came with the command.",
)
def demo(examples: Path | None) -> None:
    """Show it at work, with no cluster: asleep, awake, busy, split in two, asleep again.

    Starts a local mode of its own on free ports, checks what it shows, and leaves nothing behind.
    Takes about a minute. The exit code is 0 when everything was as promised.
    """
    teller = narrator(sys.stdout)
    folder = _checked(examples or _examples())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    started = time.monotonic()
    code = _perform(teller, folder)
    if code == 0:
        teller.title(f"All as promised, in {time.monotonic() - started:.0f} s.")
        teller.say("Next: `pilotlight local up`, or `pilotlight run ./my-app`.")
    sys.exit(code)


def _perform(teller: Narrator, examples: Path) -> int:
    directory = Path(tempfile.mkdtemp(prefix="pilotlight-demo-"))
    instance = LocalInstance(directory / "state", [examples / "images.yaml"])
    code = 1
    try:
        status = _start(teller, instance)
        asyncio.run(_show(teller, status, examples))
        code = 0
    except KeyboardInterrupt as interrupt:
        teller.bad("interrupted")
        code = 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except (DemoFailedError, NotInTimeError, InstanceError, ApiError, aiohttp.ClientError) as error:
        teller.bad(str(error) or type(error).__name__)
    finally:
        cleaned = _clean(teller, instance, directory, keep_logs=code == 1)
    return code if cleaned or code else 1


def _start(teller: Narrator, instance: LocalInstance) -> Status:
    teller.title("A Kubernetes of our own")
    started = time.monotonic()
    with teller.busy("starting local mode"):
        status = instance.up()
    teller.good(f"local mode is ready after {time.monotonic() - started:.1f} s")
    teller.say(f"gateway {status.gateway}, kubeconfig {status.kubeconfig}")
    return status


async def _show(teller: Narrator, status: Status, examples: Path) -> None:
    async with KubeClient(from_file(Path(status.kubeconfig)), MANAGER) as kube:
        service = ServiceDoor(kube, _NAMESPACE, _SERVICE)
        stage = Stage(teller, service, status.gateway, examples)
        await _show_apply(stage)
        await _show_cold_start(stage, "The first request finds no pod")
        await _show_scale_out(stage)
        await _show_split(stage)
        await _fall_asleep(stage, "Nobody asks, so everything sleeps again")
        await _show_cold_start(stage, "And wakes again")


async def _show_apply(stage: Stage) -> None:
    stage.teller.title("A Service")
    started = time.monotonic()
    await stage.service.apply(_manifest(stage.examples / "hello" / "service.yaml"))
    with stage.teller.busy("applied examples/hello/service.yaml, waiting until it is Ready"):
        found = await stage.service.ready(_READY_S)
    stage.teller.good(f"Ready after {time.monotonic() - started:.2f} s: {found['status']['url']}")
    await _fall_asleep(stage, "It has served nobody yet, so it falls asleep")


async def _fall_asleep(stage: Stage, title: str) -> None:
    stage.teller.title(title)
    started = time.monotonic()
    with stage.teller.busy("waiting for the last pod to go") as update:
        await stage.service.asleep(_ASLEEP_S, lambda count: update(f"{count} pods are left"))
    stage.teller.good(f"no pod is left after {time.monotonic() - started:.1f} s")


async def _show_cold_start(stage: Stage, title: str) -> None:
    stage.teller.title(title)
    pods = await stage.service.pods()
    _check(not pods, f"{len(pods)} pods are there before the request")
    async with client(1) as session:
        answer = await ask(session, await _target(stage))
    _check(answer.status == 200, f"the answer is {answer.status}: {answer.text.strip()}")
    stage.teller.good(f"answered after {answer.seconds * 1000:.0f} ms: {answer.text.strip()}")
    stage.teller.table(("phase", "ms", ""), _phase_rows(answer))


def _phase_rows(answer: Answer) -> list[tuple[str, str, str]]:
    phases = parse_server_timing(answer.headers.get("Server-Timing", ""))
    _check(TOTAL in phases, "the answer that waited does not say for what (no Server-Timing)")
    return [(name, f"{ms:.1f}", MEANINGS.get(name, "")) for name, ms in phases.items()]


async def _show_scale_out(stage: Stage) -> None:
    stage.teller.title(f"{_LOAD_CONCURRENCY} requests at once, ten to a pod")
    target = await _target(stage, "/sleep?ms=200")
    tally, most = Tally(), list[PodLine]()
    with stage.teller.busy("under load") as update:
        load = asyncio.create_task(
            sustain(target, _LOAD_S, _LOAD_CONCURRENCY, tally), name="demo-load"
        )
        try:
            while not load.done():
                ready = [pod for pod in await stage.service.pods() if pod.state == "Ready"]
                most = max(most, ready, key=len)
                update(f"{tally.good} answers, {len(ready)} pods are ready")
                await asyncio.wait([load], timeout=0.25)
            await load
        finally:
            load.cancel()
    stage.teller.table(("pod", "revision", "state", "address"), [pod.cells() for pod in most])
    _check(tally.lost == 0, f"not every answer is 200: {tally.explain()}")
    _check(1 < len(most) <= _MOST_PODS, f"{len(most)} pods served the load")
    percentiles = " and ".join(f"p{p} {tally.percentile(p) * 1000:.0f} ms" for p in (50, 99))
    stage.teller.good(f"{tally.good} answers from up to {len(most)} pods, {percentiles}, none lost")


async def _show_split(stage: Stage) -> None:
    stage.teller.title("A second revision gets one request in ten")
    started = time.monotonic()
    await stage.service.apply(_manifest(stage.examples / "hello" / "split.yaml"))
    with stage.teller.busy("applied examples/hello/split.yaml, waiting until it is Ready"):
        found = await stage.service.ready(_READY_S)
    stage.teller.good(f"Ready after {time.monotonic() - started:.2f} s")
    tagged = [entry for entry in found["status"]["traffic"] if entry.get("tag")]
    _check(len(tagged) == 1, f"the status shows {len(tagged)} tagged targets")
    async with client(1) as session:
        answer = await ask(session, Target.of_url(stage.gateway, tagged[0]["url"]))
    _check("edition 2" in answer.text, f"the tag's URL answers {answer.status} {answer.text!r}")
    stage.teller.good(f"the tag has a URL of its own, {tagged[0]['url']}: {answer.text.strip()}")
    tally = Tally()
    with stage.teller.busy(f"{_SPLIT_REQUESTS} requests") as update:
        load = asyncio.create_task(
            fire(await _target(stage), _SPLIT_REQUESTS, _SPLIT_CONCURRENCY, tally), name="demo-load"
        )
        try:
            while not load.done():
                update(f"{tally.good} of {_SPLIT_REQUESTS} requests")
                await asyncio.wait([load], timeout=0.25)
            await load
        finally:
            load.cancel()
    _check(tally.lost == 0, f"not every answer is 200: {tally.explain()}")
    _tell_split(stage.teller, tally.texts)


def _tell_split(teller: Narrator, texts: Counter[str]) -> None:
    rows = [
        (text.strip(), str(count), f"{100 * count / texts.total():.1f} %")
        for text, count in texts.most_common()
    ]
    teller.table(("answer", "times", "share"), rows)
    second = sum(count for text, count in texts.items() if "edition 2" in text)
    share = 100 * second / texts.total()
    _check(
        abs(share - _SPLIT_PERCENT) <= _SPLIT_TOLERANCE,
        f"{share:.1f} % went to the second revision, {_SPLIT_PERCENT:.0f} % were asked for",
    )
    teller.good(f"{share:.1f} % went to the second revision, {_SPLIT_PERCENT:.0f} % were asked for")


async def _target(stage: Stage, path: str = "/") -> Target:
    found = await stage.service.get()
    return Target.of_url(stage.gateway, found["status"]["url"], path)


def _clean(teller: Narrator, instance: LocalInstance, directory: Path, *, keep_logs: bool) -> bool:
    """End everything and see that it has ended. With `keep_logs` the logs stay, and are named."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _not_now)
    try:
        processes = _processes_of(instance)
        instance.down()
        left = survivors(processes, _CLEAN_S)
    except InstanceError as error:
        teller.bad(str(error))
        return False
    if keep_logs and instance.logs.is_dir():
        logs = Path(tempfile.mkdtemp(prefix="pilotlight-demo-logs-"))
        shutil.copytree(instance.logs, logs, dirs_exist_ok=True)
        teller.say(f"the logs of every component and pod are in {logs}")
    shutil.rmtree(directory, ignore_errors=True)
    if left:
        teller.bad(
            "processes are left: " + ", ".join(f"{pid} {line}" for pid, line in left.items())
        )
        return False
    if processes:
        teller.good(f"{len(processes)} processes ended, nothing is left behind")
    return True


def _processes_of(instance: LocalInstance) -> dict[int, str]:
    try:
        status: Status = instance.status()
    except InstanceError:
        return {}
    return descendants(status.pid)


def _examples() -> Path:
    """The examples beside the source tree, or those in the installed package."""
    beside = Path(__file__).parents[2] / "examples"
    if (beside / "images.yaml").is_file():
        return beside
    spec = find_spec("pilotlight_local")
    if spec is None or spec.origin is None:
        raise click.ClickException("local mode is not installed: pip install 'pilotlight[local]'")
    return Path(spec.origin).parent / "_assets" / "examples"


def _checked(folder: Path) -> Path:
    for name in ("images.yaml", "hello/service.yaml", "hello/split.yaml"):
        if not (folder / name).is_file():
            raise click.ClickException(f"{folder} has no {name}: these are not the examples")
    return folder


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailedError(otherwise)


def _manifest(path: Path) -> Object:
    return dict(yaml.safe_load(path.read_text()))


def _not_now(_: int, __: FrameType | None) -> None:
    """A signal during the clean-up, which is short and bounded: it goes on."""


def _interrupted(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
