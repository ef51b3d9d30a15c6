"""The ports that programs are told to use."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

from pilotlight_local.kubelet.ports import rewrite_ports


def ports_from(first: int) -> Callable[[], int]:
    return itertools.count(first).__next__


def pod() -> dict[str, Any]:
    readiness = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    return {
        "containers": [
            {
                "name": "queue-proxy",
                "ports": [{"name": "queue-port", "containerPort": 8012}],
                "env": [
                    {"name": "USER_PORT", "value": "8080"},
                    {"name": "SERVING_READINESS_PROBE", "value": json.dumps(readiness)},
                ],
                "readinessProbe": {"httpGet": {"port": 8012}},
            },
            {
                "name": "user-container",
                "ports": [{"name": "user-port", "containerPort": 8080}],
                "env": [{"name": "X", "value": "8080"}, {"name": "PORT", "value": "8080"}],
                "livenessProbe": {"httpGet": {"port": "user-port"}},
                "startupProbe": {"tcpSocket": {"port": 8080}},
                "lifecycle": {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}},
            },
        ]
    }


def test_everyone_is_told() -> None:
    given = pod()
    untouched = copy.deepcopy(given)
    found = rewrite_ports(given, ports_from(20000))
    assert given == untouched
    assert found.ports == {"user-container": (8080, 20000)}
    proxy, user = found.spec["containers"]
    assert proxy["env"][0]["value"] == "20000"
    assert json.loads(proxy["env"][1]["value"])["httpGet"]["port"] == 20000
    assert proxy["readinessProbe"]["httpGet"]["port"] == 8012
    assert [e["value"] for e in user["env"]] == ["8080", "20000"]
    assert user["ports"][0]["containerPort"] == 20000
    assert user["livenessProbe"]["httpGet"]["port"] == 20000
    assert user["startupProbe"]["tcpSocket"]["port"] == 20000
    assert user["lifecycle"]["preStop"]["httpGet"]["port"] == 8022


def test_a_list_of_probes() -> None:
    given = pod()
    probes = [{"tcpSocket": {"port": 8080}}, None, {"grpc": {"port": 9000}}]
    given["containers"][0]["env"][1]["value"] = json.dumps(probes)
    found = rewrite_ports(given, ports_from(20000))
    decoded = json.loads(found.spec["containers"][0]["env"][1]["value"])
    assert decoded == [{"tcpSocket": {"port": 20000}}, None, {"grpc": {"port": 9000}}]


def test_what_stays() -> None:
    alone = pod()
    alone["containers"] = alone["containers"][1:]
    assert rewrite_ports(alone, ports_from(20000)).spec == alone
    untold = pod()
    untold["containers"][1]["env"] = []
    assert rewrite_ports(untold, ports_from(20000)).ports == {}
    other = pod()
    other["containers"][1]["env"][1]["value"] = "9999"
    assert rewrite_ports(other, ports_from(20000)).ports == {}
    unreadable = pod()
    unreadable["containers"][0]["env"][1]["value"] = "{"
    found = rewrite_ports(unreadable, ports_from(20000))
    assert found.spec["containers"][0]["env"][1]["value"] == "{"
