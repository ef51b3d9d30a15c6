"""Local mode as a whole: beside another, again after an end, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.harness import IMAGES, SERVICE, SLOW, Cluster, Deployed, Gateway, Wish, wait_until
from pilotlight.cli.instance import (
    InstanceError,
    LocalInstance,
    descendants,
    environment,
    survivors,
)

pytestmark = [pytest.mark.e2e, pytest.mark.local]

COMMAND = (sys.executable, "-m", "pilotlight.cli")
ENDED_S = 5.0


@contextmanager
def running(directory: Path) -> Iterator[LocalInstance]:
    instance = LocalInstance(directory, [IMAGES])
    try:
        instance.up()
        yield instance
    finally:
        instance.down()


def deployed(instance: LocalInstance, wish: Wish) -> Deployed:
    status = instance.status()
    cluster = Cluster(Path(status.kubeconfig))
    cluster.apply(wish.manifest("default"))
    return Deployed(cluster, Gateway(status.gateway), "default", wish.name).ready()


def listening(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), 1.0).close()
    except OSError:
        return False
    return True


def test_it_is_up_in_a_moment_and_two_run_side_by_side(tmp_path: Path) -> None:
    with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        first, second = one.status(), two.status()
        assert first.ready
        assert second.ready
        assert first.gateway != second.gateway
        services = [
            deployed(instance, Wish(name="same", env={"NAME": name}))
            for name, instance in (("first", one), ("second", two))
        ]
        assert [service.ask().text for service in services] == ["first", "second"]
        processes = descendants(first.pid)
        one.down()
        assert survivors(processes, ENDED_S) == {}
        assert services[1].ask().text == "second", "the other one is not touched"
    assert survivors(descendants(second.pid), ENDED_S) == {}
    assert not listening(second.gateway)


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "state") as instance:
        service = deployed(instance, Wish(name="kept", env={"NAME": "still here"}))
        uid = service.object()["metadata"]["uid"]
        deployed(instance, Wish(name="dropped"))
        service.cluster.delete(SERVICE, "default", "dropped")
    assert not listening(service.gateway.url)
    with pytest.raises(InstanceError):
        instance.status()
    with running(tmp_path / "state") as again:
        status = again.status()
        cluster = Cluster(Path(status.kubeconfig))
        kept = Deployed(cluster, Gateway(status.gateway), "default", "kept").ready()
        assert kept.object()["metadata"]["uid"] == uid
        assert kept.ask().text == "still here"
        assert cluster.get(SERVICE, "default", "dropped") is None
        deployed(again, Wish(name="kept", env={"NAME": "changed"}))
        wait_until(lambda: kept.ask().text == "changed", 5.0, "a change is served")


@contextmanager
def foreground(
    directory: Path, *command: str, gateway_within_s: float = 20.0
) -> Iterator[tuple[subprocess.Popen[bytes], LocalInstance]]:
    """A `pilotlight ...` as from a terminal, until it is ready."""
    instance = LocalInstance(directory)
    log = directory.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
    try:
        wait_until(lambda: _ready(instance, process, log), gateway_within_s, "it is ready")
        yield process, instance
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _ready(instance: LocalInstance, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return instance.status().ready
    except InstanceError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(tmp_path: Path, number: signal.Signals) -> None:
    directory = tmp_path / "state"
    command = ("local", "up", "--data-dir", str(directory), "--port", "0", "--images", str(IMAGES))
    with foreground(directory, *command) as (process, instance):
        service = deployed(instance, Wish(annotations={"min-scale": "2"}))
        wait_until(lambda: len(service.ready_pods()) == 2, 10.0, "two pods run")
        processes = descendants(process.pid)
        assert sum("app.py" in line for line in processes.values()) == 2
        assert sum("pilotlight_queue_proxy" in line for line in processes.values()) == 2
        for component in ("operator", "autoscaler", "activator"):
            assert sum(f"pilotlight_{component}" in line for line in processes.values()) == 1
        process.send_signal(number)
        code = process.wait(20.0)
    assert survivors(processes, ENDED_S) == {}
    assert not listening(service.gateway.url)
    if number is not signal.SIGKILL:
        assert code == 0, directory.with_suffix(".log").read_text()
        return
    with running(directory) as again:  # neither a lock nor a half-written state is in the way
        status = again.status()
        kept = Deployed(Cluster(Path(status.kubeconfig)), Gateway(status.gateway), "default", "app")
        assert kept.ready().ask().status == 200


def test_the_detached_process_is_killed_and_nothing_outlives_it(tmp_path: Path) -> None:
    with running(tmp_path / "state") as instance:
        deployed(instance, Wish(annotations={"min-scale": "1"}))
        status = instance.status()
        processes = descendants(status.pid)
        assert len(processes) >= 6
        os.kill(status.pid, signal.SIGKILL)
        assert survivors(processes, ENDED_S) == {}
        with pytest.raises(InstanceError):
            instance.status()
        assert not listening(status.gateway)


def verb(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments, "--data-dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=30.0,
        env=environment(),
        check=False,
    )


def test_the_verbs_find_it_by_its_directory(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    assert verb(directory, "local", "status").returncode != 0
    with running(directory) as instance:
        said: Any = json.loads(verb(directory, "local", "status", "--json").stdout)
        assert said["ready"] is True
        plain = verb(directory, "local", "status")
        assert plain.returncode == 0
        assert instance.status().gateway in plain.stdout
        twice = verb(directory, "local", "up", "--detach", "--port", "0")
        assert "running" in twice.stdout + twice.stderr
        deployed(instance, Wish(annotations={"min-scale": "1"}))
        logs = verb(directory, "local", "logs")
        assert logs.returncode == 0
        assert logs.stdout
    assert verb(directory, "local", "down").returncode == 0, "down is done when it is down"


def test_run_serves_a_directory_and_follows_its_changes(tmp_path: Path) -> None:
    program = tmp_path / "my-app"
    program.mkdir()
    source = (IMAGES.parent / "app" / "app.py").read_text()
    (program / "app.py").write_text(source.replace('"NAME", "app"', '"NAME", "mine"'))
    state = tmp_path / "state"
    command = ("run", str(program), "--watch", "--data-dir", str(state), "--port", "0")
    with foreground(state, *command) as (process, instance):
        status = instance.status()
        cluster, gateway = Cluster(Path(status.kubeconfig)), Gateway(status.gateway)
        service = Deployed(cluster, gateway, "default", "my-app")
        wait_until(lambda: cluster.get(SERVICE, "default", "my-app"), 10.0, "the Service is made")
        service.ready()
        assert service.ask().text == "mine"
        (program / "app.py").write_text(source.replace('"NAME", "app"', '"NAME", "changed"'))
        wait_until(lambda: service.ask().text == "changed", 10.0, "the change is served")
        assert service.ready().object()["status"]["latestReadyRevisionName"] != "my-app-00001"
        processes = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(20.0)
    output = state.with_suffix(".log").read_text()
    assert "http://my-app.default." in output
    assert "mine GET / 200" in output, "the logs are followed"
    assert survivors(processes, ENDED_S) == {}


def test_time_to_ready(tmp_path: Path) -> None:
    """Three seconds on an idle machine; twice that passes here, where tests share the cores."""
    started = time.monotonic()
    with running(tmp_path / "state"):
        assert time.monotonic() - started < 6.0 * SLOW
