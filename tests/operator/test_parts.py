"""The small machines: changes, queue, index, roots, hosts, certificates."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from pilotlight import names
from pilotlight.certificates import generate
from pilotlight.config.domain import Domain, DomainRule
from pilotlight.config.network import Network
from pilotlight.kube.resources import (
    CONFIGURATIONS,
    CORE_SERVICES,
    DEPLOYMENTS,
    PODS,
    REVISIONS,
    ROUTES,
    SERVICES,
)
from pilotlight_operator.certificates import (
    LIFETIME,
    RENEWED_BEFORE,
    from_secret_data,
    host_names,
    is_good,
    load,
    request,
    to_secret_data,
)
from pilotlight_operator.changes import Rules, covers, difference, merge_patch
from pilotlight_operator.hosts import HostError, hosts_of
from pilotlight_operator.index import Index
from pilotlight_operator.objects import Key, Obj
from pilotlight_operator.plan import Root
from pilotlight_operator.roots import roots_of
from pilotlight_operator.system import addresses_of, cluster_domain
from pilotlight_operator.view import View
from pilotlight_operator.webhooks import configured, rules
from pilotlight_operator.workqueue import FIRST_DELAY_S, LONGEST_DELAY_S, WorkQueue
from tests.operator.simulation import NOW, SETTINGS, Cluster, merged, service

leaves = st.one_of(st.integers(), st.text(max_size=3), st.booleans())
# A merge patch cannot speak of null, which objects of the API do not hold either.
documents = st.recursive(
    st.dictionaries(st.text(max_size=2), leaves, max_size=4),
    lambda inner: st.dictionaries(
        st.text(max_size=2), st.one_of(leaves, inner, st.lists(inner, max_size=2)), max_size=4
    ),
    max_leaves=12,
)


@given(documents, documents)
def test_a_difference_leads_from_one_to_the_other(before: Obj, after: Obj) -> None:
    assert merged(before, difference(before, after)) == after


@given(documents)
def test_no_difference_is_empty(document: Obj) -> None:
    assert difference(document, document) == {}
    assert covers(document, document)


@given(documents, documents)
def test_more_than_desired_is_covered(observed: Obj, more: Obj) -> None:
    assert covers({**more, **observed}, observed)


def test_exact_metadata_removes_what_is_too_much() -> None:
    observed = {"metadata": {"labels": {"a": "1", "b": "2", "kept": "3"}}, "spec": {"x": 1}}
    desired = {"metadata": {"labels": {"a": "1", "c": "4"}}, "spec": {"x": 1}}
    patch = merge_patch(observed, desired, Rules(kept=("kept",)))
    assert patch == {"metadata": {"labels": {"b": None, "c": "4"}}}


def test_loose_rules_leave_what_is_more() -> None:
    observed = {"metadata": {"labels": {"b": "2"}}, "spec": {"x": 1, "clusterIP": "10.0.0.1"}}
    desired = {"metadata": {}, "spec": {"x": 2}}
    loose = Rules(exact_metadata=False, exact_spec=False)
    assert merge_patch(observed, desired, loose) == {"spec": {"x": 2}}


def test_a_label_decides_over_the_spec() -> None:
    observed = {"metadata": {"labels": {"hash": "a"}}, "spec": {"x": 1, "replicas": 3}}
    by_label = Rules(exact_metadata=False, by_label="hash", spec_excluded=("replicas",))
    same = {"metadata": {"labels": {"hash": "a"}}, "spec": {"x": 2}}
    assert merge_patch(observed, same, by_label) == {}
    other = {"metadata": {"labels": {"hash": "b"}}, "spec": {"x": 2}}
    assert merge_patch(observed, other, by_label) == {
        "metadata": {"labels": {"hash": "b"}},
        "spec": {"x": 2},
    }


async def test_duplicates_merge() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert queue.statistics().ready == 0


async def test_a_key_is_worked_on_by_one_at_a_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done("a")
    assert await waiting == "a"


async def test_failures_wait_longer_each_time_and_start_anew_after_a_success() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = []
    for _ in range(12):
        queue.add("a")
        await queue.get()
        delays.append(queue.failed("a"))
    assert delays[0] <= FIRST_DELAY_S * 1.2
    assert delays[3] > delays[0]
    assert max(delays) <= LONGEST_DELAY_S * 1.2
    assert queue.statistics().failing == 1
    queue.add("a")
    await queue.get()
    queue.done("a")
    queue.add("a")
    await queue.get()
    assert queue.failed("a") <= FIRST_DELAY_S * 1.2
    queue.close()


async def test_of_two_delays_the_shorter_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0)
    queue.add_after("a", 60)
    async with asyncio.timeout(5):
        assert await queue.get() == "a"
    assert queue.statistics().delayed == 0


async def test_a_wake_up_is_not_lost_with_a_cancelled_waiter() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(5):
        assert await second == "a"
    assert first.cancelled()


def made(name: str, version: int, uid: str = "u", **metadata: Any) -> Obj:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": str(version),
            **metadata,
        }
    }


def test_the_index_keeps_the_newer_copy() -> None:
    index = Index()
    assert index.put(SERVICES, made("a", 5))
    assert not index.put(SERVICES, made("a", 4))
    assert not index.put(SERVICES, made("a", 5))
    assert index.put(SERVICES, made("a", 6))
    # Made anew under the same name: another object.
    assert index.put(SERVICES, made("a", 3, uid="v"))


def test_what_is_gone_does_not_come_back() -> None:
    index = Index()
    index.put(SERVICES, made("a", 5))
    assert index.remove(SERVICES, made("a", 6))
    assert not index.put(SERVICES, made("a", 5))
    assert not index.remove(SERVICES, made("a", 6))
    assert index.get(SERVICES, "default", "a") is None


def test_groups_follow_changes() -> None:
    index = Index()
    label = {names.REVISION_LABEL: "one"}
    index.put(PODS, made("p", 1, labels=label))
    assert len(index.pods_of(Key("default", "one"))) == 1
    index.put(PODS, made("p", 2, labels={names.REVISION_LABEL: "two"}))
    assert index.pods_of(Key("default", "one")) == []
    assert len(index.pods_of(Key("default", "two"))) == 1


def test_only_the_telling_parts_of_pods_are_kept() -> None:
    index = Index()
    pod = made("p", 1, labels={names.REVISION_LABEL: "one"}, managedFields=[{}])
    index.put(PODS, {**pod, "spec": {"containers": []}, "status": {"podIP": "x", "phase": "y"}})
    (kept,) = index.pods_of(Key("default", "one"))
    assert "spec" not in kept
    assert "managedFields" not in kept["metadata"]
    assert kept["status"] == {"phase": "y"}


def test_everything_below_a_service_leads_to_it() -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service())
    cluster.settle()
    pod = cluster.add_pod("hello-00001", {})
    root = Root(SERVICES, Key("default", "hello"))
    for resource, name in (
        (SERVICES, "hello"),
        (CONFIGURATIONS, "hello"),
        (ROUTES, "hello"),
        (REVISIONS, "hello-00001"),
        (DEPLOYMENTS, "hello-00001-deployment"),
        (CORE_SERVICES, "hello-00001-private"),
        (CORE_SERVICES, "hello"),
    ):
        assert roots_of(resource, cluster.get(resource, name), cluster.index) == {root}
    assert roots_of(PODS, pod, cluster.index) == {root}


def test_a_route_made_by_hand_follows_a_service() -> None:
    cluster = Cluster()
    cluster.add(SERVICES, service())
    cluster.settle()
    route = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "side"},
        "spec": {"traffic": [{"configurationName": "hello", "percent": 100}]},
    }
    cluster.add(ROUTES, route)
    side, hello = Root(ROUTES, Key("default", "side")), Root(SERVICES, Key("default", "hello"))
    revision = cluster.get(REVISIONS, "hello-00001")
    assert roots_of(REVISIONS, revision, cluster.index) == {side, hello}
    assert roots_of(ROUTES, cluster.get(ROUTES, "side"), cluster.index) == {side, hello}


def route(name: str = "hello", tag: str = "", **metadata: Any) -> Obj:
    traffic = [{"configurationName": name, "percent": 100, **({"tag": tag} if tag else {})}]
    return {
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"traffic": traffic},
    }


@pytest.mark.parametrize(
    ("subject", "settings", "expected"),
    [
        pytest.param(route(), SETTINGS, "http://hello.default.example.com", id="external"),
        pytest.param(
            route(labels={names.VISIBILITY_LABEL: names.CLUSTER_LOCAL}),
            SETTINGS,
            "http://hello.default.svc.cluster.local",
            id="private",
        ),
        pytest.param(
            route(),
            replace(SETTINGS, domain=Domain()),
            "http://hello.default.svc.cluster.local",
            id="no domain",
        ),
        pytest.param(
            route(labels={"team": "blue"}),
            replace(
                SETTINGS,
                domain=Domain(
                    (DomainRule("example.com"), DomainRule("blue.dev", (("team", "blue"),)))
                ),
            ),
            "http://hello.default.blue.dev",
            id="domain by label",
        ),
        pytest.param(
            route(),
            replace(
                SETTINGS, network=Network(domain_template="{{.Name}}-{{.Namespace}}.{{.Domain}}")
            ),
            "http://hello-default.example.com",
            id="template",
        ),
    ],
)
def test_hosts(subject: Obj, settings: Any, expected: str) -> None:
    hosts = hosts_of(subject, settings, View(Index()))
    assert hosts[""].url("http") == expected
    assert hosts[""].internal == (
        "hello.default",
        "hello.default.svc",
        "hello.default.svc.cluster.local",
    )


def test_hosts_of_tags() -> None:
    hosts = hosts_of(route(tag="next"), SETTINGS, View(Index()))
    assert hosts["next"].service == "next-hello"
    assert hosts["next"].url("https") == "https://next-hello.default.example.com"


def test_a_tag_can_be_private_alone() -> None:
    index = Index()
    label = {names.VISIBILITY_LABEL: names.CLUSTER_LOCAL}
    index.put(CORE_SERVICES, made("next-hello", 1, labels=label))
    hosts = hosts_of(route(tag="next"), SETTINGS, View(index))
    assert hosts["next"].is_local
    assert not hosts[""].is_local


def test_a_name_that_is_too_long_for_dns() -> None:
    with pytest.raises(HostError, match="choose a shorter name"):
        hosts_of(route("h" * 60, tag="t" * 10), SETTINGS, View(Index()))


HOSTS = host_names("knative-serving", "cluster.local")


def test_a_certificate_lasts_until_it_is_renewed() -> None:
    held = generate(request(HOSTS), NOW)
    assert from_secret_data(to_secret_data(held)) == held
    assert is_good(held, HOSTS, NOW)
    assert is_good(held, HOSTS, NOW + LIFETIME - RENEWED_BEFORE)
    assert not is_good(held, HOSTS, NOW + LIFETIME - RENEWED_BEFORE + timedelta(seconds=1))
    assert not is_good(held, [*HOSTS, "other"], NOW)
    assert not is_good(replace(held, key=generate(request(HOSTS), NOW).key), HOSTS, NOW)
    assert not is_good(replace(held, ca=generate(request(HOSTS), NOW).ca), HOSTS, NOW)
    assert not is_good(replace(held, certificate=b"x"), HOSTS, NOW)
    assert not is_good(None, HOSTS, NOW)


@pytest.mark.parametrize("data", [{}, {"server-key.pem": "?"}], ids=["empty", "no base64"])
def test_secrets_that_hold_no_certificate(data: dict[str, str]) -> None:
    assert from_secret_data(data) is None


def test_a_certificate_is_loaded_from_memory() -> None:
    load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), generate(request(HOSTS), NOW))


def test_webhook_configurations() -> None:
    config = {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [{"name": "v", "clientConfig": {"service": {"name": "webhook"}}}],
    }
    done = configured(config, b"ca\n")
    (webhook,) = done["webhooks"]
    assert webhook["clientConfig"] == {"service": {"name": "webhook"}, "caBundle": "Y2EK"}
    assert "DELETE" in webhook["rules"][0]["operations"]
    assert configured(done, b"ca\n") == done
    plurals = [plural for rule in rules(["CREATE"]) for plural in rule["resources"]]
    assert "domainmappings/status" in plurals


def test_the_authority_before_stays_trusted() -> None:
    """Until the other replicas have seen the new certificate too."""
    first, second, third = (generate(request(HOSTS), NOW).ca for _ in range(3))
    config: Obj = {"kind": "M", "webhooks": [{"clientConfig": {"caBundle": "garbage"}}]}
    for ca in (first, second):
        config = configured(config, ca)
    assert trusted(config) == [second, first]
    assert configured(config, first) == config, "a replica that serves with the old one leaves it"
    config = configured(config, third)
    assert trusted(config) == [third, second]


def trusted(config: Obj) -> list[bytes]:
    bundle = base64.b64decode(config["webhooks"][0]["clientConfig"]["caBundle"])
    found = x509.load_pem_x509_certificates(bundle)
    return [certificate.public_bytes(serialization.Encoding.PEM) for certificate in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search default.svc.corp.local svc.corp.local corp.local\n", "corp.local"),
        ("nameserver 10.0.0.1\n", "cluster.local"),
        (None, "cluster.local"),
    ],
    ids=["found", "none", "no file"],
)
def test_the_clusters_domain(tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    assert cluster_domain(path) == expected


def test_gateways_are_those_that_are_ready() -> None:
    found = addresses_of(
        {
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
                {"addresses": ["fd00::1"]},
            ]
        }
    )
    assert found == ["10.0.0.1:8012", "[fd00::1]:8012"]
