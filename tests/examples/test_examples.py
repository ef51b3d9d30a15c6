"""The examples, by themselves: programs that answer on $PORT, and manifests that name them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import aiohttp
import pytest
import yaml

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
IMAGES: Final[dict[str, Any]] = yaml.safe_load((EXAMPLES / "images.yaml").read_text())
MANIFESTS: Final = sorted(EXAMPLES.glob("*/*.yaml"))


@contextmanager
def serving(image: str, **env: str) -> Iterator[str]:
    """The program of an image on a free port, until the block ends; it must end at SIGTERM."""
    entry = IMAGES[image]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, *entry["command"][1:]],
        cwd=EXAMPLES / entry["directory"],
        env={**os.environ, **env, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10.0
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(10.0) == 0
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def get(url: str, body: bytes | None = None) -> str:
    with urlopen(Request(url, data=body), timeout=10) as answer:
        return str(answer.read().decode())


def test_hello_greets_and_takes_its_time() -> None:
    with serving("dev.local/hello:one", TARGET="Ada") as url:
        assert get(url) == "Hello Ada! (edition 1)\n"
        started = time.monotonic()
        assert get(f"{url}/sleep?ms=120") == "Hello Ada! (edition 1)\n"
        assert time.monotonic() - started >= 0.12
        assert get(url, b"back again") == "back again"
    with serving("dev.local/hello:two") as url:
        assert get(url) == "Hello World! (edition 2)\n"


def test_stream_sends_one_event_after_another() -> None:
    with serving("dev.local/stream:1") as url, urlopen(f"{url}/?n=3&ms=100", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        events = [(line, time.monotonic()) for line in answer if line.startswith(b"id:")]
    assert [line for line, _ in events] == [b"id: 0\n", b"id: 1\n", b"id: 2\n"]
    assert events[2][1] - events[0][1] >= 0.15


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_echo_says_back_what_it_hears(size: int) -> None:
    text = "é" * (size // 2)
    with serving("dev.local/echo:1") as url:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url) as there:
                await there.send_str(text)
                assert await there.receive_str() == text
                await there.send_bytes(bytes(size))
                assert await there.receive_bytes() == bytes(size)
            async with session.get(url) as response:
                assert response.status == 426


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_is_a_service_of_a_known_image(path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("serving.knative.dev/v1", "Service")
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"] in IMAGES
    shares = [target["percent"] for target in manifest["spec"].get("traffic", [])]
    assert sum(shares) in (0, 100)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_a_program_that_exists(image: str) -> None:
    directory = EXAMPLES / IMAGES[image]["directory"]
    assert (directory / IMAGES[image]["command"][1]).is_file()
    assert (directory / "README.md").is_file()
