"""Rules about pods and volumes, by the text they refuse with."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.config.defaults import Defaults
from tests.api.builders import PREFIX, Obj, context, refusal, service_of

C0 = f"{PREFIX}.containers[0]"
INT32 = 2147483647
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def mount(**changes: Any) -> Obj:
    return {"name": "data", "mountPath": "/data", **changes}


def with_volume(source: Obj, **changes: Any) -> Obj:
    container = {"image": "example.com/hello", "volumeMounts": [mount(**changes)]}
    return {"containers": [container], "volumes": [{"name": "data", **source}]}


PODS: dict[str, tuple[Obj, str]] = {
    "service account": (
        {"containers": [{"image": "a/b"}], "serviceAccountName": "foo@bar.baz"},
        f"invalid value: foo@bar.baz: {PREFIX}.serviceAccountName\n{SUBDOMAIN}",
    ),
    "token of the service account": (
        {"containers": [{"image": "a/b"}], "automountServiceAccountToken": True},
        f"must not set the field(s): {PREFIX}.automountServiceAccountToken",
    ),
    "no containers": ({"containers": []}, f"missing field(s): {PREFIX}.containers"),
    "features that are off": (
        {
            "containers": [{"image": "a/b"}],
            "affinity": {},
            "tolerations": [{}],
            "nodeSelector": {"a": "b"},
            "hostNetwork": True,
            "hostPID": False,
            "dnsPolicy": "Default",
        },
        f"must not set the field(s): {PREFIX}.affinity, {PREFIX}.dnsPolicy, "
        f"{PREFIX}.hostNetwork, {PREFIX}.nodeSelector, {PREFIX}.tolerations",
    ),
    "security context and all that is in it": (
        {
            "containers": [{"image": "a/b"}],
            "securityContext": {"runAsUser": 0, "fsGroup": 1, "sysctls": []},
        },
        f"must not set the field(s): {PREFIX}.securityContext, {PREFIX}.securityContext.fsGroup, "
        f"{PREFIX}.securityContext.runAsUser, {PREFIX}.securityContext.sysctls",
    ),
    "init containers": (
        {"containers": [{"image": "a/b"}], "initContainers": [{"image": "a/c"}]},
        f"must not set the field(s): {PREFIX}.initContainers\n"
        "pod spec support for init-containers is off, but found 1 init containers: ",
    ),
    "no port anywhere": (
        {"containers": [{"image": "a/b"}, {"image": "a/c"}]},
        f"missing field(s): {PREFIX}.containers[*].ports",
    ),
    "equal names": (
        {
            "containers": [
                {"image": "a/b", "name": "x", "ports": [{"containerPort": 1}]},
                {"image": "a/c", "name": "x"},
            ]
        },
        f'duplicate container name "x": {PREFIX}.containers[1].name',
    ),
    "probe of a sidecar": (
        {
            "containers": [
                {"image": "a/b", "ports": [{"containerPort": 1}]},
                {"image": "a/c", "readinessProbe": {"httpGet": {"port": 1}, "periodSeconds": 5}},
            ]
        },
        f"must not set the field(s): {PREFIX}.containers[1].readinessProbe, "
        f"{PREFIX}.containers[1].readinessProbe.failureThreshold, "
        f"{PREFIX}.containers[1].readinessProbe.periodSeconds, "
        f"{PREFIX}.containers[1].readinessProbe.successThreshold, "
        f"{PREFIX}.containers[1].readinessProbe.timeoutSeconds",
    ),
    "reserved variable of a sidecar": (
        {
            "containers": [
                {"image": "a/b", "ports": [{"containerPort": 1}]},
                {"image": "a/c", "env": [{"name": "PORT"}, {"name": "K_SERVICE"}]},
            ]
        },
        f'"K_SERVICE" is a reserved environment variable: {PREFIX}.containers[1].env[1].name',
    ),
    "timeout": (
        {"containers": [{"image": "a/b"}], "timeoutSeconds": 700},
        f"expected 0 <= 700 <= 600: {PREFIX}.timeoutSeconds",
    ),
    "concurrency": (
        {"containers": [{"image": "a/b"}], "containerConcurrency": 1001},
        f"expected 0 <= 1001 <= 1000: {PREFIX}.containerConcurrency",
    ),
    "volume that nobody mounts": (
        {"containers": [{"image": "a/b"}], "volumes": [{"name": "x", "secret": {}}]},
        f'volume with name "x" not mounted: {PREFIX}.volumes[0].name',
    ),
    "equal volumes": (
        {
            "containers": [{"image": "a/b", "volumeMounts": [mount(name="x")]}],
            "volumes": [{"name": "x", "secret": {}}, {"name": "x", "configMap": {}}],
        },
        f'duplicate volume name "x": {PREFIX}.volumes[1].name',
    ),
    "volume without a source": (
        with_volume({}),
        f"expected exactly one, got neither: {PREFIX}.volumes[0].configMap, "
        f"{PREFIX}.volumes[0].emptyDir, {PREFIX}.volumes[0].projected, "
        f"{PREFIX}.volumes[0].secret",
    ),
    "volume with two sources": (
        with_volume({"secret": {}, "configMap": {}}),
        f"expected exactly one, got both: {PREFIX}.volumes[0].configMap, "
        f"{PREFIX}.volumes[0].secret",
    ),
    "volume name": (
        {
            "containers": [{"image": "a/b", "volumeMounts": [mount(name="@@@")]}],
            "volumes": [{"name": "@@@", "secret": {}}],
        },
        f"invalid value: @@@: {PREFIX}.volumes[0].name",
    ),
    "items of a secret": (
        with_volume({"secret": {"items": [{}]}}),
        f"missing field(s): {PREFIX}.volumes[0].items[0].key, {PREFIX}.volumes[0].items[0].path",
    ),
    "projected sources": (
        with_volume({"projected": {"sources": [{"secret": {}}, {}, {"serviceAccountToken": {}}]}}),
        f"expected exactly one, got neither: {PREFIX}.volumes[0].projected[1].configMap, "
        f"{PREFIX}.volumes[0].projected[1].downwardAPI, "
        f"{PREFIX}.volumes[0].projected[1].secret, "
        f"{PREFIX}.volumes[0].projected[1].serviceAccountToken\n"
        f"missing field(s): {PREFIX}.volumes[0].projected[0].secret.name, "
        f"{PREFIX}.volumes[0].projected[2].serviceAccountToken.path",
    ),
    "facts about the pod": (
        with_volume(
            {
                "projected": {
                    "sources": [
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "a"},
                                    {"path": "b", "fieldRef": {}, "resourceFieldRef": {}},
                                ]
                            }
                        }
                    ]
                }
            }
        ),
        "Within a single item, cannot set both: "
        f"{PREFIX}.volumes[0].projected[0].downwardAPI.items[1].fieldRef, "
        f"{PREFIX}.volumes[0].projected[0].downwardAPI.items[1].resourceFieldRef\n"
        "expected exactly one, got neither: "
        f"{PREFIX}.volumes[0].projected[0].downwardAPI.items[0].fieldRef, "
        f"{PREFIX}.volumes[0].projected[0].downwardAPI.items[0].resourceFieldRef",
    ),
    "empty directory": (
        with_volume({"emptyDir": {"medium": "Tape", "sizeLimit": "-1"}}),
        f"invalid value: -1: {PREFIX}.volumes[0].emptyDir.sizeLimit\n"
        f"invalid value: Tape: {PREFIX}.volumes[0].emptyDir.medium",
    ),
    "claim of a volume": (
        with_volume({"persistentVolumeClaim": {"claimName": "mine"}}),
        "Persistent volume claim support is disabled, but found persistent volume claim mine: \n"
        "Persistent volume write support is disabled, but found persistent volume claim mine that "
        "is not read-only: \n"
        f"must not set the field(s): {PREFIX}.volumes[0].persistentVolumeClaim",
    ),
    "path of the host": (
        with_volume({"hostPath": {"path": "/"}}),
        "HostPath volume support is disabled, but found HostPath volume data: \n"
        f"must not set the field(s): {PREFIX}.volumes[0].hostPath",
    ),
    "root": (
        with_volume({"secret": {}}, mountPath="/"),
        f'mountPath "/" is a reserved path: {C0}.volumeMounts[0].mountPath',
    ),
    "devices, spelled long": (
        with_volume({"secret": {}}, mountPath="//dev//"),
        f'mountPath "/dev" is a reserved path: {C0}.volumeMounts[0].mountPath',
    ),
    "relative path": (
        with_volume({"secret": {}}, mountPath="data"),
        f"invalid value: data: {C0}.volumeMounts[0].mountPath",
    ),
    "propagation": (
        with_volume({"secret": {}}, mountPropagation="Bidirectional"),
        f"must not set the field(s): {C0}.volumeMounts[0].mountPropagation",
    ),
}


@pytest.mark.parametrize(("spec", "text"), PODS.values(), ids=PODS.keys())
def test_a_pod_is_refused_with_the_text(spec: Obj, text: str) -> None:
    assert refusal(service_of(spec)) == text


def test_a_limit_from_the_configuration_is_named() -> None:
    strict = Defaults(allow_container_concurrency_zero=False, container_concurrency=5)
    spec = {"containers": [{"image": "a/b"}], "containerConcurrency": 0}
    assert refusal(service_of(spec), context(defaults=strict)) == (
        f"expected 1 <= 0 <= 1000: {PREFIX}.containerConcurrency"
    )
