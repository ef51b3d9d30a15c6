"""The fingerprint of an Ingress."""

from __future__ import annotations

import copy

from pilotlight.api.ingress_hash import ingress_hash
from tests.api.builders import ingress, split


def test_it_is_always_the_same() -> None:
    assert ingress_hash(ingress(split(100))) == (
        "42b731e2ad19bfd65312de1f76940451c5f1614262355a0d5921a72251bc4996"
    )


def test_what_does_not_matter() -> None:
    plain = ingress(split(100))
    other = copy.deepcopy(plain)
    other["spec"] = dict(reversed(other["spec"].items()))
    other["metadata"] |= {"labels": {"a": "b"}, "generation": 7, "annotations": {"c": "d"}}
    other["status"] = {"observedGeneration": 7}
    assert ingress_hash(other) == ingress_hash(plain)


def test_what_matters() -> None:
    plain = ingress(split(100))
    seen = {ingress_hash(plain)}
    for change in ({"name": "other"}, {"namespace": "other"}):
        seen.add(ingress_hash({**plain, "metadata": {**plain["metadata"], **change}}))
    seen.add(ingress_hash(ingress(split(99))))
    seen.add(ingress_hash({}))
    assert len(seen) == 5
