"""Leases, as leader election writes them: what conflicts, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.apiserver.harness import Object, Running

PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
SPEC: Object = {
    "holderIdentity": "one",
    "leaseDurationSeconds": 15,
    "acquireTime": "2026-01-01T00:00:00.000000Z",
    "renewTime": "2026-01-01T00:00:00.120000Z",
    "leaseTransitions": 0,
}


def lease(version: str | None = None, **spec: Any) -> Object:
    metadata = {"name": "operator", "namespace": "default"}
    if version is not None:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {**SPEC, **spec},
    }


async def test_of_two_that_write_the_same_version_one_succeeds(running: Running) -> None:
    made = await running.call("POST", PATH, lease(), 201)
    assert made["spec"] == SPEC
    again = await running.call("POST", PATH, lease(), 409)
    assert again["reason"] == "AlreadyExists"
    version = made["metadata"]["resourceVersion"]
    url = f"{PATH}/operator"
    taken = await running.call("PUT", url, lease(version, holderIdentity="two"), 200)
    assert taken["spec"]["holderIdentity"] == "two"
    refused = await running.call("PUT", url, lease(version, holderIdentity="three"), 409)
    assert refused["reason"] == "Conflict"
    assert (await running.call("GET", url))["spec"]["holderIdentity"] == "two"


async def test_an_empty_holder_is_kept(running: Running) -> None:
    made = await running.call("POST", PATH, lease(), 201)
    released = lease(made["metadata"]["resourceVersion"], holderIdentity="")
    answer = await running.call("PUT", f"{PATH}/operator", released, 200)
    assert answer["spec"]["holderIdentity"] == ""


async def test_an_update_makes_what_is_not_there_and_needs_a_version_else(
    running: Running,
) -> None:
    url = f"{PATH}/operator"
    await running.call("PUT", url, lease("5"), 201)
    refused = await running.call("PUT", url, lease(), 422)
    assert refused["message"] == (
        'leases.coordination.k8s.io "operator" is invalid: metadata.resourceVersion: Invalid value:'
        " 0: must be specified for an update"
    )


@pytest.mark.parametrize(
    ("spec", "status", "text"),
    [
        pytest.param(
            {"leaseDurationSeconds": 0},
            422,
            'Lease.coordination.k8s.io "operator" is invalid: spec.leaseDurationSeconds: Invalid'
            " value: 0: must be greater than 0",
            id="duration",
        ),
        pytest.param(
            {"leaseTransitions": -1},
            422,
            'Lease.coordination.k8s.io "operator" is invalid: spec.leaseTransitions: Invalid value:'
            " -1: must be greater than or equal to 0",
            id="transitions",
        ),
        pytest.param(
            {"renewTime": "yesterday"},
            400,
            'Lease in version "v1" cannot be handled as a Lease: parsing time "yesterday" as'
            ' "2006-01-02T15:04:05.000000Z07:00": cannot parse "yesterday" as "2006"',
            id="no time",
        ),
        pytest.param(
            {"renewTime": "2026-01-01T00:00:00Z"},
            400,
            'Lease in version "v1" cannot be handled as a Lease: parsing time'
            ' "2026-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as'
            ' ".000000"',
            id="no fraction",
        ),
        pytest.param(
            {"renewTime": "2026-01-01T00:00:00.123456789Z"},
            400,
            'Lease in version "v1" cannot be handled as a Lease: parsing time'
            ' "2026-01-01T00:00:00.123456789Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
            ' "789Z" as "Z07:00"',
            id="nanoseconds",
        ),
        pytest.param(
            {"leaseDurationSeconds": 1.5},
            400,
            'Lease in version "v1" cannot be handled as a Lease: json: cannot unmarshal number 1.5'
            " into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32",
            id="part of a second",
        ),
    ],
)
async def test_what_is_refused(running: Running, spec: Object, status: int, text: str) -> None:
    assert (await running.call("POST", PATH, lease(**spec), status))["message"] == text


async def test_times_are_told_in_utc(running: Running) -> None:
    made = await running.call("POST", PATH, lease(renewTime="2026-01-01T02:00:00.123456+02:00"))
    assert made["spec"]["renewTime"] == "2026-01-01T00:00:00.123456Z"
