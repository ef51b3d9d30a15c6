from __future__ import annotations

from typing import Any

import pytest

from pilotlight.cli.cluster import NotInTimeError, is_ready, pod_line, ready_text, wait_for


def service(generation: int, observed: int, status: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "reason": "Why", "message": "because"}
    return {
        "metadata": {"name": "a", "generation": generation},
        "status": {"observedGeneration": observed, "conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("obj", "ready"),
    [
        pytest.param(service(1, 1, "True"), True, id="ready"),
        pytest.param(service(2, 1, "True"), False, id="of an older generation"),
        pytest.param(service(1, 1, "Unknown"), False, id="unknown"),
        pytest.param({"metadata": {"generation": 1}}, False, id="no status"),
        pytest.param(
            {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}, False, id="bare"
        ),
    ],
)
def test_ready_speaks_of_the_present_generation(obj: dict[str, Any], ready: bool) -> None:
    assert is_ready(obj) is ready


def test_ready_in_words() -> None:
    assert ready_text(service(1, 1, "False")) == "Ready=False Why because"
    assert ready_text({}) == "Ready=None"


@pytest.mark.parametrize(
    ("metadata", "status", "state"),
    [
        ({}, {}, "Pending"),
        ({}, {"phase": "Running"}, "Running"),
        ({}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, "Ready"),
        ({"deletionTimestamp": "now"}, {"phase": "Running"}, "Terminating"),
    ],
    ids=["new", "running", "ready", "ending"],
)
def test_a_pod_in_a_line(metadata: dict[str, Any], status: dict[str, Any], state: str) -> None:
    labels = {"serving.knative.dev/revision": "hello-one"}
    pod = {"metadata": {"name": "p", "labels": labels, **metadata}, "status": status}
    assert pod_line(pod).cells() == ("p", "hello-one", state, "")


async def test_waiting_gives_what_was_found() -> None:
    answers = iter([None, 0, 7])

    async def look() -> int | None:
        return next(answers)

    async def describe() -> str:
        raise AssertionError("nothing to describe")

    assert await wait_for(look, 5.0, describe) == 7


async def test_waiting_in_vain_says_what_was_seen() -> None:
    async def look() -> bool:
        return False

    async def describe() -> str:
        return "three pods"

    with pytest.raises(NotInTimeError, match="not within 0 s; seen last: three pods"):
        await wait_for(look, 0.0, describe)
