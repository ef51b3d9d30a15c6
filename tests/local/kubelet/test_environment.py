"""Environment and command line as manifests describe them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.kubelet.environment import (
    ConfigurationError,
    Facts,
    Sources,
    command_line,
    config_map_data,
    environment,
    expand,
    field,
    secret_data,
)
from pilotlight_local.kubelet.resources import quantity, resource_value

FACTS = Facts("127.10.0.2", "127.10.0.1", "local", {"cpu": "4", "memory": "8Gi"})
POD = {
    "metadata": {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "labels": {"b": "2", "a": 'x"y'},
        "annotations": {"k/z": "v"},
    },
    "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}}}]},
}
SOURCES = Sources(
    {"c": {"k": b"v", "1bad": b"x"}}.get,
    {"s": {"p": b"secret"}}.get,
)


def resolved(*env: Any, **more: Any) -> dict[str, str]:
    return environment(POD, {"name": "c", "env": list(env), **more}, FACTS, SOURCES, {"BASE": "b"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@given(st.text(alphabet="$()Ax"))
def test_expanding_with_nothing_known_only_unescapes(text: str) -> None:
    assert expand(text, {}).count("A") == text.count("A")


def test_order_and_references() -> None:
    found = resolved(
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(LATER)"},
        {"name": "LATER", "value": "x"},
        {"name": "BASE", "value": "mine"},
        {"name": "EMPTY"},
    )
    assert found == {"A": "1", "B": "1$(LATER)", "LATER": "x", "BASE": "mine", "EMPTY": ""}


def test_env_from() -> None:
    sources = [{"configMapRef": {"name": "c"}, "prefix": "X"}, {"secretRef": {"name": "s"}}]
    found = resolved({"name": "Xk", "value": "env wins"}, envFrom=sources)
    assert found == {"BASE": "b", "Xk": "env wins", "X1bad": "x", "p": "secret"}
    assert "1bad" not in resolved(envFrom=[{"configMapRef": {"name": "c"}}])
    optional = {"configMapRef": {"name": "none", "optional": True}}
    assert resolved(envFrom=[optional]) == {"BASE": "b"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "c", "key": "z"}}, "couldn't find key z in configmap c"),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"fieldRef": {"fieldPath": "status.phase"}}, "status.phase"),
        ({"resourceFieldRef": {"resource": "cpu"}}, "cpu"),
        ({"fileKeyRef": {}}, "fileKeyRef"),
    ],
)
def test_what_cannot_be_had(source: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        resolved({"name": "A", "valueFrom": source})


def test_optional_keys_are_left_out() -> None:
    reference = {"name": "c", "key": "z", "optional": True}
    assert resolved({"name": "A", "valueFrom": {"configMapKeyRef": reference}}) == {"BASE": "b"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u"),
        ("metadata.labels['b']", "2"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['k/z']", "v"),
        ("metadata.labels", 'a="x\\"y"\nb="2"'),
        ("spec.nodeName", "local"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "127.10.0.2"),
        ("status.podIPs", "127.10.0.2"),
        ("status.hostIP", "127.10.0.1"),
    ],
)
def test_fields(path: str, expected: str) -> None:
    assert field(path, POD, FACTS) == expected


@pytest.mark.parametrize(
    ("container", "image", "expected"),
    [
        pytest.param({}, ["a", "b"], ("a", "b"), id="the image's"),
        pytest.param({"args": ["c"]}, ["a"], ("a", "c"), id="with arguments"),
        pytest.param({"command": ["x"]}, ["a", "b"], ("x",), id="another command"),
        pytest.param({"command": ["x"], "args": ["$(N)"]}, ["a"], ("x", "1"), id="expanded"),
    ],
)
def test_command_line(
    container: dict[str, Any], image: list[str], expected: tuple[str, ...]
) -> None:
    assert command_line(container, image, {"N": "1"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("250m", 0.25), ("1.5", 1.5), ("64Mi", 64 << 20), ("2k", 2000), ("1e3", 1000)],
)
def test_quantity(text: str, expected: float) -> None:
    assert float(quantity(text)) == expected


@pytest.mark.parametrize("text", ["", "x", "1Q", "1 Mi", "--1"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("limits.memory", "1Mi", "64"),
        ("limits.memory", None, str(64 << 20)),
        ("limits.cpu", "1m", "4000"),
        ("requests.cpu", None, "0"),
    ],
)
def test_resource_value(resource: str, divisor: str | None, expected: str) -> None:
    resources = {"limits": {"memory": "64Mi"}}
    assert resource_value(resource, divisor, resources, FACTS.capacity) == expected


def test_data_of_objects() -> None:
    assert config_map_data({"data": {"a": "ü"}, "binaryData": {"b": "AP8="}}) == {
        "a": "ü".encode(),
        "b": b"\x00\xff",
    }
    assert secret_data({"data": {"a": "eA=="}}) == {"a": b"x"}
    assert secret_data({}) == {}
