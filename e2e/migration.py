"""The way from Knative and back: the commands of `docs/migration.md`, read from there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from e2e.harness import (
    CORE_SERVICE,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    MUTATING_WEBHOOK,
    SYSTEM,
    VALIDATING_WEBHOOK,
    Cluster,
    Kind,
    Object,
)

PAGE: Final = Path(__file__).parents[1] / "docs" / "migration.md"
COMPONENTS: Final = ("operator", "autoscaler", "activator")
_NAMED_AS_KNATIVES: Final = ("activator-service", "webhook")
_WEBHOOKS: Final = (
    (MUTATING_WEBHOOK, "webhook.serving.knative.dev"),
    (VALIDATING_WEBHOOK, "validation.webhook.serving.knative.dev"),
)
_OF_THE_SERVER: Final = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def steps(chapter: str) -> dict[str, list[list[str]]]:
    """The commands of a chapter by the number of their section, divided into words."""
    text = PAGE.read_text().partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    found: dict[str, list[list[str]]] = {}
    for section in text.split("\n### ")[1:]:
        blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        found[section.partition(".")[0]] = [shlex.split(line.removeprefix("$ ")) for line in lines]
    return found


def installed(cluster: Cluster) -> list[Object]:
    """What has to be applied to have Pilotlight's components back: as it was applied."""
    found = [_found(cluster, DEPLOYMENT, SYSTEM, name) for name in COMPONENTS]
    found += [_found(cluster, CORE_SERVICE, SYSTEM, name) for name in _NAMED_AS_KNATIVES]
    found += cluster.list(DISRUPTION_BUDGET, SYSTEM)
    found += [_found(cluster, kind, None, name) for kind, name in _WEBHOOKS]
    return [_as_applied(obj) for obj in found]


def _found(cluster: Cluster, kind: Kind, namespace: str | None, name: str) -> Object:
    obj = cluster.get(kind, namespace, name)
    assert obj is not None, f"{kind[1]} {name} is not there"
    return obj


def _as_applied(obj: Object) -> Object:
    """Without what the API server and the operator have filled in."""
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in obj["metadata"].items() if key in kept}
    applied = {**obj, "metadata": metadata}
    applied.pop("status", None)
    if obj["kind"] == "Service":
        spec = {key: value for key, value in obj["spec"].items() if key not in _OF_THE_SERVER}
        applied["spec"] = spec
    if "webhooks" in obj:
        applied["webhooks"] = [_unregistered(webhook) for webhook in obj["webhooks"]]
    return applied


def _unregistered(webhook: Object) -> Object:
    service = webhook["clientConfig"]["service"]
    unregistered = {key: value for key, value in webhook.items() if key != "rules"}
    return {**unregistered, "clientConfig": {"service": service}}
