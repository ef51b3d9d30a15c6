"""The process without an API: it listens, says what is wrong, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight.load import wire
from pilotlight_autoscaler.app import App, Options, options_of, steady_clock

CLOSED = "http://127.0.0.1:9"
OPTIONS = Options(bind="127.0.0.1", reports_port=0, admin_port=0)


@dataclass
class Running:
    app: App
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def get(self, target: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.app.admin_port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with KubeClient(KubeConfig(CLOSED)) as client:
        app, stop = App(client, OPTIONS), asyncio.Event()
        task = asyncio.get_running_loop().create_task(app.run(stop))
        async with asyncio.timeout(5):
            while not app.admin_port:
                await asyncio.sleep(0.002)
        yield Running(app, stop, task)
        stop.set()
        async with asyncio.timeout(5):
            await task


async def test_it_lives_and_says_what_is_missing(running: Running) -> None:
    assert (await running.get("/healthz"))[0] == 200
    status, text = await running.get("/readyz")
    assert (status, text) == (
        503,
        "the secret pilotlight-keys cannot be read: no reporter is heard\n",
    )
    running.app.reports.master = b"x"
    status, text = await running.get("/readyz")
    assert (status, text) == (503, "the API has not been read yet\n")


async def test_reporters_are_not_heard_before_their_key_is_known(running: Running) -> None:
    """A greeting that nobody can check yet is no bad greeting: it must not be refused."""
    await running.get("/readyz")
    assert running.app.reports_port == 0
    running.app.take_key(b"x" * 32)
    async with asyncio.timeout(5):
        while not running.app.reports_port:
            await asyncio.sleep(0.002)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.app.reports_port)
    assert len(await reader.readexactly(wire.CHALLENGE_LENGTH)) == wire.CHALLENGE_LENGTH
    writer.close()


async def test_metrics_are_served(running: Running) -> None:
    status, text = await running.get("/metrics")
    assert status == 200
    assert "pilotlight_autoscaler_revisions 0.0" in text


@pytest.mark.parametrize(
    ("target", "status", "error"),
    [
        ("/decisions", 400, "the parameter revision=NAMESPACE/NAME is missing"),
        ("/decisions?revision=a/b", 404, "no revision 'a/b' is scaled here"),
    ],
)
async def test_decisions_of_nothing(running: Running, target: str, status: int, error: str) -> None:
    found, body = await running.get(target)
    assert (found, json.loads(body)) == (status, {"error": error})


async def test_decisions_are_told(running: Running) -> None:
    control = running.app.control
    control.see_replicas("default/hello-00001", 0)
    control.see_autoscaler("default/hello-00001", PA)
    control.tick()
    status, body = await running.get("/decisions?revision=default/hello-00001")
    told = json.loads(body)
    assert status == 200
    assert told["present"]["rule"] == "activating"
    assert told["spec"]["target"] == 70.0
    assert [entry["want"] for entry in told["decisions"]] == [-1]


def samples_of(app: App) -> dict[str, Sample]:
    """What the metrics say of the revision."""
    text = generate_latest(app.metrics.registry).decode()
    return {
        sample.name: sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("kn_revision_name") == "hello-00001"
    }


async def test_every_revision_has_its_gauges_at_the_leader(running: Running) -> None:
    control = running.app.control
    control.see_replicas("default/hello-00001", 0)
    control.see_autoscaler("default/hello-00001", PA)
    assert samples_of(running.app) == {}
    control.lead()
    samples = samples_of(running.app)
    assert set(samples) == {
        "kn_revision_pods_desired",
        "kn_revision_pods_requested",
        "kn_revision_panic_mode",
        "kn_revision_concurrency_stable",
        "kn_revision_concurrency_panic",
        "kn_revision_concurrency_target",
        "kn_revision_pods_count",
        "kn_revision_pods_not_ready_count",
        "kn_revision_pods_pending_count",
        "kn_revision_pods_terminating_count",
    }
    assert samples["kn_revision_concurrency_target"].value == 70.0
    assert samples["kn_revision_pods_desired"].labels == {
        "k8s_namespace_name": "default",
        "kn_service_name": "hello",
        "kn_configuration_name": "hello",
        "kn_revision_name": "hello-00001",
    }


async def test_a_taken_port_is_an_error() -> None:
    async with KubeClient(KubeConfig(CLOSED)) as client:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options = Options(bind="127.0.0.1", reports_port=0, admin_port=port)
        with pytest.raises(OSError, match="in use"):
            await App(client, options).run(asyncio.Event())
        server.close()
        await server.wait_closed()


async def test_a_taken_port_for_reports_is_an_error() -> None:
    async with KubeClient(KubeConfig(CLOSED)) as client:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        app = App(client, Options(bind="127.0.0.1", reports_port=port, admin_port=0))
        app.take_key(b"x" * 32)
        with pytest.raises(OSError, match="in use"):
            await app.run(asyncio.Event())
        server.close()
        await server.wait_closed()


def test_options_come_from_the_environment() -> None:
    assert replace(options_of({}), identity="") == Options(identity="")
    environ = {"PILOTLIGHT_BIND": "127.1.0.9", "SYSTEM_NAMESPACE": "sys", "POD_NAME": "a-1"}
    assert options_of(environ) == Options(bind="127.1.0.9", namespace="sys", identity="a-1")


def test_the_clock_does_not_go_back() -> None:
    clock = steady_clock()
    times = [clock() for _ in range(1000)]
    assert times == sorted(times)


PA = {
    "metadata": {
        "name": "hello-00001",
        "namespace": "default",
        "generation": 1,
        "resourceVersion": "1",
        "labels": {
            "serving.knative.dev/service": "hello",
            "serving.knative.dev/configuration": "hello",
        },
    },
    "spec": {"scaleTargetRef": {"name": "hello-00001-deployment"}},
}
