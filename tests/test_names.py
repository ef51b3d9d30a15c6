from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight import names


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("parent", "suffix", "expected"),
    [
        pytest.param("hello", "-deployment", "hello-deployment", id="short"),
        pytest.param("a" * 52, "-deployment", "a" * 52 + "-deployment", id="exactly 63"),
        pytest.param(
            "a" * 63,
            "-deployment",
            "a" * 20 + md5("a" * 63) + "-deployment",
            id="too long: head, hash of the parent, suffix",
        ),
        pytest.param(
            "b",
            "-" + "c" * 70,
            "b" + md5("b-" + "c" * 70) + "-" + "c" * 29,
            id="a long suffix: hash of both, filled up",
        ),
    ],
)
def test_child_names(parent: str, suffix: str, expected: str) -> None:
    assert names.child_name(parent, suffix) == expected


@given(
    st.from_regex(r"[a-z]([a-z0-9-]{0,80}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"-[a-z0-9]{1,60}", fullmatch=True),
)
def test_child_names_fit_a_label_and_are_stable(parent: str, suffix: str) -> None:
    name = names.child_name(parent, suffix)
    assert len(name) <= 63
    assert name[-1].isalnum()
    assert name == names.child_name(parent, suffix)


def test_revision_names_carry_the_generation() -> None:
    assert names.revision_name("hello", 7) == "hello-00007"
    assert names.revision_name("hello", 123456) == "hello-123456"
