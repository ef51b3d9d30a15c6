"""How complaints are put together and told."""

from __future__ import annotations

import pytest

from pilotlight.api.field_errors import (
    FieldError,
    FieldErrors,
    Level,
    disallowed,
    generic,
    invalid,
    invalid_key,
    map_key,
    missing,
    missing_one_of,
    multiple_one_of,
    out_of_bounds,
    quote,
)

TEXTS = {
    "missing": (missing("a", "b"), "missing field(s): a, b"),
    "disallowed": (disallowed("a"), "must not set the field(s): a"),
    "invalid": (invalid("x", "a"), "invalid value: x: a"),
    "invalid with details": (invalid(5, "a", "b", "c"), "invalid value: 5: a\nb, c"),
    "neither": (missing_one_of("a", "b"), "expected exactly one, got neither: a, b"),
    "both": (multiple_one_of("a", "b"), "expected exactly one, got both: a, b"),
    "key": (invalid_key('k"', "a"), 'invalid key name "k\\"": a'),
    "bounds": (out_of_bounds(7.5, 0.1, 5.0, "a"), "expected 0.1 <= 7.5 <= 5: a"),
    "switch": (invalid(True, "a"), "invalid value: true: a"),
    "no path": (generic("oh"), "oh: "),
}


@pytest.mark.parametrize(("error", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_a_complaint_reads(error: FieldError, text: str) -> None:
    assert FieldErrors([error]).render() == text


@pytest.mark.parametrize(
    ("prefix", "path", "wanted"),
    [
        (("a", "b"), "c", "a.b.c"),
        (("a", 0), "c", "a[0].c"),
        (("a", 0, 1), "c", "a[0][1].c"),
        (("a",), "", "a"),
        ((0,), "c", "[0].c"),
        (("a", map_key("plain")), "", "a[plain]"),
        (("a", map_key("has.a.dot")), "", "a.[has.a.dot]"),
    ],
)
def test_a_path_is_joined(prefix: tuple[str | int, ...], path: str, wanted: str) -> None:
    assert FieldErrors([missing(path)]).via(*prefix).render() == f"missing field(s): {wanted}"


def test_a_complaint_without_a_path_gets_none() -> None:
    assert FieldErrors([generic("oh")]).via("a", 0).render() == "oh: "


def test_equal_complaints_are_one() -> None:
    errors = FieldErrors(
        [missing("b"), invalid("x", "z"), missing("a", "b"), invalid("x", "y", "?")]
    )
    assert errors.render() == (
        "invalid value: x: z\ninvalid value: x: y\n?\nmissing field(s): a, b"
    )


def test_warnings_are_told_apart() -> None:
    errors = FieldErrors([missing("a")]).add(FieldErrors([missing("b")]).at(Level.WARNING))
    assert errors.render() == "missing field(s): a"
    assert errors.warnings == ["missing field(s): b"]
    assert len(errors.errors) == 1
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a", '"a"'),
        ('"\\', '"\\"\\\\"'),
        ("\n\t\r", '"\\n\\t\\r"'),
        ("\x01", '"\\x01"'),
        ("ü", '"ü"'),
    ],
)
def test_quoting_as_go_does(text: str, wanted: str) -> None:
    assert quote(text) == wanted
