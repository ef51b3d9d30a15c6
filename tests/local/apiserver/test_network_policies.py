"""What is wrong with NetworkPolicies: the words are those of a Kubernetes 1.34."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.apiserver.harness import Running

Object = dict[str, Any]
PATH = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
CIDR_RULE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def policy(**spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": spec,
    }


def port(**given: Any) -> Object:
    return {"podSelector": {}, "ingress": [{"ports": [given]}]}


def peer(**given: Any) -> Object:
    return {"podSelector": {}, "ingress": [{"from": [given]}]}


def block(cidr: str, *excepted: str) -> Object:
    return peer(ipBlock={"cidr": cidr, "except": list(excepted)})


def selector(**expression: Any) -> Object:
    return {"podSelector": {"matchExpressions": [expression]}}


IN_PORT = "spec.ingress[0].ports[0]"
IN_PEER = "spec.ingress[0].from[0]"
IN_SELECTOR = "spec.podSelector.matchExpressions[0]"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            selector(key="a", operator="Foo"),
            f'{IN_SELECTOR}.operator: Invalid value: "Foo": not a valid selector operator',
        ),
        (
            selector(key="a", operator="In"),
            f"{IN_SELECTOR}.values: Required value: must be specified when `operator` is 'In' or"
            " 'NotIn'",
        ),
        (
            selector(key="a", operator="Exists", values=["b"]),
            f"{IN_SELECTOR}.values: Forbidden: may not be specified when `operator` is 'Exists' or"
            " 'DoesNotExist'",
        ),
        (
            {"podSelector": {}, "policyTypes": ["Ingress", "Foo"]},
            'spec.policyTypes[1]: Unsupported value: "Foo": supported values: "Ingress", "Egress"',
        ),
        (
            {"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]},
            'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more'
            " than two policyTypes",
        ),
        (
            port(port=0),
            f"{IN_PORT}.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            port(port="Bad_Name"),
            f'{IN_PORT}.port: Invalid value: "Bad_Name": must contain only alpha-numeric characters'
            " (a-z, 0-9), and hyphens (-)",
        ),
        (
            port(port="averyveryverylongportname"),
            f'{IN_PORT}.port: Invalid value: "averyveryverylongportname": must be no more than 15'
            " characters",
        ),
        (
            port(port=80, protocol="ICMP"),
            f'{IN_PORT}.protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP",'
            ' "SCTP"',
        ),
        (
            port(endPort=80),
            f"{IN_PORT}.endPort: Invalid value: 80: may not be specified when `port` is not"
            " specified",
        ),
        (
            port(port="http", endPort=80),
            f"{IN_PORT}.endPort: Invalid value: 80: may not be specified when `port` is"
            " non-numeric",
        ),
        (
            port(port=80, endPort=70),
            f"{IN_PORT}.endPort: Invalid value: 80: must be greater than or equal to `port`",
        ),
        (peer(), f"{IN_PEER}: Required value: must specify a peer"),
        (
            peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}),
            f"{IN_PEER}: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            block("10.0.0/8"),
            f'{IN_PEER}.ipBlock.cidr: Invalid value: "10.0.0/8": {CIDR_RULE}',
        ),
        (peer(ipBlock={"cidr": ""}), f"{IN_PEER}.ipBlock.cidr: Required value"),
        (
            block("10.0.0.0/8", "11.0.0.0/16"),
            f'{IN_PEER}.ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of'
            " `cidr`",
        ),
        (
            block("10.0.0.0/8", "10.0.0.0/8"),
            f'{IN_PEER}.ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of'
            " `cidr`",
        ),
        (
            block("10.0.0.0/8", "x"),
            f'{IN_PEER}.ipBlock.except[0]: Invalid value: "x": {CIDR_RULE}',
        ),
        (
            peer(namespaceSelector={"matchLabels": {"-": "x"}}),
            f'{IN_PEER}.namespaceSelector.matchLabels: Invalid value: "-": {KEY_RULE}',
        ),
        (
            {"podSelector": {}, "egress": [{"to": [{}], "ports": [{"port": 0}]}]},
            "[spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535,"
            " inclusive, spec.egress[0].to[0]: Required value: must specify a peer]",
        ),
    ],
)
async def test_refusals(running: Running, spec: Object, words: str) -> None:
    answer = await running.call("POST", PATH, policy(**spec), 422)
    assert answer["message"] == f'NetworkPolicy.networking.k8s.io "p" is invalid: {words}'


@pytest.mark.parametrize(
    ("spec", "stored"),
    [
        ({}, {"podSelector": {}, "policyTypes": ["Ingress"]}),
        (
            port(port="http"),
            {**port(port="http", protocol="TCP"), "policyTypes": ["Ingress"]},
        ),
        (
            {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "2001:db8::/64"}}]}]},
            {
                "podSelector": {},
                "egress": [{"to": [{"ipBlock": {"cidr": "2001:db8::/64"}}]}],
                "policyTypes": ["Ingress", "Egress"],
            },
        ),
    ],
)
async def test_defaults(running: Running, spec: Object, stored: Object) -> None:
    made = await running.call("POST", PATH, policy(**spec), 201)
    assert made["spec"] == stored
