"""The server as a process of its own, on the event loop that components run on."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp


async def _start(config: Path, state: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pilotlight_local.apiserver",
        "--kubeconfig",
        str(config),
        "--state",
        str(state),
        env=environment,
    )


def _session(config: Path) -> aiohttp.ClientSession:
    document = json.loads(config.read_text())
    cluster = document["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority))
    token = document["users"][0]["user"]["token"]
    return aiohttp.ClientSession(
        cluster["server"], connector=connector, headers={"Authorization": f"Bearer {token}"}
    )


async def test_it_serves_stops_and_goes_on(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    for turn in range(2):
        config = tmp_path / f"kubeconfig{turn}"
        process = await _start(config, tmp_path / "state.db")
        await eventually(lambda: config.exists() and config.stat().st_size, 20)  # noqa: B023
        assert config.stat().st_mode & 0o077 == 0
        async with _session(config) as session:
            async with session.post(maps, json={"metadata": {"name": f"m{turn}"}}) as response:
                assert response.status == 201
            async with session.get(maps) as response:
                assert len((await response.json())["items"]) == turn + 1
            async with session.get(f"{maps}?watch=true") as response:
                assert json.loads(await response.content.readline())["type"] == "ADDED"
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(10):
                    assert await process.wait() == 0
