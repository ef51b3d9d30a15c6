"""Who may reach which port of the components: the policies let through what the parts need of each
other, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from pilotlight import names
from pilotlight_activator.settings import Ports
from pilotlight_autoscaler.app import Options
from pilotlight_local.apiserver.selectors import from_object
from tests.manifests.test_base import COMPONENTS, DEPLOYMENTS, OBJECTS, Object

LISTENERS: Final = {
    names.OPERATOR: {names.WEBHOOK_PORT, names.ADMIN_PORT},
    names.AUTOSCALER: {Options().reports_port, Options().admin_port},
    names.ACTIVATOR: {Ports().external, Ports().internal, Ports().reports, Ports().admin},
}
POLICIES: Final = [o for o in OBJECTS if o["kind"] == "NetworkPolicy"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who connects: a pod by its namespace and labels; without a namespace no pod at all."""

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


def component(name: str) -> Caller:
    labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    return Caller(names.SYSTEM_NAMESPACE, tuple(labels.items()))


CALLERS: Final = {
    "outside": Caller(),
    "a pod": Caller("shop"),
    "a queue-proxy": Caller("shop", ((names.REVISION_LABEL, "cart-00001"),)),
    **{name: component(name) for name in COMPONENTS},
}
ANYBODY: Final = set(CALLERS)
PODS: Final = ANYBODY - {"outside"}
WANTED: Final = {
    # Clients are anywhere, and so is the API server.
    (names.ACTIVATOR, names.GATEWAY_PORT): ANYBODY,
    (names.OPERATOR, names.WEBHOOK_PORT): ANYBODY,
    # Callers inside the cluster, and the operator, which asks what is served.
    (names.ACTIVATOR, names.ACTIVATOR_HTTP_PORT): PODS,
    (names.ACTIVATOR, names.REPORT_PORT): {"a queue-proxy"},
    (names.AUTOSCALER, names.REPORT_PORT): {"a queue-proxy", names.ACTIVATOR},
    # Prometheus. The kubelet of the same node is never kept out.
    **{(name, names.ADMIN_PORT): PODS for name in COMPONENTS},
}


def allows(policy: Object, caller: Caller, port: int) -> bool:
    """Whether one policy lets a caller in."""
    return any(
        _has_port(rule, port) and ("from" not in rule or any(_is(p, caller) for p in rule["from"]))
        for rule in policy["spec"]["ingress"]
    )


def _has_port(rule: Object, port: int) -> bool:
    return any(entry["port"] == port for entry in rule["ports"])


def _is(peer: Object, caller: Caller) -> bool:
    if not caller.namespace:
        return False
    pod = {"metadata": {"labels": dict(caller.labels)}}
    namespace = {"metadata": {"labels": {"kubernetes.io/metadata.name": caller.namespace}}}
    if "namespaceSelector" not in peer and caller.namespace != names.SYSTEM_NAMESPACE:
        return False
    return from_object(peer.get("namespaceSelector"))(namespace) and from_object(
        peer.get("podSelector")
    )(pod)


def test_each_component_has_one_policy() -> None:
    guarded = [policy["spec"]["podSelector"]["matchLabels"] for policy in POLICIES]
    selected = [DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"] for name in COMPONENTS]
    assert sorted(guarded, key=str) == sorted(selected, key=str)
    for policy in POLICIES:
        assert policy["metadata"]["namespace"] == names.SYSTEM_NAMESPACE
        # What the components connect to cannot be told by selectors: the API server is no pod.
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        assert "egress" not in policy["spec"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_ports_are_those_that_are_listened_on(name: str) -> None:
    (container,) = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]
    declared = {port["containerPort"] for port in container["ports"]}
    let_through = {
        port["port"] for rule in _policy(name)["spec"]["ingress"] for port in rule["ports"]
    }
    assert declared == LISTENERS[name]
    assert let_through == LISTENERS[name]


def test_services_lead_to_ports_that_somebody_is_let_to() -> None:
    for service in (o for o in OBJECTS if (o["apiVersion"], o["kind"]) == ("v1", "Service")):
        name = service["spec"]["selector"][names.COMPONENT_LABEL]
        for port in service["spec"]["ports"]:
            assert WANTED[name, port["targetPort"]], service["metadata"]["name"]


def test_those_get_through_who_have_to() -> None:
    ports = {port for listened in LISTENERS.values() for port in listened}
    found = {
        (name, port): {
            caller for caller, seen in CALLERS.items() if allows(_policy(name), seen, port)
        }
        for name in COMPONENTS
        for port in ports
    }
    assert {key: callers for key, callers in found.items() if callers} == WANTED


def _policy(name: str) -> Object:
    (found,) = (
        p
        for p in POLICIES
        if p["spec"]["podSelector"] == {"matchLabels": {names.COMPONENT_LABEL: name}}
    )
    return found
