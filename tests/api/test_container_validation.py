"""Rules about containers, by the text they refuse with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.builders import PREFIX, Obj, refusal, service

C0 = f"{PREFIX}.containers[0]"
INT32 = 2147483647


def mount(**changes: Any) -> Obj:
    return {"name": "data", "mountPath": "/data", **changes}


CONTAINERS: dict[str, tuple[Obj, str]] = {
    "reserved name": (
        {"name": "queue-proxy"},
        f'"queue-proxy" is a reserved container name: {C0}.name',
    ),
    "reserved variable": (
        {"env": [{"name": "A"}, {"name": "PORT", "value": "1"}]},
        f'"PORT" is a reserved environment variable: {C0}.env[1].name',
    ),
    "reserved variables": (
        {"env": [{"name": "K_SERVICE"}, {"name": "K_REVISION"}, {"name": "K_CONFIGURATION"}]},
        f'"K_CONFIGURATION" is a reserved environment variable: {C0}.env[2].name\n'
        f'"K_REVISION" is a reserved environment variable: {C0}.env[1].name\n'
        f'"K_SERVICE" is a reserved environment variable: {C0}.env[0].name',
    ),
    "variable without a name": (
        {"env": [{"value": "1"}]},
        f"missing field(s): {C0}.env[0].name",
    ),
    "field reference": (
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        f"must not set the field(s): {C0}.env[0].valueFrom.fieldRef",
    ),
    "nothing to take variables from": (
        {"envFrom": [{"prefix": "A_"}]},
        f"expected exactly one, got neither: {C0}.envFrom.configMapRef, {C0}.envFrom.secretRef",
    ),
    "two things to take variables from": (
        {"envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]},
        f"expected exactly one, got both: {C0}.envFrom.configMapRef, {C0}.envFrom.secretRef",
    ),
    "no image": ({"image": ""}, f"missing field(s): {C0}.image"),
    "no image at all": ({"image": None}, f"missing field(s): {C0}.image"),
    "unreadable image": (
        {"image": "foo:bar:baz"},
        f"Failed to parse image reference: {C0}.image\n"
        'image: "foo:bar:baz", error: could not parse reference: foo:bar:baz',
    ),
    "port name": (
        {"ports": [{"name": "grpc", "containerPort": 8080}]},
        f"Port name grpc is not allowed: {C0}.ports\nName must be empty, or one of: 'h2c', 'http1'",
    ),
    "protocol": (
        {"ports": [{"containerPort": 8080, "protocol": "UDP"}]},
        f"invalid value: UDP: {C0}.ports.protocol",
    ),
    "port too large": (
        {"ports": [{"containerPort": 65536}]},
        f"expected 0 <= 65536 <= 65535: {C0}.ports.containerPort",
    ),
    "two ports": (
        {"ports": [{"containerPort": 8080}, {"containerPort": 8081}]},
        f"more than one container port is set: {PREFIX}.containers[*].ports\n"
        "Only a single port is allowed across all containers",
    ),
    "termination message": (
        {"terminationMessagePolicy": "Sometimes"},
        f"invalid value: Sometimes: {C0}.terminationMessagePolicy",
    ),
    "privileged": (
        {"securityContext": {"privileged": True}},
        f"must not set the field(s): {C0}.securityContext.privileged",
    ),
    "capability": (
        {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
        f"must not set the field(s): {C0}.securityContext.capabilities.add",
    ),
    "user below zero": (
        {"securityContext": {"runAsUser": -10}},
        f"expected 0 <= -10 <= {INT32}: {C0}.securityContext.runAsUser",
    ),
    "group too large": (
        {"securityContext": {"runAsGroup": INT32 + 1}},
        f"expected 0 <= {INT32 + 1} <= {INT32}: {C0}.securityContext.runAsGroup",
    ),
    "unknown volume": (
        {"volumeMounts": [mount()]},
        f"volumeMount has no matching volume: {C0}.volumeMounts[0].name",
    ),
    "lifecycle": (
        {"lifecycle": {"preStop": {}}, "stdin": True, "tty": False},
        f"must not set the field(s): {C0}.lifecycle, {C0}.stdin",
    ),
    "host port": (
        {"ports": [{"containerPort": 8080, "hostPort": 80}]},
        f"must not set the field(s): {C0}.ports.hostPort",
    ),
    "claims": (
        {"resources": {"claims": [{"name": "gpu"}]}},
        f"must not set the field(s): {C0}.resources.claims",
    ),
    "two handlers": (
        {"livenessProbe": {"exec": {"command": ["true"]}, "grpc": {"port": 1}}},
        f"expected exactly one, got both: {C0}.livenessProbe.exec, {C0}.livenessProbe.gRPC",
    ),
    "no handler": (
        {"livenessProbe": {"timeoutSeconds": 1}},
        f"expected exactly one, got neither: {C0}.livenessProbe.exec, {C0}.livenessProbe.grpc, "
        f"{C0}.livenessProbe.httpGet, {C0}.livenessProbe.tcpSocket",
    ),
    "named port of a probe": (
        {"livenessProbe": {"tcpSocket": {"port": "imap"}}},
        f"invalid value: imap: {C0}.livenessProbe.tcpSocket.port\n"
        "Probe port must match container port",
    ),
    "failures without a period": (
        {"readinessProbe": {"failureThreshold": 2}},
        "failureThreshold is disallowed when periodSeconds is zero: "
        f"{C0}.readinessProbe.failureThreshold",
    ),
    "timeout without a period": (
        {"readinessProbe": {"timeoutSeconds": 2}},
        "timeoutSeconds is disallowed when periodSeconds is zero: "
        f"{C0}.readinessProbe.timeoutSeconds",
    ),
    "numbers below their bounds": (
        {"readinessProbe": {"periodSeconds": -1, "initialDelaySeconds": -1}},
        f"expected 0 <= -1 <= {INT32}: {C0}.readinessProbe.initialDelaySeconds, "
        f"{C0}.readinessProbe.periodSeconds",
    ),
    "no success that counts": (
        {"readinessProbe": {"successThreshold": -1}},
        f"expected 1 <= -1 <= {INT32}: {C0}.readinessProbe.successThreshold",
    ),
}


@pytest.mark.parametrize(("container", "text"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_a_container_is_refused_with_the_text(container: Obj, text: str) -> None:
    assert refusal(service(**container)) == text


@pytest.mark.parametrize("port", [8008, 8012, 8013, 8022, 9090, 9091])
def test_ports_of_the_sidecar_are_reserved(port: int) -> None:
    assert refusal(service(ports=[{"containerPort": port}])) == (
        f"invalid value: {port} is a reserved port: {C0}.ports.containerPort\n"
        f"{port} is a reserved port, please use a different value"
    )


def test_the_tls_port_of_the_sidecar_is_not_reserved() -> None:
    assert refusal(service(ports=[{"containerPort": 8112}])) == ""
