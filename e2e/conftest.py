"""The fixtures of the suite. With neither $KUBECONFIG nor $PILOTLIGHT_GATEWAY_URL it starts a local
mode of its own, once for all tests.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from e2e.artifacts import keep_files, keep_objects
from e2e.harness import (
    IMAGES,
    NAMESPACE,
    Cluster,
    Deployed,
    Gateway,
    Wish,
)
from pilotlight.cli.instance import LocalInstance

EXAMPLES: Final = Path(__file__).parents[1] / "examples" / "images.yaml"
PREFIX: Final = "e2e-"
_SLEEPERS: Final = 16
_LOCAL: Final = pytest.StashKey[LocalInstance | None]()

Deploy = Callable[..., Deployed]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        if (local := item.config.stash.get(_LOCAL, None)) is not None:
            keep_files(local, item.name)
        elif isinstance(cluster := item.funcargs.get("cluster"), Cluster):
            keep_objects(cluster, PREFIX, item.name)
    return report


@pytest.fixture(scope="session", name="local")
def local_fixture(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[LocalInstance | None]:
    """The session's own local mode; None on a cluster."""
    if _on_a_cluster():
        yield None
        return
    instance = LocalInstance(tmp_path_factory.mktemp("e2e") / "state", [IMAGES, EXAMPLES])
    request.config.stash[_LOCAL] = instance
    try:
        instance.up()
        yield instance
    finally:
        instance.down()


@pytest.fixture(scope="session", name="cluster")
def cluster_fixture(local: LocalInstance | None) -> Cluster:
    path = os.environ["KUBECONFIG"] if local is None else local.status().kubeconfig
    return Cluster(Path(path))


@pytest.fixture(scope="session", name="gateway")
def gateway_fixture(local: LocalInstance | None) -> Gateway:
    default = "http://127.0.0.1:8080"
    if local is None:
        return Gateway(os.environ.get("PILOTLIGHT_GATEWAY_URL", default).rstrip("/"))
    return Gateway(local.status().gateway)


@pytest.fixture(name="namespace")
def namespace_fixture(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards."""
    with _fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module", name="shared")
def shared_fixture(cluster: Cluster) -> Iterator[str]:
    """A namespace for all tests of a file."""
    with _fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(name="deploy")
def deploy_fixture(cluster: Cluster, gateway: Gateway, namespace: str) -> Deploy:
    """Apply a Service in the test's namespace: `deploy(name="app", ...)` as in `Wish`."""

    def deploy(**wish: object) -> Deployed:
        wanted = Wish(**wish)  # type: ignore[arg-type]  # checked by Wish itself
        cluster.apply(wanted.manifest(namespace))
        return Deployed(cluster, gateway, namespace, wanted.name)

    return deploy


@pytest.fixture(scope="session", name="sleepers")
def sleepers_fixture(cluster: Cluster, gateway: Gateway) -> Iterator[Iterator[Deployed]]:
    """Services that sleep already when a test asks for one, as falling asleep takes a while.

    `next(sleepers)` is one that nobody else uses, with containerConcurrency 10, all of it used.
    """
    with _fresh_namespace(cluster) as namespace:
        full = {"target-utilization-percentage": "100"}
        wishes = [
            Wish(name=f"sleeper-{number}", concurrency=10, annotations=full)
            for number in range(_SLEEPERS)
        ]
        for wish in wishes:
            cluster.apply(wish.manifest(namespace))
        yield (Deployed(cluster, gateway, namespace, wish.name).asleep() for wish in wishes)


@contextmanager
def _fresh_namespace(cluster: Cluster) -> Iterator[str]:
    name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        cluster.delete(NAMESPACE, None, name)


def _on_a_cluster() -> bool:
    return "KUBECONFIG" in os.environ or "PILOTLIGHT_GATEWAY_URL" in os.environ
