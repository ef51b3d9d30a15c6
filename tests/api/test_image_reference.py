"""Which texts name an image."""

from __future__ import annotations

import pytest

from pilotlight.api.image_reference import is_image_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "nginx",
        "nginx:1.27",
        "library/nginx",
        "ghcr.io/owner/name:tag",
        "localhost:5000/name",
        "localhost/name",
        "registry:5000/name",
        "10.0.0.1:5000/name:v1",
        "[::1]:5000/name",
        f"nginx@{DIGEST}",
        f"ghcr.io/owner/name:tag@{DIGEST}",
        "a/b__c-d.e",
        "name:" + "t" * 128,
    ],
)
def test_an_image(text: str) -> None:
    assert is_image_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "foo:bar:baz",
        "Name",
        "name:",
        "name:t g",
        "name:" + "t" * 129,
        "name@sha256:abc",
        f"name@{DIGEST}0",
        f"@{DIGEST}",
        "reg istry.io/name",
        "registry.io/",
        "name name",
        "na\nme",
    ],
)
def test_no_image(text: str) -> None:
    assert not is_image_reference(text)
