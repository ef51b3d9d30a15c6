"""Requests are divided as the Service says."""

from __future__ import annotations

import pytest

from e2e.conftest import Deploy
from e2e.harness import REVISION, SERVICE, Cluster, Deployed, is_ready, wait_until

pytestmark = pytest.mark.e2e

KEEP = {"min-scale": "1"}


def two_revisions(deploy: Deploy, first: int) -> Deployed:
    """A Service with revisions app-one and app-two; `first` percent go to app-one."""
    deploy(revision="app-one", env={"NAME": "one"}, annotations=KEEP).ready()
    return deploy(
        revision="app-two",
        env={"NAME": "two"},
        annotations=KEEP,
        traffic=[
            {"revisionName": "app-one", "percent": first},
            {"revisionName": "app-two", "percent": 100 - first, "tag": "next"},
            {"latestRevision": True, "percent": 0, "tag": "latest"},
        ],
    ).ready()


@pytest.mark.timeout(90)
def test_ten_thousand_requests_are_split_to_within_a_point(deploy: Deploy) -> None:
    service = two_revisions(deploy, 90)
    tally = service.many("/", total=10_000, concurrency=16)
    assert tally.lost == 0, tally.explain()
    assert set(tally.texts) == {"one", "two"}
    assert abs(tally.texts["two"] / 100 - 10) <= 1


def test_a_tag_has_a_host_of_its_own(deploy: Deploy) -> None:
    service = two_revisions(deploy, 100)
    assert service.tag_host("next").startswith(f"next-app.{service.namespace}.")
    assert {service.gateway.ask(service.tag_host("next")).text for _ in range(20)} == {"two"}
    assert {service.gateway.ask(service.tag_host("latest")).text for _ in range(5)} == {"two"}
    assert {service.ask().text for _ in range(20)} == {"one"}


def test_a_change_of_the_split_alone_makes_no_revision(deploy: Deploy, cluster: Cluster) -> None:
    service = two_revisions(deploy, 100)
    before = {r["metadata"]["name"] for r in cluster.list(REVISION, service.namespace)}
    target = {"revisionName": "app-two", "percent": 100}
    cluster.patch(SERVICE, service.namespace, "app", {"spec": {"traffic": [target]}})
    service.ready()
    wait_until(lambda: service.ask().text == "two", 2.0, "all go to the second")
    assert {service.ask().text for _ in range(20)} == {"two"}
    assert {r["metadata"]["name"] for r in cluster.list(REVISION, service.namespace)} == before


def test_a_new_revision_takes_over_without_a_lost_request(deploy: Deploy) -> None:
    service = deploy(env={"NAME": "one"}, annotations=KEEP).ready()
    deploy(env={"NAME": "two"}, annotations=KEEP)
    texts: set[str] = set()
    while "two" not in texts or not is_ready(service.object()):
        tally = service.many("/", total=50, concurrency=2)
        assert tally.lost == 0, tally.explain()
        texts |= set(tally.texts)
    assert texts == {"one", "two"}
    assert service.object()["status"]["latestReadyRevisionName"] == "app-00002"
    assert {service.ask().text for _ in range(10)} == {"two"}
