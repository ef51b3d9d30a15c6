"""Lists and watches, as informers of client libraries use them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from kubernetes import watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

from e2e.conftest import Deploy
from e2e.harness import Cluster, Wish, wait_until

pytestmark = pytest.mark.e2e


class Informer:
    """A list, then a watch from its version on: a copy of what the server has."""

    def __init__(self, cluster: Cluster, namespace: str, plural: str) -> None:
        self._watch = watch.Watch()
        self._call = cluster.custom.list_namespaced_custom_object
        self._where = ("serving.knative.dev", "v1", namespace, plural)
        self.items: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[str, str]] = []
        self.versions: list[int] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"informer-{plural}", daemon=True)

    def start(self) -> None:
        listed = self._call(*self._where)
        self.items = {item["metadata"]["name"]: item for item in listed["items"]}
        self._version = listed["metadata"]["resourceVersion"]
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._watch.stop()
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._follow()
        except ProtocolError:  # what `stop` does to a stream is no fault of the server
            if not self._stopped:
                raise

    def _follow(self) -> None:
        for event in self._watch.stream(
            self._call, *self._where, resource_version=self._version, timeout_seconds=15
        ):
            obj = event["object"]
            name = obj["metadata"]["name"]
            self.events.append((event["type"], name))
            self.versions.append(int(obj["metadata"]["resourceVersion"]))
            if event["type"] == "DELETED":
                del self.items[name]
            else:
                self.items[name] = obj


def test_informers_keep_a_true_copy(cluster: Cluster, deploy: Deploy) -> None:
    before = deploy(name="before").ready()
    plurals = ("services", "configurations", "revisions", "routes")
    informers = {plural: Informer(cluster, before.namespace, plural) for plural in plurals}
    for informer in informers.values():
        informer.start()
    assert all(informer.items for informer in informers.values())
    deploy(name="after").ready()
    cluster.patch(
        ("serving.knative.dev/v1", "Service"),
        before.namespace,
        "after",
        {"metadata": {"labels": {"colour": "red"}}},
    )
    cluster.delete(("serving.knative.dev/v1", "Service"), before.namespace, "before")
    wait_until(
        lambda: all(
            "DELETED" in {kind for kind, _ in informer.events} for informer in informers.values()
        ),
        15.0,
        "every informer saw its object go",
    )
    wait_until(lambda: settled(cluster, before.namespace, informers), 10.0, "the copies are true")
    for informer in informers.values():
        informer.stop()
        assert informer.versions == sorted(informer.versions)
    events = informers["services"].events
    assert events[0] == ("ADDED", "after")
    assert ("MODIFIED", "after") in events
    assert events.count(("DELETED", "before")) == 1


def settled(cluster: Cluster, namespace: str, informers: dict[str, Informer]) -> bool:
    for plural, informer in informers.items():
        listed = cluster.custom.list_namespaced_custom_object(
            "serving.knative.dev", "v1", namespace, plural
        )
        truth = {item["metadata"]["name"]: item for item in listed["items"]}
        if truth != informer.items:
            return False
    return True


def test_a_watch_goes_on_from_where_one_stopped(cluster: Cluster, namespace: str) -> None:
    call = cluster.custom.list_namespaced_custom_object
    where = ("serving.knative.dev", "v1", namespace, "services")
    start = call(*where)["metadata"]["resourceVersion"]
    for number in range(3):
        cluster.apply(Wish(name=f"seen-{number}").manifest(namespace))
    for _ in range(2):  # the past can be told twice
        names: list[str] = []
        watcher = watch.Watch()
        for event in watcher.stream(call, *where, resource_version=start, timeout_seconds=5):
            if event["type"] == "ADDED":
                names.append(event["object"]["metadata"]["name"])
            if len(names) == 3:
                watcher.stop()
        assert names == ["seen-0", "seen-1", "seen-2"]


def test_a_watch_ends_when_its_time_is_over(cluster: Cluster, namespace: str) -> None:
    call = cluster.custom.list_namespaced_custom_object
    where = ("serving.knative.dev", "v1", namespace, "services")
    version = call(*where)["metadata"]["resourceVersion"]
    started = time.monotonic()
    events = list(watch.Watch().stream(call, *where, resource_version=version, timeout_seconds=1))
    assert events == []
    assert 0.5 < time.monotonic() - started < 5.0


def test_pages_and_selectors(cluster: Cluster, namespace: str) -> None:
    for number in range(5):
        cluster.core.create_namespaced_config_map(
            namespace,
            {"metadata": {"name": f"map-{number}", "labels": {"odd": str(number % 2 == 1)}}},
        )
    odd = cluster.core.list_namespaced_config_map(namespace, label_selector="odd=True")
    assert [item.metadata.name for item in odd.items] == ["map-1", "map-3"]
    several = cluster.core.list_namespaced_config_map(
        namespace, label_selector="odd in (True,False)", field_selector="metadata.name!=map-4"
    )
    assert len(several.items) == 4
    names: list[str] = []
    token: str | None = None
    while token != "":
        page = cluster.core.list_namespaced_config_map(
            namespace, label_selector="odd", limit=2, _continue=token
        )
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == [f"map-{number}" for number in range(5)]


def test_two_writers_of_one_version_conflict(cluster: Cluster, namespace: str) -> None:
    made = cluster.core.create_namespaced_config_map(
        namespace, {"metadata": {"name": "contended"}, "data": {"a": "1"}}
    )
    made.data = {"a": "2"}
    cluster.core.replace_namespaced_config_map("contended", namespace, made)
    made.data = {"a": "3"}
    with pytest.raises(ApiException) as caught:
        cluster.core.replace_namespaced_config_map("contended", namespace, made)
    assert caught.value.status == 409
