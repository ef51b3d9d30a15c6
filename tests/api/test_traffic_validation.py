"""Rules about traffic, by the text it refuses with."""

from __future__ import annotations

import pytest

from tests.api.builders import (
    Obj,
    refusal,
    route,
    service,
)

DNS1035 = (
    "[a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]"
)


TRAFFIC: dict[str, tuple[list[Obj], str]] = {
    "sum": ([{"percent": 90}], "Traffic targets sum to 90, want 100: spec.traffic"),
    "percent": (
        [{"percent": 101}, {"percent": -1}],
        "expected 0 <= -1 <= 100: spec.traffic[1].percent\n"
        "expected 0 <= 101 <= 100: spec.traffic[0].percent",
    ),
    "tag": (
        [{"percent": 100, "tag": "No_tag"}],
        f"invalid value: not a DNS 1035 label: {DNS1035}: spec.traffic.tag[0]",
    ),
    "equal tags": (
        [{"percent": 50, "tag": "t"}, {"percent": 50, "tag": "t"}],
        'Multiple definitions for "t": spec.traffic[0].tag, spec.traffic[1].tag',
    ),
    "latest and named": (
        [{"percent": 100, "latestRevision": True, "revisionName": "x"}],
        'may not set revisionName "x" when latestRevision is true: spec.traffic[0].latestRevision',
    ),
    "neither": (
        [{"percent": 100, "latestRevision": False}],
        'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
    ),
    "configuration": (
        [{"percent": 100, "configurationName": "hello"}],
        "must not set the field(s): spec.traffic[0].configurationName",
    ),
    "url": (
        [{"percent": 100, "url": "http://x"}],
        "must not set the field(s): spec.traffic[0].url",
    ),
}


@pytest.mark.parametrize(("traffic", "text"), TRAFFIC.values(), ids=TRAFFIC.keys())
def test_traffic_is_refused_with_the_text(traffic: list[Obj], text: str) -> None:
    obj = service()
    obj["spec"]["traffic"] = traffic
    assert refusal(obj) == text


ROUTES: dict[str, tuple[list[Obj], str]] = {
    "nothing": ([], "Traffic targets sum to 0, want 100: spec.traffic"),
    "no target": (
        [{"percent": 100}],
        "expected exactly one, got neither: spec.traffic[0].configurationName, "
        "spec.traffic[0].revisionName",
    ),
    "two targets": (
        [{"percent": 100, "revisionName": "a", "configurationName": "b"}],
        "expected exactly one, got both: spec.traffic[0].configurationName, "
        "spec.traffic[0].revisionName",
    ),
    "name": (
        [{"percent": 100, "revisionName": "/a"}],
        'invalid key name "/a": spec.traffic[0].revisionName\nprefix part must be non-empty',
    ),
}


@pytest.mark.parametrize(("traffic", "text"), ROUTES.values(), ids=ROUTES.keys())
def test_a_route_is_refused_with_the_text(traffic: list[Obj], text: str) -> None:
    assert refusal(route(*traffic)) == text
