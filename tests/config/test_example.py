"""The example in a ConfigMap is not for editing."""

from __future__ import annotations

import pytest

from pilotlight.config.example import CHECKSUM_ANNOTATION, example_checksum, example_fault


@pytest.mark.parametrize(
    ("text", "checksum"),
    [("", "00000000"), ("1", "83dcefb7"), ("\n 1 \r\n", "83dcefb7")],
)
def test_a_checksum(text: str, checksum: str) -> None:
    assert example_checksum(text) == checksum


def test_runs_of_line_ends_count_as_one() -> None:
    assert example_checksum("a\n\n\nb") == example_checksum("a\r\nb")
    assert example_checksum("a\nb") == example_checksum("a\\nb")
    assert example_checksum("a b") != example_checksum("a\nb")


def test_an_edited_example_is_told() -> None:
    annotations = {CHECKSUM_ANNOTATION: example_checksum("max-scale: 1")}
    assert example_fault({"_example": "max-scale: 1\n"}, annotations) is None
    fault = example_fault({"_example": "max-scale: 2"}, annotations)
    assert fault is not None
    assert "copy the respective setting to the top-level" in fault


def test_without_a_checksum_anything_goes() -> None:
    assert example_fault({"_example": "x"}, {}) is None
    assert example_fault({}, {CHECKSUM_ANNOTATION: "00000000"}) is None
