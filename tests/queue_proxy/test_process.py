"""The queue-proxy as a process: start-up, imports, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotlight.certificates import CertificateRequest, generate

ROOT = Path(__file__).parents[2]
PATH = f"{ROOT}:{ROOT / 'queue_proxy'}"
FORBIDDEN = ("kopf", "kubernetes", "pydantic", "numpy", "aiohttp", "yaml", "prometheus_client")


@pytest.fixture
def app() -> Iterator[int]:
    """A program that answers HTTP; its port."""
    code = (
        "import http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.send_header('Content-Length', '2')\n"
        "        self.end_headers(); self.wfile.write(b'ok')\n"
        "    def log_message(self, *a): pass\n"
        "s = h.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True)\n"
        "s.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        yield int(ran.stdout.readline())
        ran.kill()


def environment(user_port: int, address: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": PATH,
        "SERVING_NAMESPACE": "ns",
        "SERVING_REVISION": "r-1",
        "SERVING_READINESS_PROBE": '{"tcpSocket": {}}',
        "PILOTLIGHT_BIND": address,
        "USER_PORT": str(user_port),
    }


def ask(address: str, port: int = 8012, path: bytes = b"/") -> bytes:
    with socket.create_connection((address, port), timeout=5) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        answer = b""
        while data := sock.recv(65536):
            answer += data
        return answer


def ask_when_up(address: str) -> bytes:
    deadline = time.monotonic() + 10
    while True:
        try:
            return ask(address)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


def test_it_serves_and_leaves_on_sigterm(app: int) -> None:
    address = "127.201.1.1"
    env = environment(app, address)
    command = [sys.executable, "-m", "pilotlight_queue_proxy"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as ran:
        answer = ask_when_up(address)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\nok")
        assert ask(address, 8022).startswith(b"HTTP/1.1 404")
        assert ask(address, 9091).startswith(b"HTTP/1.1 404")
        ran.send_signal(signal.SIGTERM)
        # The request above came past the activator: the pod stays for a while. A second signal
        # does not wait.
        time.sleep(0.3)
        assert ran.poll() is None
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(5) == 128 + signal.SIGTERM


def test_it_leaves_at_once_when_nobody_knows_it(app: int) -> None:
    address = "127.201.1.2"
    command = [sys.executable, "-m", "pilotlight_queue_proxy"]
    env = environment(app, address)
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as ran:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection((address, 9091), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        begin = time.monotonic()
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(5) == 0
        assert time.monotonic() - begin < 1


def test_bad_settings_are_named() -> None:
    env = environment(80, "127.201.1.3") | {"CONTAINER_CONCURRENCY": "many"}
    command = [sys.executable, "-m", "pilotlight_queue_proxy"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=False)
    assert ran.returncode == 2
    assert "CONTAINER_CONCURRENCY is 'many', must be a whole number" in ran.stderr


def test_only_light_modules_are_imported() -> None:
    code = (
        "import sys, pilotlight_queue_proxy.__main__ as m, pilotlight_queue_proxy.proxy\n"
        "print(' '.join(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": PATH, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.split())
    assert not [name for name in FORBIDDEN if name in loaded]
    ours = {name.split(".")[1] for name in loaded if name.startswith("pilotlight.")}
    assert ours <= {"http", "load", "names", "logs", "process"}


def test_what_is_not_needed_is_not_loaded(app: int) -> None:
    address = "127.201.1.4"
    command = [sys.executable, "-X", "importtime", "-m", "pilotlight_queue_proxy"]
    env = environment(app, address)
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as ran:
        assert ask_when_up(address).startswith(b"HTTP/1.1 200")
        ran.kill()
        assert ran.stderr is not None
        loaded = {line.rpartition("|")[2].strip() for line in ran.stderr}
    assert "uvloop.loop" in loaded
    assert not loaded & {"_ssl", "inspect", "traceback", "dataclasses", "random", "_datetime", "h2"}


def test_a_program_that_is_probed_by_tls_is_served(app: int, tmp_path: Path) -> None:
    made = generate(
        CertificateRequest("tests", ("127.0.0.1",), timedelta(days=1)), datetime.now(UTC)
    )
    (tmp_path / "both").write_bytes(made.certificate + made.key)
    code = (
        "import http.server as h, ssl, sys\n"
        "s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)\n"
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(sys.argv[1])\n"
        "s.socket = context.wrap_socket(s.socket, server_side=True)\n"
        "print(s.server_port, flush=True); s.serve_forever()\n"
    )
    probed = [sys.executable, "-c", code, str(tmp_path / "both")]
    address = "127.201.1.5"
    with subprocess.Popen(
        probed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
    ) as program:
        assert program.stdout is not None
        port = program.stdout.readline().strip()
        probe = f'{{"httpGet": {{"scheme": "HTTPS", "port": {port}, "path": "/both"}}}}'
        env = environment(app, address) | {"SERVING_READINESS_PROBE": probe}
        command = [sys.executable, "-m", "pilotlight_queue_proxy"]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as ran:
            assert ran.stderr is not None
            while "the user's container answers" not in (line := ran.stderr.readline()):
                assert line, "the queue-proxy has ended"
            ran.kill()
        program.kill()


def test_what_is_late_is_there_when_it_is_needed() -> None:
    code = (
        "from pilotlight_queue_proxy.late import postpone\n"
        "postpone(tls=False)\n"
        "import hmac, inspect, logging, random, subprocess\n"
        "assert hmac.digest(b'k', b'm', 'sha256') == hmac.new(b'k', b'm', 'sha256').digest()\n"
        "assert 1.0 <= random.uniform(1.0, 2.0) <= 2.0 and not inspect.isfunction(1)\n"
        "assert subprocess.run(['true']).returncode == 0 and subprocess.PIPE == -1\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    logging.exception('it failed')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": PATH, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "Traceback (most recent call last):" in ran.stderr


def test_what_is_switched_on_works_beside_what_is_loaded_late(app: int) -> None:
    address = "127.201.1.9"
    asked = {
        "enableRequestLog": True,
        "requestLogTemplate": "{{.Request.Method}} {{js .Request.RequestURI}} {{.Response.Code}}",
        "requestMetrics": {"protocol": "prometheus", "endpoint": f"{address}:9095"},
        "runtime": {"profiling": "enabled"},
    }
    env = environment(app, address) | {"OBSERVABILITY_CONFIG": json.dumps(asked)}
    command = [sys.executable, "-m", "pilotlight_queue_proxy"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as ran:
        ask_when_up(address)
        assert ran.stdout is not None
        assert ran.stdout.readline() == "GET / 200\n"
        assert b"task readiness" in ask(address, 8008, b"/debug/stacks")
        assert b"asyncio" in ask(address, 8008, b"/debug/profile?seconds=0.1")
        assert b"kn_serving_queue_depth" in ask(address, 9095, b"/metrics")
        assert b"application/protobuf" in ask(address, 9090, b"/metrics")
        with pytest.raises(ConnectionRefusedError):
            ask(address, 9091)
        ran.kill()
