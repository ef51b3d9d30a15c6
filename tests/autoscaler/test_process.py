"""The autoscaler as its own process: environment in, JSON logs out, and a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLOSED = "http://127.0.0.1:9"


def kubeconfig(path: Path) -> Path:
    """A kubeconfig for an API that nobody serves."""
    name = "test"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": name,
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                "clusters": [{"name": name, "cluster": {"server": CLOSED}}],
                "users": [{"name": name, "user": {"token": "x"}}],
            }
        )
    )
    return path


async def healthy(address: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, 9090)
    except OSError:
        return False
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_runs_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    # An own loopback address: the ports are fixed.
    address = f"127.{random.randint(2, 250)}.{random.randint(0, 250)}.{random.randint(1, 250)}"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "autoscaler")])
    environ = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig(tmp_path / "config")),
        "PILOTLIGHT_BIND": address,
        "PYTHONPATH": paths,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pilotlight_autoscaler"),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            while not await healthy(address):
                assert process.returncode is None
                await asyncio.sleep(0.02)
            process.send_signal(number)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert {"severity", "timestamp", "logger", "message"} <= lines[0].keys()
    assert any(line["message"] == "listening" for line in lines)
    assert not any(line["severity"] == "ERROR" for line in lines)
