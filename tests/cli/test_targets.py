from __future__ import annotations

from typing import Any

from pilotlight.cli.targets import targets_of


def pod(name: str, namespace: str, **changes: Any) -> dict[str, Any]:
    ports = changes.pop("ports", [{"name": "admin", "containerPort": 9090}])
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "first", "ports": ports}, {"name": "second"}]},
        "status": {"phase": "Running", "podIP": "127.1.0.9", **changes},
    }


def test_components_and_proxies_are_scraped_and_nothing_else() -> None:
    proxy = [
        {"name": "http-usermetric", "containerPort": 9091},
        {"name": "queue-port", "containerPort": 8012},
    ]
    groups = targets_of(
        [
            pod("proxied", "default", podIP="127.1.0.8", ports=proxy),
            pod("operator", "knative-serving"),
            pod("somebody's", "default"),
            pod("without-address", "knative-serving", podIP=None),
            pod("pending", "knative-serving", phase="Pending"),
            pod("unnamed", "knative-serving", ports=[{"containerPort": 9090}]),
        ]
    )
    assert groups == [
        {
            "targets": ["127.1.0.8:9091"],
            "labels": {"namespace": "default", "pod": "proxied", "container": "first"},
        },
        {
            "targets": ["127.1.0.9:9090"],
            "labels": {"namespace": "knative-serving", "pod": "operator", "container": "first"},
        },
    ]


def test_no_pods_are_an_empty_list() -> None:
    assert targets_of([]) == []
