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
from e2e.rights import Asked, asked, compare, granted, told
from pilotlight.cli.instance import LocalInstance
from pilotlight_local.kustomize import build

EXAMPLES: Final = Path(__file__).parents[1] / "examples" / "images.yaml"
MANIFESTS: Final = Path(__file__).parents[1] / "manifests"
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
        instance.up("--audit-log", str(instance.data_dir.with_name("audit.log")))
        yield instance
    finally:
        instance.down()


@pytest.fixture(scope="session", name="audit_log")
def audit_log_fixture(local: LocalInstance | None) -> Path | None:
    """Who asked the API for what; None where nobody writes it down."""
    if local is not None:
        return local.data_dir.with_name("audit.log")
    named = os.environ.get("PILOTLIGHT_AUDIT_LOG")
    return Path(named) if named else None


@pytest.fixture(scope="session", name="cluster")
def cluster_fixture(local: LocalInstance | None, audit_log: Path | None) -> Iterator[Cluster]:
    path = os.environ["KUBECONFIG"] if local is None else local.status().kubeconfig
    # The log of a cluster tells of others, too, who were there before.
    before = audit_log.stat().st_size if audit_log is not None and local is None else 0
    yield Cluster(Path(path))
    if audit_log is None:
        return
    # Whatever the tests have brought about, no component lacked a right for it.
    findings = compare(granted(build(MANIFESTS / "base")), requests_of(audit_log, before))
    assert told(findings.refused | findings.missing) == "", "asked for, and not granted"


def requests_of(audit_log: Path, start: int = 0) -> list[Asked]:
    """What the components asked for, from that byte of the log on."""
    with audit_log.open("rb") as file:
        if file.seek(0, os.SEEK_END) >= start:  # otherwise another one has been begun
            file.seek(start)
        else:
            file.seek(0)
        lines = file.read().splitlines(keepends=True)
    return list(asked(line.decode() for line in lines if line.endswith(b"\n")))


@pytest.fixture(scope="session", name="gateway")
def gateway_fixture(local: LocalInstance | None) -> Gateway:
    default = "http://127.0.0.1:8080"
    if local is None:
        return Gateway(os.environ.get("PILOTLIGHT_GATEWAY_URL", default).rstrip("/"))
    return Gateway(local.status().gateway)


@pytest.fixture(name="namespace")
def namespace_fixture(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards."""
    with fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module", name="shared")
def shared_fixture(cluster: Cluster) -> Iterator[str]:
    """A namespace for all tests of a file."""
    with fresh_namespace(cluster) as name:
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
    with fresh_namespace(cluster) as namespace:
        full = {"target-utilization-percentage": "100"}
        wishes = [
            Wish(name=f"sleeper-{number}", concurrency=10, annotations=full)
            for number in range(_SLEEPERS)
        ]
        for wish in wishes:
            cluster.apply(wish.manifest(namespace))
        yield (Deployed(cluster, gateway, namespace, wish.name).asleep() for wish in wishes)


@contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[str]:
    name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        cluster.delete(NAMESPACE, None, name)


def _on_a_cluster() -> bool:
    return "KUBECONFIG" in os.environ or "PILOTLIGHT_GATEWAY_URL" in os.environ
