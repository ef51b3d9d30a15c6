"""Applying the manifests once more resets nothing of what the operator has filled in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight import names
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import MUTATING_WEBHOOKS, SECRETS, SERVICES, VALIDATING_WEBHOOKS
from pilotlight_local.install import resource_of
from pilotlight_local.kustomize import build
from tests.operator.conftest import ROOT, Bench, empty_bench
from tests.operator.test_process import hello

Object = dict[str, Any]

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(120)]
BASE = ROOT / "manifests" / "base"


@pytest.fixture(name="empty")
async def empty_fixture(tmp_path: Path) -> AsyncIterator[Bench]:
    async with empty_bench(tmp_path) as made:
        yield made


async def kubectl(bench: Bench, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        *arguments,
        env={
            **os.environ,
            "KUBECONFIG": str(bench.kubeconfig),
            "HOME": str(bench.kubeconfig.parent),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def installed(bench: Bench) -> dict[tuple[str, ...], Object]:
    """The objects of the manifests as they are stored."""
    found: dict[tuple[str, ...], Object] = {}
    for obj in build(BASE):
        metadata = obj["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        stored = bench.cluster.get(resource_of(bench.cluster, obj), *key)
        assert stored is not None, key
        found[obj["kind"], *key] = stored
    return found


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client", "server"])
async def test_applying_again_changes_nothing(empty: Bench, options: tuple[str, ...]) -> None:
    apply = ("apply", *options, "--kustomize", str(BASE))
    said = await kubectl(empty, *apply)
    assert "unchanged" not in said
    await empty.connect()
    await empty.start_operator()
    before = installed(empty)
    for name in (names.WEBHOOK_CERTS_SECRET, names.KEYS_SECRET):
        assert before[SECRETS.kind, names.SYSTEM_NAMESPACE, name]["data"]
    for kind, name in (
        (MUTATING_WEBHOOKS.kind, names.DEFAULTING_WEBHOOK),
        (VALIDATING_WEBHOOKS.kind, names.VALIDATION_WEBHOOK),
    ):
        (webhook,) = before[kind, "", name]["webhooks"]
        assert webhook["rules"]
        assert webhook["clientConfig"]["caBundle"]

    said = await kubectl(empty, *apply)
    done = "serverside-applied" if options else "unchanged"
    assert [line for line in said.splitlines() if not line.endswith(f" {done}")] == []
    assert await kubectl(empty, "diff", *options, "--kustomize", str(BASE)) == ""
    assert installed(empty) == before
    with pytest.raises(ApiError, match="Traffic targets sum to 50"):
        await empty.client.create(
            SERVICES, hello(traffic=[{"percent": 50, "latestRevision": True}])
        )
