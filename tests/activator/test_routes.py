"""The routing table: hosts, visibility, paths, headers and splits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight import names
from pilotlight_activator.routes import (
    EvenPoints,
    PathRule,
    RoutingTable,
    Scope,
    compile_ingress,
    is_ours,
    normal_host,
    revision_of_host,
)

Json = dict[str, Any]


def split(revision: str, percent: int = 100, headers: dict[str, str] | None = None) -> Json:
    return {
        "serviceNamespace": "shop",
        "serviceName": revision,
        "servicePort": 80,
        "percent": percent,
        "appendHeaders": {
            "Knative-Serving-Revision": revision,
            "Knative-Serving-Namespace": "shop",
            **(headers or {}),
        },
    }


def rule(hosts: list[str], *paths: Json, visibility: str = "ExternalIP") -> Json:
    return {"hosts": hosts, "visibility": visibility, "http": {"paths": list(paths)}}


def ingress(*rules: Json, name: str = "cart", created: str = "2024-01-01T00:00:00Z") -> Json:
    metadata = {"namespace": "shop", "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"rules": list(rules)}}


def table(*ingresses: Json) -> RoutingTable:
    routes = RoutingTable()
    for number, obj in enumerate(ingresses):
        routes.replace(compile_ingress(obj, f"hash-{number}"))
    return routes


def match(
    routes: RoutingTable,
    host: str,
    path: bytes = b"/",
    headers: Mapping[bytes, bytes] = MappingProxyType({}),
    scope: Scope = Scope.EXTERNAL,
) -> PathRule | None:
    rules = routes.find(normal_host(host), scope)
    return None if rules is None else rules.match(path, headers)


def revision(found: PathRule | None, point: float = 0.0) -> str | None:
    return None if found is None else found.choose(lambda: point).revision


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Cart.Shop.LOCALHOST:8080", "cart.shop.localhost"),
        ("cart.shop.localhost.", "cart.shop.localhost"),
        ("cart.shop.localhost.:80", "cart.shop.localhost"),
        ("[::1]:8080", "[::1]"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("", ""),
        (":80", ""),
    ],
)
def test_a_host_is_compared_without_port_and_case(host: str, expected: str) -> None:
    assert normal_host(host) == expected


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_a_normal_host_stays_as_it_is(host: str) -> None:
    assert normal_host(normal_host(host)) == normal_host(host)


EXTERNAL = "cart.shop.localhost"
LOCAL = "cart.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("host", "scope", "found"),
    [
        (EXTERNAL, Scope.EXTERNAL, "shop/cart-1"),
        (EXTERNAL, Scope.LOCAL, "shop/cart-1"),
        (LOCAL, Scope.LOCAL, "shop/cart-2"),
        (LOCAL, Scope.EXTERNAL, None),
        ("cart.shop", Scope.LOCAL, "shop/cart-2"),
        ("cart.shop", Scope.EXTERNAL, None),
        ("other.shop.localhost", Scope.EXTERNAL, None),
    ],
)
def test_visibility(host: str, scope: Scope, found: str | None) -> None:
    routes = table(
        ingress(
            rule([EXTERNAL], {"splits": [split("cart-1")]}),
            rule([LOCAL, "cart.shop"], {"splits": [split("cart-2")]}, visibility="ClusterLocal"),
        )
    )
    assert revision(match(routes, host, scope=scope)) == found


TAG = b"knative-serving-tag"
PATHS = (
    {"splits": [split("any")]},
    {"path": "/api", "splits": [split("api")]},
    {"path": "/api/v2", "splits": [split("api-v2")]},
    {"headers": {"Knative-Serving-Tag": {"exact": "blue"}}, "splits": [split("blue")]},
    {
        "path": "/api",
        "headers": {"knative-serving-tag": {"exact": "blue"}, "X-Test": {"exact": "1"}},
        "splits": [split("api-blue")],
    },
)


@pytest.mark.parametrize(
    ("path", "headers", "found"),
    [
        (b"/", {}, "any"),
        (b"/ap", {}, "any"),
        (b"/api", {}, "api"),
        (b"/api/v1", {}, "api"),
        (b"/api/v2/x?y=1", {}, "api-v2"),
        (b"/", {TAG: b"blue"}, "blue"),
        (b"/", {TAG: b"Blue"}, "any"),
        (b"/", {TAG: b"red", b"x-test": b"1"}, "any"),
        (b"/api", {TAG: b"blue"}, "api"),
        (b"/api", {TAG: b"blue", b"x-test": b"1"}, "api-blue"),
    ],
)
def test_the_longest_path_and_then_the_most_headers_win(
    path: bytes, headers: dict[bytes, bytes], found: str
) -> None:
    routes = table(ingress(rule([EXTERNAL], *PATHS)))
    assert revision(match(routes, EXTERNAL, path, headers)) == f"shop/{found}"


def test_no_path_rule_fits() -> None:
    routes = table(ingress(rule([EXTERNAL], {"path": "/only", "splits": [split("a")]})))
    assert match(routes, EXTERNAL, b"/other") is None


@pytest.mark.parametrize(
    ("percents", "shares"),
    [
        ([100], [1.0]),
        ([0], [1.0]),
        ([90, 10], [0.9, 0.1]),
        ([33, 33, 34], [0.33, 0.33, 0.34]),
        ([100, 0], [1.0, 0.0]),
        ([0, 100], [0.0, 1.0]),
        ([1, 1], [0.5, 0.5]),
        ([0, 0], [0.5, 0.5]),
    ],
)
def test_a_split_gives_each_its_share(percents: list[int], shares: list[float]) -> None:
    splits = [split(str(number), percent) for number, percent in enumerate(percents)]
    found = match(table(ingress(rule([EXTERNAL], {"splits": splits}))), EXTERNAL)
    counts = dict.fromkeys([f"shop/{number}" for number in range(len(percents))], 0)
    for step in range(10_000):
        chosen = revision(found, step / 10_000)
        assert chosen is not None
        counts[chosen] += 1
    for count, share in zip(counts.values(), shares, strict=True):
        assert count == pytest.approx(share * 10_000, abs=2)


def test_headers_of_path_and_split_are_appended_and_those_that_name_the_target_are_not() -> None:
    path = {
        "appendHeaders": {
            "Knative-Serving-Default-Route": "true",
            "X-Both": "path",
            "X-Bad": "a\r\nb",
            "X Bad": "a",
        },
        "splits": [split("cart-1", headers={"X-Both": "split"})],
    }
    found = match(table(ingress(rule([EXTERNAL], path))), EXTERNAL)
    assert found is not None
    assert dict(found.choose(lambda: 0.0).append) == {
        b"Knative-Serving-Default-Route": b"true",
        b"X-Both": b"split",
    }


def test_a_domain_mapping_rewrites_the_host_and_names_no_revision() -> None:
    path = {
        "rewriteHost": LOCAL,
        "splits": [{"serviceNamespace": "shop", "serviceName": "cart", "percent": 100}],
    }
    found = match(table(ingress(rule(["example.com"], path))), "example.com")
    assert found is not None
    assert found.rewrite_host == LOCAL.encode()
    target = found.choose(lambda: 0.5)
    assert (target.revision, target.service) == (None, "shop/cart")


def test_the_oldest_ingress_has_a_host_and_leaves_it() -> None:
    older = ingress(rule([EXTERNAL], {"splits": [split("old")]}), name="b", created="2024-01-01")
    newer = ingress(rule([EXTERNAL], {"splits": [split("new")]}), name="a", created="2024-01-02")
    routes = table(newer, older)
    assert revision(match(routes, EXTERNAL)) == "shop/old"
    routes.remove("shop/b")
    assert revision(match(routes, EXTERNAL)) == "shop/new"
    routes.remove("shop/a")
    routes.remove("shop/a")
    assert match(routes, EXTERNAL) is None
    assert len(routes) == 0


def test_a_new_version_replaces_all_of_the_old_one() -> None:
    routes = table(
        ingress(rule(["a", "b"], {"splits": [split("one")]})),
        ingress(rule(["b", "c"], {"splits": [split("two")]})),
    )
    assert match(routes, "a") is None
    assert revision(match(routes, "b")) == "shop/two"
    rules = routes.find("c", Scope.EXTERNAL)
    assert rules is not None
    assert (rules.ingress, rules.digest) == ("shop/cart", b"hash-1")


def test_an_ingress_without_rules_serves_nothing() -> None:
    routes = table({"metadata": {"name": "x", "namespace": "shop"}}, ingress(rule(["a"])))
    assert match(routes, "a") is None


CLASS = "networking.knative.dev/ingress.class"


@pytest.mark.parametrize(
    ("annotations", "ours"),
    [
        ({CLASS: "pilotlight.ingress.networking.knative.dev"}, True),
        ({"networking.knative.dev/ingress-class": names.INGRESS_CLASS}, True),
        ({CLASS: "kourier.ingress.networking.knative.dev"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_our_class_is_served(annotations: Json | None, ours: bool) -> None:
    assert is_ours({"metadata": {"name": "x", "annotations": annotations}}) is ours


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("cart-1.shop.svc.cluster.local", "shop/cart-1"),
        ("cart-1.shop.svc", "shop/cart-1"),
        ("cart-1.shop", "shop/cart-1"),
        ("cart-1", None),
        ("cart-1.shop.example.com", None),
        ("", None),
    ],
)
def test_a_host_in_the_cluster_names_a_revision(host: str, found: str | None) -> None:
    assert revision_of_host(host) == found


@given(
    start=st.floats(0, 1, exclude_max=True),
    taken=st.integers(50, 2_000),
    share=st.floats(0.01, 0.99),
    every=st.integers(1, 7),
)
def test_the_points_are_even_at_every_length_also_when_a_service_gets_each_nth(
    start: float, taken: int, share: float, every: int
) -> None:
    draw = EvenPoints(start)
    points = [draw() for _ in range(taken * every)][::every]
    assert all(0 <= point < 1 for point in points)
    below = sum(point < share for point in points)
    # Independent draws would be off by 3 * sqrt(taken) / 2 at times: 67 of 2,000.
    assert abs(below - share * taken) <= 12
