"""Sizes of ReplicaSets during a rollout."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.controllers.rollout import (
    HASH_LABEL,
    Limits,
    SetSize,
    absolute,
    forgotten,
    limits,
    recreate_sizes,
    replica_set_of,
    rolling_sizes,
    split,
    template_hash,
)


@pytest.mark.parametrize(
    ("value", "of", "up", "expected"),
    [
        pytest.param(3, 10, True, 3, id="number"),
        pytest.param("25%", 10, True, 3, id="up"),
        pytest.param("25%", 10, False, 2, id="down"),
        pytest.param("0%", 10, True, 0, id="nothing"),
        pytest.param("100%", 7, False, 7, id="all"),
        pytest.param("25%", 1, False, 0, id="one"),
    ],
)
def test_absolute(value: int | str, of: int, up: bool, expected: int) -> None:
    assert absolute(value, of, up=up) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"replicas": 4}, Limits(4, 1, 1), id="defaults"),
        pytest.param(
            {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            Limits(3, 0, 1),
            id="no room at all",
        ),
        pytest.param(
            {"replicas": 1, "strategy": {"rollingUpdate": {"maxUnavailable": 0}}},
            Limits(1, 1, 0),
            id="as for revisions",
        ),
        pytest.param(
            {"replicas": 2, "strategy": {"rollingUpdate": {"maxUnavailable": 5}}},
            Limits(2, 1, 2),
            id="not more than there are",
        ),
        pytest.param({"replicas": 0}, Limits(0, 0, 0), id="none"),
    ],
)
def test_limits(spec: dict[str, object], expected: Limits) -> None:
    assert limits(spec) == expected


def new(replicas: int, available: int) -> SetSize:
    return SetSize("new", replicas, replicas, available)


def old(replicas: int, available: int, name: str = "old") -> SetSize:
    return SetSize(name, replicas, replicas, available)


@pytest.mark.parametrize(
    ("room", "new_set", "old_sets", "expected"),
    [
        pytest.param(Limits(3, 1, 0), new(0, 0), [], {"new": 3}, id="first"),
        pytest.param(Limits(3, 1, 0), new(3, 3), [], {}, id="nothing to do"),
        pytest.param(Limits(5, 1, 0), new(3, 3), [], {"new": 5}, id="scale up"),
        pytest.param(Limits(0, 0, 0), new(3, 3), [], {"new": 0}, id="to zero"),
        pytest.param(Limits(3, 1, 0), new(0, 0), [old(3, 3)], {"new": 1}, id="surge first"),
        pytest.param(Limits(3, 1, 0), new(1, 0), [old(3, 3)], {}, id="wait for the new"),
        pytest.param(Limits(3, 1, 0), new(1, 1), [old(3, 3)], {"old": 2}, id="then one of the old"),
        pytest.param(
            Limits(3, 1, 0), new(1, 1), [old(2, 2)], {"new": 2}, id="and the next of the new"
        ),
        pytest.param(Limits(3, 0, 1), new(0, 0), [old(3, 3)], {"old": 2}, id="no surge: old first"),
        pytest.param(
            Limits(3, 1, 1), new(0, 0), [old(3, 0)], {"new": 1, "old": 2}, id="old serve nobody"
        ),
        pytest.param(
            Limits(0, 0, 0), new(1, 0), [old(2, 1)], {"new": 0, "old": 0}, id="to zero amid it"
        ),
        pytest.param(
            Limits(2, 1, 0),
            new(2, 2),
            [old(1, 1, "a"), old(1, 1, "b")],
            {"a": 0, "b": 0},
            id="several old ones",
        ),
    ],
)
def test_rolling_sizes(
    room: Limits, new_set: SetSize, old_sets: list[SetSize], expected: dict[str, int]
) -> None:
    assert rolling_sizes(room, new_set, old_sets) == expected


@dataclass
class World:
    """ReplicaSets with pods that become available one by one, as a cluster would have them."""

    room: Limits
    sets: dict[str, int]  # asked for
    available: dict[str, int] = field(default_factory=dict)

    def sizes(self, name: str) -> SetSize:
        return SetSize(name, self.sets[name], self.sets[name], self.available.get(name, 0))

    def step(self) -> None:
        older = [self.sizes(name) for name in sorted(self.sets) if name != "new"]
        for name, size in rolling_sizes(self.room, self.sizes("new"), older).items():
            self.sets[name] = size
            self.available[name] = min(self.available.get(name, 0), size)  # unready go first

    def total_available(self) -> int:
        return sum(self.available.values())


@given(
    replicas=st.integers(0, 12),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
    olds=st.lists(st.integers(0, 12), max_size=3),
    seed=st.randoms(use_true_random=False),
)
def test_rolling_update_keeps_its_limits_and_arrives(
    replicas: int, surge: int, unavailable: int, olds: list[int], seed: random.Random
) -> None:
    if not surge and not unavailable:
        unavailable = 1
    room = Limits(replicas, surge, min(unavailable, replicas))
    names = [f"old-{number}" for number in range(len(olds))]
    world = World(room, {"new": 0, **dict(zip(names, olds, strict=True))})
    world.available = {name: seed.randint(0, world.sets[name]) for name in names}
    for _ in range(400):
        total, available = sum(world.sets.values()), world.total_available()
        world.step()
        assert sum(world.sets.values()) <= max(total, room.most)
        assert world.total_available() >= min(available, room.least_available)
        late = [name for name in world.sets if world.available.get(name, 0) < world.sets[name]]
        if late:
            name = seed.choice(late)
            world.available[name] = world.available.get(name, 0) + 1
        elif world.sets["new"] == replicas and not any(world.sets[name] for name in names):
            return
    raise AssertionError(f"the rollout does not end: {world}")


def test_recreate_ends_the_old_first() -> None:
    room = Limits(2, 1, 1)
    assert recreate_sizes(room, new(0, 0), [old(2, 2)]) == {"old": 0}
    assert recreate_sizes(room, new(0, 0), [SetSize("old", 0, 1, 0)]) == {}
    assert recreate_sizes(room, new(0, 0), [old(0, 0)]) == {"new": 2}
    assert recreate_sizes(room, new(2, 0), [old(0, 0)]) == {}


def deployment(image: str = "a", **spec: object) -> dict[str, object]:
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n", "uid": "u", "annotations": {"note": "1"}},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def stored(made: dict[str, object], created: str, **status: int) -> dict[str, object]:
    metadata = {**made["metadata"], "creationTimestamp": created}  # type: ignore[dict-item]
    return {**made, "metadata": metadata, "status": status}


def test_a_template_finds_its_replica_set_again() -> None:
    first = stored(replica_set_of(deployment(), [], 1, {}), "2026-01-01T00:00:00Z")
    second = stored(replica_set_of(deployment("b"), [first], 1, {}), "2026-01-01T00:00:01Z")
    assert split(deployment("b"), [first, second]) == (second, [first])
    assert split(deployment(), [first, second]) == (first, [second])
    assert split(deployment("c"), [first, second]) == (None, [first, second])


def test_replica_set_is_named_and_labelled_by_the_template() -> None:
    made = replica_set_of(deployment(), [], 3, {"uid": "u"})
    word = template_hash(deployment()["spec"]["template"])  # type: ignore[index]
    assert made["metadata"]["name"] == f"d-{word}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "x", HASH_LABEL: word}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "x", HASH_LABEL: word}
    assert made["metadata"]["annotations"] == {
        "note": "1",
        "deployment.kubernetes.io/revision": "1",
    }


@pytest.mark.parametrize(("limit", "expected"), [(0, ["1", "2"]), (1, ["1"]), (2, []), (None, [])])
def test_history_is_bounded(limit: int | None, expected: list[str]) -> None:
    sets = [
        {
            "metadata": {
                "name": name,
                "generation": 1,
                "annotations": {"deployment.kubernetes.io/revision": name},
            },
            "spec": {"replicas": size},
            "status": {"replicas": size, "observedGeneration": 1},
        }
        for name, size in (("2", 0), ("1", 0), ("3", 1))
    ]
    spec = {} if limit is None else {"revisionHistoryLimit": limit}
    assert forgotten({"spec": spec}, sets) == expected
