"""The pure parts: settings, probes, headers, the pod's state, metrics."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from pilotlight.http import Limits, Timeouts
from pilotlight.http.forwarding import render_request
from pilotlight.http.head import Request, parse_request
from pilotlight.load.wire import PodState
from pilotlight_queue_proxy.headers import edit, route_tag
from pilotlight_queue_proxy.health import is_probe
from pilotlight_queue_proxy.metrics import Metrics
from pilotlight_queue_proxy.pod import Pod
from pilotlight_queue_proxy.probe import ProbeSpec, parse_probes
from pilotlight_queue_proxy.prober import is_refused
from pilotlight_queue_proxy.settings import Settings, SettingsError, parse
from pilotlight_queue_proxy.watch import pause_after

ENV = {"SERVING_NAMESPACE": "ns", "SERVING_REVISION": "r-1"}


def request(*lines: bytes) -> Request:
    parsed = parse_request(
        b"\r\n".join([b"GET / HTTP/1.1", b"Host: pod", *lines, b"", b""]), Limits()
    )
    assert parsed is not None
    return parsed[0]


def test_defaults() -> None:
    settings = parse(ENV)
    assert (settings.bind, settings.port, settings.user_port) == ("0.0.0.0", 8012, 8080)
    assert settings.timeouts == Timeouts(total_s=300)
    assert settings.concurrency == 0
    assert settings.reporting.autoscaler == (
        "autoscaler-reports.knative-serving.svc.cluster.local:8014"
    )
    assert settings.probes == ()


def test_everything_set() -> None:
    settings = parse(
        ENV
        | {
            "SERVING_POD_IP": "127.3.0.1",
            "QUEUE_SERVING_PORT": "8013",
            "USER_PORT": "3000",
            "CONTAINER_CONCURRENCY": "7",
            "REVISION_TIMEOUT_SECONDS": "60",
            "REVISION_RESPONSE_START_TIMEOUT_SECONDS": "30",
            "REVISION_IDLE_TIMEOUT_SECONDS": "20",
            "SERVING_READINESS_PROBE": '{"tcpSocket": {"port": 3000}}',
            "SERVING_LOGGING_LEVEL": "warn",
            "PILOTLIGHT_KEY": "00ff",
            "PILOTLIGHT_BIND": "127.3.0.1",
        }
    )
    assert settings.queue_length == 70
    assert settings.address == "127.3.0.1:8013"
    assert settings.timeouts == Timeouts(60, 30, 20)
    assert settings.reporting.key == b"\x00\xff"
    assert settings.log_level == "warning"
    assert settings.probes[0].port == 3000


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("SERVING_NAMESPACE", "", "must be set"),
        ("SERVING_REVISION", "", "must be set"),
        ("CONTAINER_CONCURRENCY", "-1", "whole number"),
        ("CONTAINER_CONCURRENCY", "ten", "whole number"),
        ("REVISION_TIMEOUT_SECONDS", "1.5", "whole number"),
        ("USER_PORT", "0", "between 1 and 65535"),
        ("QUEUE_SERVING_PORT", "70000", "between 1 and 65535"),
        ("PILOTLIGHT_KEY", "xyz", "hexadecimal"),
        ("PILOTLIGHT_AUTOSCALER", "no-port", "name:port"),
        ("SERVING_READINESS_PROBE", "{", "not JSON"),
        ("SERVING_READINESS_PROBE", "[1]", "must be an object"),
        ("SERVING_READINESS_PROBE", '{"tcpSocket": {"port": 99999}}', "port is 99999"),
        ("SERVING_READINESS_PROBE", '{"periodSeconds": -1}', "periodSeconds is -1"),
        ("SERVING_READINESS_PROBE", '{"httpGet": {"path": "/a b"}}', "path is '/a b'"),
    ],
)
def test_errors_name_the_variable_and_the_rule(variable: str, value: str, rule: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(ENV | {variable: value})
    assert str(caught.value).startswith(variable)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", ()),
        ("null", ()),
        ("{}", (ProbeSpec("tcp", 80),)),
        ('{"grpc": {"port": 9, "service": "s"}}', (ProbeSpec("grpc", 9, service="s"),)),
        (
            '{"httpGet": {"path": "ok", "port": 5, "scheme": "https", "httpHeaders":'
            '[{"name": "A", "value": "b"}]}, "periodSeconds": 2, "timeoutSeconds": 3,'
            '"successThreshold": 4, "failureThreshold": 6}',
            (
                ProbeSpec(
                    "http", 5, path=b"/ok", headers=((b"A", b"b"),), tls=True, period_s=2.0,
                    timeout_s=3.0, success_threshold=4, failure_threshold=6,
                ),
            ),
        ),
        ('[null, {"tcpSocket": {"port": 1}}, {"httpGet": {}}]',
         (ProbeSpec("tcp", 1), ProbeSpec("http", 80))),
    ],
)  # fmt: skip
def test_probes(given: str, wanted: tuple[ProbeSpec, ...]) -> None:
    assert parse_probes(given, 80) == wanted
    if given and given != "null":
        json.loads(given)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], [b"Host: pod"]),
        ([b"K-Original-Host: app.example.com"], [b"Host: app.example.com"]),
        (
            [b"Knative-Serving-Revision: r", b"Knative-Serving-Namespace: n", b"X: y"],
            [b"Host: pod", b"X: y"],
        ),
        (
            [b"X-Forwarded-For: 1.2.3.4, ::1", b"X-Forwarded-Proto: https"],
            [
                b"Host: pod",
                b"X-Forwarded-For: 1.2.3.4, ::1",
                b"X-Forwarded-Proto: https",
                b'Forwarded: for=1.2.3.4;proto=https, for="[::1]"',
            ],
        ),
        (
            [b"X-Forwarded-Host: h", b"X-Forwarded-By: b"],
            [b"Host: pod", b"X-Forwarded-Host: h", b"X-Forwarded-By: b", b"Forwarded: host=h"],
        ),
        (
            [b"Forwarded: for=x", b"X-Forwarded-For: 1.2.3.4"],
            [b"Host: pod", b"Forwarded: for=x", b"X-Forwarded-For: 1.2.3.4"],
        ),
        (
            [b'X-Forwarded-For: 1.2.3.4;host=evil, "x'],
            [
                b"Host: pod",
                b'X-Forwarded-For: 1.2.3.4;host=evil, "x',
                b'Forwarded: for="1.2.3.4;host=evil", for="\\"x"',
            ],
        ),
        ([b"K-Proxy-Request: activator"], [b"Host: pod", b"K-Proxy-Request: activator"]),
    ],
)
def test_headers(lines: list[bytes], wanted: list[bytes]) -> None:
    asked = request(*lines)
    sent = render_request(asked, edit(asked), False).split(b"\r\n")[1:-2]
    assert sorted(sent) == sorted(wanted)


@pytest.mark.parametrize(
    ("lines", "tag"),
    [
        ([], "kn:disabled"),
        ([b"Knative-Serving-Default-Route: true"], "kn:default"),
        ([b"Knative-Serving-Tag: blue", b"Knative-Serving-Default-Route: true"], "kn:undefined"),
        ([b"Knative-Serving-Tag: blue"], "blue"),
        ([b"Knative-Serving-Tag: blue", b"Knative-Serving-Default-Route: false"], "blue"),
    ],
)
def test_route_tags(lines: list[bytes], tag: str) -> None:
    assert route_tag(request(*lines)) == tag


@pytest.mark.parametrize(
    ("line", "probe"),
    [
        (b"User-Agent: kube-probe/1.34", True),
        (b"User-Agent: Knative-Activator-Probe", True),
        (b"User-Agent: Knative-Autoscaling-Probe", True),
        (b"K-Kubelet-Probe: queue", True),
        (b"K-Network-Probe: probe", True),
        (b"User-Agent: curl/8", False),
        (b"X: kube-probe/1", False),
    ],
)
def test_who_is_a_probe(line: bytes, probe: bool) -> None:
    assert is_probe(request(line)) is probe


def test_the_pod_becomes_ready_and_not_ready() -> None:
    pod = Pod(100.0)
    assert pod.state() == (PodState.NOT_READY, 100.0, 0.0)
    assert not pod.probed(True, 101.0, successes=2, failures=3)
    assert not pod.probed(False, 102.0, successes=2, failures=3)
    assert not pod.probed(True, 103.0, successes=2, failures=3)
    assert pod.probed(True, 104.0, successes=2, failures=3)
    assert pod.state() == (PodState.READY, 100.0, 104.0)
    assert not pod.probed(False, 105.0, successes=2, failures=3)
    assert not pod.probed(False, 106.0, successes=2, failures=3)
    assert pod.ready
    assert pod.probed(False, 107.0, successes=2, failures=3)
    assert pod.state() == (PodState.NOT_READY, 100.0, 104.0)
    pod.draining = True
    assert pod.state().state is PodState.DRAINING


def test_metrics_render() -> None:
    settings: Settings = parse(ENV | {"SERVING_SERVICE": "s"})
    metrics = Metrics(settings.identity, lambda: 3)
    metrics.record(200, "kn:disabled", 0.03, 0.02)
    metrics.record(503, "kn:disabled", 20.0, None)
    metrics.busy["full"] += 2
    registry = CollectorRegistry()
    registry.register(metrics.registry())
    text = generate_latest(registry).decode()
    assert generate_latest(metrics.registry()).decode() == text
    assert "kn_serving_queue_depth{" in text
    assert 'kn_revision_name="r-1"' in text
    values = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in text.splitlines()}
    who = (
        'k8s_namespace_name="ns",k8s_pod_name="",kn_configuration_name="",'
        'kn_revision_name="r-1",kn_service_name="s"'
    )
    code = f'{{http_response_status_code="200",{who},le='
    assert values[f'kn_serving_invocation_duration_seconds_bucket{code}"0.01"}}'] == "0.0"
    assert values[f'kn_serving_invocation_duration_seconds_bucket{code}"0.025"}}'] == "1.0"
    assert values[f'kn_serving_invocation_duration_seconds_bucket{code}"+Inf"}}'] == "1.0"


def test_metrics_stay_bounded() -> None:
    metrics = Metrics(parse(ENV).identity, lambda: 0)
    for number in range(1000):
        metrics.record(200, f"tag-{number}", 0.1, 0.1)
    assert len(metrics.requests) <= 65


@pytest.mark.parametrize(
    ("waited_s", "pause_s"),
    [(0.0, 0.01), (0.4, 0.01), (1.0, 0.02), (10.0, 0.2), (25.0, 0.5), (600.0, 0.5)],
)
def test_a_container_that_starts_is_asked_often_and_rarer_as_time_goes_by(
    waited_s: float, pause_s: float
) -> None:
    assert pause_after(waited_s) == pytest.approx(pause_s)


def test_a_port_where_nobody_listens_refuses_at_once() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert is_refused("127.0.0.1", port)
        server.listen()
        assert not is_refused("127.0.0.1", port)
    assert not is_refused("192.0.2.1", port)


@pytest.mark.parametrize(("port", "imports"), [("8012", False), ("8013", True)])
def test_http2_is_imported_where_the_container_speaks_it(port: str, imports: bool) -> None:
    code = """
import os, sys
from pilotlight_queue_proxy.proxy import QueueProxy
from pilotlight_queue_proxy.settings import parse
QueueProxy(parse(os.environ), 0.0)
sys.exit("h2" in sys.modules)
"""
    environ = {"SERVING_NAMESPACE": "n", "SERVING_REVISION": "r", "QUEUE_SERVING_PORT": port}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    assert subprocess.run([sys.executable, "-c", code], env=environ).returncode == imports
