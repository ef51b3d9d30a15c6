"""How a Deployment gets from one template to the next (pure).

The sizes of ReplicaSets follow the rules of Kubernetes' rolling update: never more pods than
`replicas + maxSurge`, never fewer available ones than `replicas - maxUnavailable` by our doing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotlight_local.controllers.objects import Object, parse_time

HASH_LABEL: Final = "pod-template-hash"
REVISION_ANNOTATION: Final = "deployment.kubernetes.io/revision"
_NOT_COPIED: Final = frozenset(
    {REVISION_ANNOTATION, "kubectl.kubernetes.io/last-applied-configuration"}
)
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH: Final = 10
_DEFAULT_HISTORY: Final = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """A Deployment's target and the room of its rolling update, in pods."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - self.unavailable


@dataclass(frozen=True, slots=True)
class SetSize:
    """A ReplicaSet: the size it was told, the pods it has, and how many of them are available."""

    name: str
    replicas: int
    pods: int
    available: int

    @classmethod
    def of(cls, replica_set: Object) -> SetSize:
        status = replica_set.get("status") or {}
        replicas = replica_set["spec"].get("replicas", 1)
        available = min(status.get("availableReplicas") or 0, replicas)
        return cls(
            replica_set["metadata"]["name"], replicas, status.get("replicas") or 0, available
        )


def absolute(value: int | str, of: int, *, up: bool) -> int:
    """A number of pods that is given as a number or as a percentage."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * of / 100
    return math.ceil(share) if up else math.floor(share)


def limits(spec: Object) -> Limits:
    """The limits of a Deployment's spec; if both kinds of room are nil, one pod may be missing."""
    replicas = spec.get("replicas", 1)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = absolute(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = absolute(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if not surge and not unavailable:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def rolling_sizes(room: Limits, new: SetSize, old: Sequence[SetSize]) -> dict[str, int]:
    """The sizes that differ from what they are, by name; `old` from the oldest on."""
    sizes = {s.name: s.replicas for s in old}
    total_old = sum(sizes.values())
    new_size = room.replicas
    if new.replicas < room.replicas:
        free = max(room.most - new.replicas - total_old, 0)
        new_size = min(room.replicas, new.replicas + free)
    available_new = min(new.available, new_size)
    unavailable_new = new_size - available_new
    budget = new_size + total_old - room.least_available - unavailable_new
    budget = _drop_unavailable(sizes, old, budget)
    if budget > 0:
        spare = available_new + sum(min(s.available, sizes[s.name]) for s in old)
        _drop(sizes, old, min(budget, spare - room.least_available))
    before = {s.name: s.replicas for s in (new, *old)}
    wanted = {**sizes, new.name: new_size}
    return {name: size for name, size in wanted.items() if size != before[name]}


def _drop_unavailable(sizes: dict[str, int], old: Sequence[SetSize], budget: int) -> int:
    """Old pods that serve nobody go first. Returns what is left of the budget."""
    for s in old:
        dropped = min(max(budget, 0), sizes[s.name] - s.available)
        sizes[s.name] -= dropped
        budget -= dropped
    return budget


def _drop(sizes: dict[str, int], old: Sequence[SetSize], count: int) -> None:
    for s in old:
        dropped = min(max(count, 0), sizes[s.name])
        sizes[s.name] -= dropped
        count -= dropped


def recreate_sizes(room: Limits, new: SetSize, old: Sequence[SetSize]) -> dict[str, int]:
    """All old pods end before the first new one begins."""
    changed = {s.name: 0 for s in old if s.replicas}
    if not changed and not any(s.pods for s in old) and new.replicas != room.replicas:
        changed[new.name] = room.replicas
    return changed


def template_hash(template: Object) -> str:
    """A short word that stands for a pod template, in letters that spell nothing."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    word = ""
    for _ in range(_HASH_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        word += _ALPHABET[index]
    return word


def revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION, "0")
    return int(text) if text.isdecimal() else 0


def by_age(replica_sets: Sequence[Object]) -> list[Object]:
    """The oldest first."""
    return sorted(
        replica_sets,
        key=lambda s: (parse_time(s["metadata"]["creationTimestamp"]), s["metadata"]["name"]),
    )


def split(deployment: Object, owned: Sequence[Object]) -> tuple[Object | None, list[Object]]:
    """The ReplicaSet of the Deployment's template, if it is there, and the others by age."""
    word = template_hash(deployment["spec"]["template"])
    new = None
    for candidate in by_age(owned):
        if (candidate["metadata"].get("labels") or {}).get(HASH_LABEL) == word:
            new = candidate
            break
    return new, [s for s in by_age(owned) if s is not new]


def replica_set_of(
    deployment: Object, owned: Sequence[Object], size: int, reference: dict[str, Any]
) -> dict[str, Any]:
    """The ReplicaSet that a Deployment's template asks for."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    template = spec["template"]
    word = template_hash(template)
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: word}
    selector = spec["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{word}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": copied_annotations(deployment)
            | {REVISION_ANNOTATION: str(next_revision(owned))},
            "ownerReferences": [reference],
        },
        "spec": {
            "replicas": size,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": {
                **selector,
                "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: word},
            },
            "template": {
                **template,
                "metadata": {**(template.get("metadata") or {}), "labels": labels},
            },
        },
    }


def copied_annotations(deployment: Object) -> dict[str, str]:
    annotations: Mapping[str, str] = deployment["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in _NOT_COPIED}


def next_revision(owned: Sequence[Object]) -> int:
    return max((revision(s) for s in owned), default=0) + 1


def forgotten(deployment: Object, old: Sequence[Object]) -> list[str]:
    """The names of old ReplicaSets without pods that are beyond the history's limit."""
    limit = deployment["spec"].get("revisionHistoryLimit", _DEFAULT_HISTORY)
    empty = [
        s
        for s in old
        if not s["spec"].get("replicas")
        and not (s.get("status") or {}).get("replicas")
        and (s.get("status") or {}).get("observedGeneration", 0)
        >= s["metadata"].get("generation", 0)
        and not s["metadata"].get("deletionTimestamp")
    ]
    excess = max(len(empty) - limit, 0)
    return [s["metadata"]["name"] for s in sorted(empty, key=revision)[:excess]]
