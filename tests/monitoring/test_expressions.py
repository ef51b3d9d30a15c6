"""Every expression of the dashboard gives data: a real Prometheus scrapes a real local mode."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from pilotlight.cli.cluster import ServiceDoor
from pilotlight.cli.instance import LocalInstance, Status, environment
from pilotlight.cli.load import Target, fire
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import from_file

pytestmark = [pytest.mark.prometheus, pytest.mark.local, pytest.mark.timeout(120)]

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "manifests" / "monitoring"
DASHBOARD: Final[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())
EXPRESSIONS: Final = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
VARIABLES: Final = {
    variable["name"]: variable["query"]["query"]
    for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"
}
CHOSEN: Final = {"namespace": "default", "service": ".*", "revision": ".*"}
MANIFESTS: Final = [
    yaml.safe_load((ROOT / "examples" / "hello" / name).read_text())
    for name in ("service.yaml", "split.yaml")
]
# What Grafana makes of $__rate_interval at a scrape each second and a wide window.
RATE_INTERVAL: Final = "30s"
DATA_S: Final = 30.0


@dataclass(slots=True)
class Prometheus:
    """A server, asked for what it knew `at` a moment: right after the traffic."""

    url: str
    at: float = 0.0

    def ask(self, path: str, **query: str) -> Any:
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def samples(self, expression: str) -> list[dict[str, Any]]:
        """The samples that are numbers."""
        found = self.ask("query", query=expression, time=f"{self.at:.3f}")["result"]
        return [sample for sample in found if sample["value"][1] != "NaN"]


@pytest.fixture(scope="module", name="status")
def status_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    examples = ROOT / "examples" / "images.yaml"
    instance = LocalInstance(tmp_path_factory.mktemp("monitored") / "state", [examples])
    try:
        yield instance.up()
    finally:
        instance.down()


@pytest.fixture(scope="module", name="prometheus")
def prometheus_fixture(
    status: Status, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the instance, of which a Service has slept, woken, and is split."""
    program = shutil.which("prometheus")
    assert program, "these tests need Prometheus: the package `prometheus` of Debian has it"
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(FOLDER / "prometheus.local.yaml", folder / "prometheus.yaml")
    port = free_port()
    following = [sys.executable, "-m", "pilotlight.cli.targets", str(folder / "targets.json")]
    serving = [
        program,
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    env = {**environment(), "KUBECONFIG": status.kubeconfig}
    with (
        process(following, folder / "targets.log", env),
        process(serving, folder / "prometheus.log", env),
    ):
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        wait_ready(prometheus, folder / "prometheus.log")
        asyncio.run(traffic(status))
        prometheus.at = wait_scraped(prometheus, time.time())
        yield prometheus


async def traffic(status: Status) -> None:
    """Two revisions, asleep and awake twice, then requests to both while they are scraped.

    Twice, because a rate sees how a count grows, not that one begins with 1.
    """
    async with KubeClient(from_file(Path(status.kubeconfig))) as kube:
        service = ServiceDoor(kube, "default", "hello")
        for manifest in MANIFESTS:
            await service.apply(manifest)
            await service.ready(20.0)
        found = await service.get()
        target = Target.of_url(status.gateway, found["status"]["url"], "/sleep?ms=20")
        for requests, rounds in ((30, 1), (60, 5)):
            await service.asleep(30.0, lambda _: None)
            for _ in range(rounds):
                tally = await fire(target, total=requests, concurrency=4)
                assert tally.lost == 0, tally.explain()
                await asyncio.sleep(1.0)


def wait_scraped(prometheus: Prometheus, moment: float) -> float:
    """The time, once every target has been scraped after `moment`."""
    deadline = time.monotonic() + DATA_S
    while True:
        prometheus.at = time.time()
        scraped = prometheus.samples("min(timestamp(up == 1))")
        if scraped and float(scraped[0]["value"][1]) > moment:
            return prometheus.at
        assert time.monotonic() < deadline, scraped
        time.sleep(0.2)


@contextmanager
def process(arguments: list[str], log: Path, env: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        started = subprocess.Popen(
            arguments, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env
        )
    try:
        yield
        assert started.poll() is None, f"it has ended: {log.read_text()}"
    finally:
        started.terminate()
        started.wait(20.0)


def wait_ready(prometheus: Prometheus, log: Path) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        try:
            with urlopen(f"{prometheus.url}/-/ready", timeout=1):
                return
        except (URLError, OSError):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def filled(expression: str) -> str:
    """The expression with the dashboard's variables as Grafana fills them in."""
    for name, value in {**CHOSEN, "__rate_interval": RATE_INTERVAL}.items():
        expression = expression.replace(f"${name}", value)
    assert "$" not in expression, expression
    return expression


def test_every_target_is_up(prometheus: Prometheus) -> None:
    found = prometheus.samples("up")
    assert [sample["metric"] for sample in found if sample["value"][1] != "1"] == []
    containers = {sample["metric"]["container"] for sample in found}
    assert containers == {"operator", "autoscaler", "activator", "queue-proxy"}


@pytest.mark.parametrize("title", EXPRESSIONS)
def test_an_expression_gives_data(prometheus: Prometheus, title: str) -> None:
    expression = filled(EXPRESSIONS[title])
    found = prometheus.samples(expression)
    assert found, f"no data: {expression}"
    legends = next(
        target["legendFormat"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
        if f"{panel['title']} {target['refId']}" == title
    )
    for label in re.findall(r"{{(\w+)}}", legends):
        assert all(label in sample["metric"] for sample in found), (label, found)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_has_values(prometheus: Prometheus, name: str) -> None:
    metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", VARIABLES[name]).groups()  # type: ignore[union-attr]
    values = prometheus.ask(f"label/{label}/values", **{"match[]": filled(metric)})
    expected = {"namespace": "default", "service": "hello", "revision": "hello-one"}
    assert expected[name] in values


def test_the_split_adds_up(prometheus: Prometheus) -> None:
    expression = filled(EXPRESSIONS["Split between revisions A"])
    shares = [float(sample["value"][1]) for sample in prometheus.samples(expression)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert len(shares) == 2


def test_the_phases_are_those_of_the_header(prometheus: Prometheus) -> None:
    found = prometheus.samples("sum by (phase) (pilotlight_cold_start_seconds_count)")
    phases = {sample["metric"]["phase"] for sample in found}
    assert phases == {"decide", "patch", "schedule", "start", "announce", "first-byte", "total"}


def test_the_list_of_targets_is_written_once_too(status: Status, tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    subprocess.run(
        [sys.executable, "-m", "pilotlight.cli.targets", str(file), "--once"],
        env={**os.environ, "KUBECONFIG": status.kubeconfig},
        check=True,
        timeout=30,
    )
    assert {group["labels"]["container"] for group in json.loads(file.read_text())} >= {"operator"}
