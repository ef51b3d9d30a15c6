"""What feature flags let pass, and what they do not."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.config.features import Features, Flag, SecurePodDefaults
from tests.api.builders import PREFIX, Obj, context, refusal, service_of

C0 = f"{PREFIX}.containers[0]"
INT32 = 2147483647


def mount(**changes: Any) -> Obj:
    return {"name": "data", "mountPath": "/data", **changes}


def with_volume(source: Obj, **changes: Any) -> Obj:
    container = {"image": "example.com/hello", "volumeMounts": [mount(**changes)]}
    return {"containers": [container], "volumes": [{"name": "data", **source}]}


@pytest.mark.parametrize(
    ("spec", "features"),
    [
        pytest.param(
            {"containers": [{"image": "a/b"}], "affinity": {}},
            Features(podspec_affinity=Flag.ALLOWED),
            id="allowed is enough for a field",
        ),
        pytest.param(
            with_volume({"persistentVolumeClaim": {"claimName": "mine"}}),
            Features(
                podspec_persistent_volume_claim=Flag.ENABLED,
                podspec_persistent_volume_write=Flag.ENABLED,
            ),
            id="a volume that is written",
        ),
        pytest.param(
            {
                "containers": [{"image": "a/b"}],
                "initContainers": [{"image": "a/c", "env": [{"name": "PORT"}]}],
            },
            Features(podspec_init_containers=Flag.ENABLED),
            id="init containers",
        ),
        pytest.param(
            {
                "containers": [
                    {"image": "a/b", "ports": [{"containerPort": 1}]},
                    {"image": "a/c", "readinessProbe": {"httpGet": {"port": 81}}},
                ]
            },
            Features(multi_container_probing=Flag.ENABLED),
            id="probe of a sidecar",
        ),
        pytest.param(
            {
                "containers": [
                    {
                        "image": "a/b",
                        "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
                    }
                ]
            },
            Features(secure_pod_defaults=SecurePodDefaults.ALLOW_ROOT_BOUNDED),
            id="low ports with secure defaults",
        ),
        pytest.param(
            {
                "containers": [{"image": "a/b"}],
                "securityContext": {"seccompProfile": {"type": "Unconfined"}},
            },
            Features(secure_pod_defaults=SecurePodDefaults.ENABLED),
            id="a way out of secure defaults",
        ),
    ],
)
def test_a_feature_flag_lets_it_pass(spec: Obj, features: Features) -> None:
    assert refusal(service_of(spec), context(features=features)) == ""


@pytest.mark.parametrize(
    ("spec", "features", "text"),
    [
        pytest.param(
            {"containers": [{"image": "a/b"}, {"image": "a/c", "ports": [{}]}]},
            Features(multi_container=Flag.DISABLED),
            "multi-container is off, but found 2 containers: ",
            id="several containers",
        ),
        pytest.param(
            with_volume({"emptyDir": {}}),
            Features(podspec_volumes_emptydir=Flag.ALLOWED),
            "EmptyDir volume support is disabled, but found EmptyDir volume data: ",
            id="allowed is not enough for a volume",
        ),
        pytest.param(
            with_volume({"csi": {"driver": "x"}}),
            Features(podspec_volumes_emptydir=Flag.DISABLED),
            "CSI volume support is disabled, but found CSI volume data: \n"
            f"must not set the field(s): {PREFIX}.volumes[0].csi",
            id="csi",
        ),
        pytest.param(
            {
                "containers": [{"image": "a/b", "name": "x"}],
                "initContainers": [
                    {
                        "image": "a/c",
                        "name": "x",
                        "restartPolicy": "Always",
                        "livenessProbe": {"exec": {}},
                    }
                ],
            },
            Features(podspec_init_containers=Flag.ENABLED),
            f'duplicate container name "x": {C0}.name\n'
            f"field not allowed in an init container: {C0}.livenessProbe\n"
            f"must not set the field(s): {C0}.restartPolicy",
            id="init container",
        ),
        pytest.param(
            {
                "containers": [{"image": "a/b"}],
                "initContainers": [
                    {"image": "a/c", "volumeMounts": [{"name": "s", "mountPath": "/s"}]}
                ],
                "volumes": [{"name": "s", "secret": {"secretName": "s"}}],
            },
            Features(podspec_init_containers=Flag.ENABLED),
            "volume mount should be readOnly for this type of volume: "
            f"{C0}.volumeMounts[0].readOnly",
            id="secret in an init container",
        ),
        pytest.param(
            {
                "containers": [
                    {"image": "a/b", "ports": [{"containerPort": 1}]},
                    {"image": "a/c", "livenessProbe": {"tcpSocket": {}}},
                ]
            },
            Features(multi_container_probing=Flag.ENABLED),
            f"invalid value: 0: {PREFIX}.containers[1].livenessProbe.tcpSocket.port\n"
            "Probe port must be specified",
            id="port of a sidecar's probe",
        ),
        pytest.param(
            {
                "containers": [{"image": "a/b"}],
                "securityContext": {"supplementalGroups": [1, -1], "fsGroup": -1, "sysctls": []},
            },
            Features(podspec_securitycontext=Flag.ENABLED),
            f"expected 0 <= -1 <= {INT32}: {PREFIX}.securityContext.fsGroup, "
            f"{PREFIX}.securityContext.supplementalGroups[1]\n"
            f"must not set the field(s): {PREFIX}.securityContext.sysctls",
            id="security context of the pod",
        ),
        pytest.param(
            with_volume({"persistentVolumeClaim": {"claimName": "c", "readOnly": True}}),
            Features(podspec_persistent_volume_claim=Flag.ENABLED),
            f"volume is readOnly but volume mount is not: {C0}.volumeMounts[0].readOnly",
            id="writing to what is read-only",
        ),
    ],
)
def test_with_features_a_pod_is_refused_with_the_text(
    spec: Obj, features: Features, text: str
) -> None:
    assert refusal(service_of(spec), context(features=features)) == text
