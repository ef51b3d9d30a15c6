"""EndpointSlices of Services."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight_local.controllers.endpoints import endpoint_slices


def pod(name: str, address: str, *, ready: bool = True, port: int = 8080, **more: Any) -> Any:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "n",
        "uid": f"uid-{name}",
        "labels": {"app": "x"},
    }
    if more.get("terminating"):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {
            "nodeName": "local",
            "containers": [{"ports": [{"name": "web", "containerPort": port}]}],
        },
        "status": {
            "phase": more.get("phase", "Running"),
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "n", "uid": "u", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "x"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8012, "protocol": "TCP"}],
            **spec,
        },
    }


@pytest.mark.parametrize(
    ("state", "published", "expected"),
    [
        pytest.param({}, False, (True, True, False), id="ready"),
        pytest.param({"ready": False}, False, (False, False, False), id="not ready"),
        pytest.param({"ready": False}, True, (True, False, False), id="published all the same"),
        pytest.param({"terminating": True}, False, (False, True, True), id="terminating"),
    ],
)
def test_conditions(
    state: dict[str, Any], published: bool, expected: tuple[bool, bool, bool]
) -> None:
    (found,) = endpoint_slices(
        service(publishNotReadyAddresses=published), [pod("a", "127.10.0.2", **state)]
    )
    (endpoint,) = found["endpoints"]
    conditions = endpoint["conditions"]
    assert (conditions["ready"], conditions["serving"], conditions["terminating"]) == expected
    assert endpoint["targetRef"] == {"kind": "Pod", "namespace": "n", "name": "a", "uid": "uid-a"}


def test_one_slice_with_labels_ports_and_owner() -> None:
    (found,) = endpoint_slices(
        service(clusterIP="None"), [pod("b", "127.10.0.3"), pod("a", "127.10.0.2")]
    )
    assert [e["addresses"] for e in found["endpoints"]] == [["127.10.0.2"], ["127.10.0.3"]]
    assert found["ports"] == [{"name": "http", "port": 8012, "protocol": "TCP"}]
    labels = found["metadata"]["labels"]
    assert labels["team"] == "a"
    assert labels["kubernetes.io/service-name"] == "s"
    assert "service.kubernetes.io/headless" in labels
    assert found["metadata"]["ownerReferences"][0]["uid"] == "u"


def test_named_ports_are_each_pods_own() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    found = endpoint_slices(
        service(ports=ports),
        [pod("a", "127.10.0.2"), pod("b", "127.10.0.3", port=9), pod("c", "127.10.0.4")],
    )
    assert [(s["ports"][0]["port"], len(s["endpoints"])) for s in found] == [(8080, 2), (9, 1)]
    assert len({s["metadata"]["name"] for s in found}) == 2


def test_what_has_no_slice_and_what_has_an_empty_one() -> None:
    assert endpoint_slices(service(selector=None), [pod("a", "127.10.0.2")]) == []
    (empty,) = endpoint_slices(service(), [])
    assert empty["endpoints"] == []
    (over,) = endpoint_slices(service(), [pod("a", "127.10.0.2", phase="Succeeded")])
    assert over["endpoints"] == []
    unmatched = pod("a", "127.10.0.2")
    unmatched["metadata"]["labels"] = {"app": "y"}
    (none,) = endpoint_slices(service(), [unmatched])
    assert none["endpoints"] == []
