"""The upstream of the proxy benchmark, and our proxies on the stand-in of a cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "benchmarks" / "app" / "server.c"
HEAD = "{} HTTP/1.1\r\nHost: a\r\n{}\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LARGE = 1 << 20
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("server") / "server"
    subprocess.run([COMPILER, "-O2", "-o", program, SERVER], check=True)
    return program


@pytest.fixture
def connection(program: Path) -> Iterator[socket.socket]:
    """To the upstream of the benchmarks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with subprocess.Popen([program], env={"PORT": str(port)}) as process:
        try:
            with connected(process, port) as made:
                yield made
        finally:
            process.kill()


def connected(process: subprocess.Popen[bytes], port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            assert process.poll() is None


def send(connection: socket.socket, first: str, fields: str = "", body: bytes = b"") -> None:
    connection.sendall(HEAD.format(first, fields).encode() + body)


def receive(connection: socket.socket) -> tuple[str, bytes]:
    """The next answer: its head, and its body of as many bytes as the head says."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1)
    head = data.decode()
    _, _, length = head.partition("Content-Length: ")
    size = int(length.split("\r\n")[0]) if length else 0
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return head, body


@pytest.mark.parametrize("size", [1, 16384, LARGE])
def test_as_many_bytes_as_asked_for(connection: socket.socket, size: int) -> None:
    for _ in range(2):
        send(connection, f"GET /bytes?n={size}")
        assert len(receive(connection)[1]) == size
    send(connection, "GET /")
    assert receive(connection)[1] == b"Hello, World!"


def test_a_body_is_taken_and_the_next_request_is_answered(connection: socket.socket) -> None:
    send(connection, "POST /", f"Content-Length: {LARGE}\r\n", bytes(LARGE))
    send(connection, "GET /bytes?n=2")
    assert receive(connection)[1] == b"Hello, World!"
    assert len(receive(connection)[1]) == 2


def test_who_waits_for_a_word_before_the_body_gets_it(connection: socket.socket) -> None:
    send(connection, "POST /", "Content-Length: 5\r\nExpect: 100-continue\r\n")
    assert receive(connection)[0].startswith("HTTP/1.1 100 ")
    connection.sendall(b"hello")
    assert receive(connection)[1] == b"Hello, World!"


def test_it_is_probed_as_a_queue_proxy(connection: socket.socket) -> None:
    send(connection, "GET /healthz", "K-Network-Probe: queue\r\n")
    assert receive(connection)[1] == b"queue"


def test_websocket_messages_come_back(connection: socket.socket) -> None:
    send(connection, "GET /", UPGRADE)
    assert receive(connection)[0].startswith("HTTP/1.1 101 ")
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(b"hello"))
    connection.sendall(b"\x82\x85" + mask + masked[:2])
    connection.sendall(masked[2:] + b"\x88\x80" + mask)
    echo = b""
    while more := connection.recv(100):
        echo += more
    assert echo == b"\x82\x05hello\x88\x00"


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own is root's to make")
def test_our_proxies_are_measured(program: Path) -> None:
    """Both answer on the stand-in of a cluster, alone and in a chain."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.proxy import bed, __main__ as m;"
        "bed.UPSTREAM = Path(sys.argv.pop(1)); m.main()"
    )
    options = ["start", "--rounds", "1", "--subjects", "queue-proxy,activator,pilotlight"]
    ran = subprocess.run(
        [sys.executable, "-c", code, program, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    table = [line.split() for line in ran.stdout.splitlines()]
    assert table[1] == ["start", "start_ms", "rss_mb", "private_mb"]
    assert [line[0] for line in table[2:5]] == ["queue-proxy", "activator", "pilotlight"]
