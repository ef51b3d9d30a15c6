"""The rules of NetworkPolicies, in the words of Kubernetes. Nothing here enforces a policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from pilotlight_local.apiserver.errors import (
    Cause,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)
from pilotlight_local.apiserver.values import Object

from .metadata import bad_key, bad_label_value

_TYPES: Final = ("Ingress", "Egress")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_LONGEST_PORT_NAME: Final = 15
_PORT_NAME: Final = re.compile(r"[-a-z0-9]+\Z")


def network_policy(obj: Object, old: Object | None) -> Iterator[Cause]:
    """The errors of a complete NetworkPolicy."""
    spec = obj.get("spec") or {}
    yield from _selector(spec.get("podSelector"), "spec.podSelector")
    for section, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(section) or ()):
            where = f"spec.{section}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                yield from _port(port, f"{where}.ports[{j}]")
            for j, peer in enumerate(rule.get(peers) or ()):
                yield from _peer(peer, f"{where}.{peers}[{j}]")
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        detail = "may not specify more than two policyTypes"
        yield invalid_value("spec.policyTypes", types, detail)
        return
    for i, name in enumerate(types):
        if name not in _TYPES:
            yield unsupported_value(f"spec.policyTypes[{i}]", name, _TYPES)


def _port(given: Object, where: str) -> Iterator[Cause]:
    protocol = given.get("protocol")
    if protocol not in _PROTOCOLS:
        yield unsupported_value(f"{where}.protocol", protocol, _PROTOCOLS)
    port, end = given.get("port"), given.get("endPort")
    if isinstance(port, str):
        yield from (invalid_value(f"{where}.port", port, text) for text in _bad_port_name(port))
    elif port is not None:
        yield from _number(port, f"{where}.port")
    if end is None:
        return
    if port is None:
        detail = "may not be specified when `port` is not specified"
        yield invalid_value(f"{where}.endPort", end, detail)
    elif isinstance(port, str):
        detail = "may not be specified when `port` is non-numeric"
        yield invalid_value(f"{where}.endPort", end, detail)
    else:
        if end < port:
            detail = "must be greater than or equal to `port`"
            yield invalid_value(f"{where}.endPort", port, detail)  # the other one, as there
        yield from _number(end, f"{where}.endPort")


def _number(port: Any, where: str) -> Iterator[Cause]:
    if not isinstance(port, int) or not 1 <= port <= 65535:
        yield invalid_value(where, port, "must be between 1 and 65535, inclusive")


def _bad_port_name(name: str) -> Iterator[str]:
    if len(name) > _LONGEST_PORT_NAME:
        yield f"must be no more than {_LONGEST_PORT_NAME} characters"
    if not _PORT_NAME.match(name):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not any(c.isalpha() for c in name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name[:1] == "-" or name[-1:] == "-":
        yield "must not begin or end with a hyphen"


def _peer(peer: Object, where: str) -> Iterator[Cause]:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if name in peer]
    if not given:
        yield required(where, "must specify a peer")
    elif "ipBlock" in peer and len(given) > 1:
        yield forbidden_field(where, "may not specify both ipBlock and another peer")
    elif "ipBlock" in peer:
        yield from _block(peer["ipBlock"], f"{where}.ipBlock")
    for name in given:
        if name != "ipBlock":
            yield from _selector(peer[name], f"{where}.{name}")


def _block(block: Object, where: str) -> Iterator[Cause]:
    cidr = block.get("cidr")
    if not cidr:
        yield required(f"{where}.cidr")
        return
    network = _network(cidr)
    if network is None:
        yield _no_network(f"{where}.cidr", cidr)
        return
    for i, entry in enumerate(block.get("except") or ()):
        inner = _network(entry)
        if inner is None:
            yield _no_network(f"{where}.except[{i}]", entry)
        elif not _is_inside(inner, network):
            yield invalid_value(f"{where}.except[{i}]", entry, "must be a strict subset of `cidr`")


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _no_network(where: str, value: str) -> Cause:
    detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    return invalid_value(where, value, detail)


def _is_inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen > outer.prefixlen
        and inner.network_address in outer
    )


def _selector(selector: Object | None, where: str) -> Iterator[Cause]:
    selector = selector or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        yield from bad_key(f"{where}.matchLabels", key)
        yield from bad_label_value(f"{where}.matchLabels", value)
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        place = f"{where}.matchExpressions[{i}]"
        operator, values = expression.get("operator"), expression.get("values")
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                yield required(f"{place}.values", detail)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield forbidden_field(f"{place}.values", detail)
        else:
            yield invalid_value(f"{place}.operator", operator, "not a valid selector operator")
        yield from bad_key(f"{place}.key", expression.get("key") or "")
        for j, value in enumerate(values or ()):
            yield from bad_label_value(f"{place}.values[{j}]", value)
