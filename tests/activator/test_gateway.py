"""The gateway on real sockets: routing, probes, and what it changes in requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Answer, Rig, answer, ask, echo, route_rule

LOCAL = "cart.shop.svc.cluster.local"


def seen(got: Answer) -> dict[str, Any]:
    """What the pod saw of a request."""
    assert got.status == 200, got
    found: dict[str, Any] = json.loads(got.body)
    return found


async def test_a_request_reaches_the_pod(rig: Rig) -> None:
    await rig.pod(echo)
    got = await rig.get("/a?b=c", x_mine="1", traceparent="00-1-2-01")
    assert "server-timing" not in got.headers
    found = seen(got)
    assert found["target"] == "/a?b=c"
    headers = found["headers"]
    assert headers["host"] == "cart.shop.localhost"
    assert headers["k-proxy-request"] == "activator"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "cart.shop.localhost"
    assert headers["x-mine"] == "1"
    assert headers["traceparent"] == "00-1-2-01"


async def test_a_request_id_is_made_and_one_that_is_there_is_kept(rig: Rig) -> None:
    await rig.pod(echo)
    ids = {seen(await rig.get())["headers"]["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all([len(part) for part in id_.split("-")] == [8, 4, 4, 4, 12] for id_ in ids)
    assert seen(await rig.get(x_request_id="mine"))["headers"]["x-request-id"] == "mine"


async def test_the_chain_of_forwarders_grows(rig: Rig) -> None:
    await rig.pod(echo)
    headers = seen(await rig.get(x_forwarded_for="1.2.3.4", x_forwarded_proto="https"))["headers"]
    assert headers["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("host", ["Cart.Shop.Localhost", "cart.shop.localhost:8080"])
async def test_the_host_is_found_in_any_case_and_with_a_port(rig: Rig, host: str) -> None:
    await rig.pod(echo)
    assert seen(await rig.get(Host=host))["headers"]["host"] == host


async def test_an_unknown_host_is_told(rig: Rig) -> None:
    got = await rig.get(Host="other.localhost")
    assert (got.status, got.headers["k-pilotlight-leg"]) == (404, "route")
    assert got.body == b'no service has the host "other.localhost"'
    got = await rig.get(Host="other.localhost", Accept="application/json")
    assert json.loads(got.body) == {
        "error": 'no service has the host "other.localhost"',
        "leg": "route",
        "revision": "",
    }
    assert rig.service.gateway.unrouted == 2


async def test_a_path_that_no_rule_has(rig: Rig) -> None:
    rig.route(route_rule("cart.shop.localhost", "cart-1", path="/only"))
    await rig.pod(echo)
    assert seen(await rig.get("/only/this"))["target"] == "/only/this"
    assert (await rig.get("/other")).status == 404


async def test_a_route_to_a_revision_that_is_not_there(rig: Rig) -> None:
    rig.route(route_rule("cart.shop.localhost", "cart-9"))
    got = await rig.get()
    assert (got.status, got.body) == (404, b"revision shop/cart-9 not found")


async def test_what_is_local_stays_inside(rig: Rig) -> None:
    rig.route(route_rule(LOCAL, "cart-1", visibility="ClusterLocal"))
    await rig.pod(echo)
    assert (await rig.get(Host=LOCAL)).status == 404
    assert seen(await rig.get_inside(Host=LOCAL))["headers"]["host"] == LOCAL


async def test_what_is_external_is_reached_from_inside(rig: Rig) -> None:
    await rig.pod(echo)
    assert (await rig.get_inside()).status == 200


async def test_headers_that_name_a_revision_work_inside_only(rig: Rig) -> None:
    await rig.pod(echo)
    headers = {"Knative_Serving_Revision": "cart-1", "Knative_Serving_Namespace": "shop"}
    found = seen(await rig.get_inside(Host="whatever", K_Original_Host="a.b", **headers))
    assert found["headers"]["host"] == "whatever"
    assert found["headers"]["k-original-host"] == "a.b"
    assert "knative-serving-revision" not in found["headers"]
    assert (await rig.get(Host="whatever", **headers)).status == 404
    headers["Knative_Serving_Revision"] = "cart-9"
    assert (await rig.get_inside(**headers)).status == 404


@pytest.mark.parametrize(
    "host", ["cart-1.shop", "cart-1.shop.svc", "cart-1.shop.svc.cluster.local:80"]
)
async def test_the_name_of_a_revisions_service_works_inside_only(rig: Rig, host: str) -> None:
    await rig.pod(answer())
    assert (await rig.get_inside(Host=host)).status == 200
    assert (await rig.get(Host=host)).status == 404


async def test_headers_of_the_rule_replace_the_clients(rig: Rig) -> None:
    rule = route_rule("cart.shop.localhost", "cart-1", appendHeaders={"X-Rule": "rule"})
    rig.route(rule)
    await rig.pod(echo)
    found = seen(await rig.get(x_rule="client", K_Proxy_Request="client", K_Original_Host="evil"))
    assert found["headers"]["x-rule"] == "rule"
    assert found["headers"]["k-proxy-request"] == "activator"
    assert "k-original-host" not in found["headers"]


async def test_a_tag_header_chooses_a_path(rig: Rig) -> None:
    rig.revision(name="cart-2", uid="uid-2")
    tagged = route_rule(
        "cart.shop.localhost", "cart-2", headers={"Knative-Serving-Tag": {"exact": "new"}}
    )
    rule = route_rule("cart.shop.localhost", "cart-1")
    rule["http"]["paths"] += tagged["http"]["paths"]
    rig.route(rule)
    await rig.pod(answer(b"old"))
    await rig.pod(answer(b"new"), revision="shop/cart-2", uid="uid-2")
    assert (await rig.get()).body == b"old"
    assert (await rig.get(Knative_Serving_Tag="new")).body == b"new"
    assert (await rig.get(Knative_Serving_Tag="unknown")).body == b"old"


async def test_another_name_of_a_service(rig: Rig) -> None:
    mapped = {
        "hosts": ["example.com"],
        "visibility": "ExternalIP",
        "http": {
            "paths": [
                {
                    "rewriteHost": LOCAL,
                    "splits": [
                        {
                            "serviceNamespace": "shop",
                            "serviceName": "cart",
                            "percent": 100,
                            "appendHeaders": {"K-Original-Host": "example.com"},
                        }
                    ],
                }
            ]
        },
    }
    rig.route(mapped, route_rule(LOCAL, "cart-1", visibility="ClusterLocal"))
    await rig.pod(echo)
    headers = seen(await rig.get(Host="example.com"))["headers"]
    assert headers["host"] == LOCAL
    assert headers["k-original-host"] == "example.com"
    assert headers["x-forwarded-host"] == "example.com"


async def test_a_split_is_kept(rig: Rig) -> None:
    rig.revision(name="cart-2", uid="uid-2")
    rule, other = route_rule("cart.shop.localhost", "cart-1"), route_rule("x", "cart-2")
    splits = [*rule["http"]["paths"][0]["splits"], *other["http"]["paths"][0]["splits"]]
    splits[0]["percent"], splits[1]["percent"] = 90, 10
    rule["http"]["paths"][0]["splits"] = splits
    rig.route(rule)
    await rig.pod(answer(b"1"))
    await rig.pod(answer(b"2"), revision="shop/cart-2", uid="uid-2")
    bodies = [(await rig.get()).body for _ in range(300)]
    assert 10 <= bodies.count(b"2") <= 60


@pytest.mark.parametrize(
    ("headers", "status", "body", "digest"),
    [
        ({"K-Network-Probe": "probe", "K-Network-Hash": "override"}, 200, b"", "digest"),
        ({"K-Network-Probe": "probe", "K-Network-Hash": "abc"}, 200, b"", "abc"),
        (
            {"K-Network-Probe": "probe"},
            400,
            b'a probe request must contain a non-empty "K-Network-Hash" header',
            None,
        ),
        (
            {"K-Network-Probe": "probe", "K-Network-Hash": "override", "Host": "unknown"},
            404,
            b"no ingress routes this host",
            None,
        ),
        ({"K-Network-Probe": "activator", "Host": "unknown"}, 200, b"activator", None),
        ({"K-Network-Probe": "queue"}, 400, b'unexpected probe header value: "queue"', None),
        ({"User-Agent": "kube-probe/1.30", "Host": "10.0.0.1:8012"}, 200, b"ok\n", None),
    ],
)
async def test_probes(
    rig: Rig, headers: dict[str, str], status: int, body: bytes, digest: str | None
) -> None:
    got = await ask(
        rig.addresses.internal, "GET / HTTP/1.1", {"Host": "cart.shop.localhost", **headers}
    )
    assert (got.status, got.body, got.headers.get("k-network-hash")) == (status, body, digest)


async def test_a_probe_of_a_local_host_is_not_answered_outside(rig: Rig) -> None:
    rig.route(route_rule(LOCAL, "cart-1", visibility="ClusterLocal"))
    headers = {"K-Network-Probe": "probe", "K-Network-Hash": "override", "Host": LOCAL}
    assert (await ask(rig.addresses.external, "GET / HTTP/1.1", headers)).status == 404
    assert (await ask(rig.addresses.internal, "GET / HTTP/1.1", headers)).status == 200


async def test_a_service_may_have_visitors_that_look_like_the_kubelet(rig: Rig) -> None:
    await rig.pod(answer(b"mine"))
    assert (await rig.get(User_Agent="kube-probe/1.30")).body == b"mine"
