"""Values as Go and Kubernetes spell them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.config.go_values import (
    HOUR,
    MINUTE,
    SECOND,
    ConfigError,
    Keys,
    format_duration,
    parse_bool,
    parse_duration_ns,
    parse_duration_s,
    parse_float,
    parse_int,
    parse_quantity,
    parse_set,
)

DURATIONS = {
    "0": 0,
    "+0": 0,
    "1s": SECOND,
    "-1.5s": -1_500_000_000,
    "1h30m": 90 * MINUTE,
    "1h0m0s": HOUR,
    ".5m": 30 * SECOND,
    "1.m": MINUTE,
    "100ms": 100_000_000,
    "1us": 1_000,
    "1µs": 1_000,
    "3ns": 3,
    "1.5ns": 1,
    "2540400h10m10s": 2540400 * HOUR + 610 * SECOND,
}


@pytest.mark.parametrize(("text", "nanoseconds"), DURATIONS.items())
def test_a_duration_reads(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds
    assert parse_duration_s(text) == nanoseconds / SECOND


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("3", 'time: missing unit in duration "3"'),
        ("1.5", 'time: missing unit in duration "1.5"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1h 5m", 'time: unknown unit "h " in duration "1h 5m"'),
        (".s", 'time: invalid duration ".s"'),
        ("s", 'time: invalid duration "s"'),
        (" 1s", 'time: invalid duration " 1s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
    ],
)
def test_no_duration(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text is compared
        parse_duration_ns(text)
    assert str(raised.value) == fault


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (-MINUTE, "-1m0s"),
        (HOUR, "1h0m0s"),
        (48 * HOUR + 2 * MINUTE + 500_000_000, "48h2m0.5s"),
        (100 * SECOND, "1m40s"),
    ],
)
def test_a_duration_is_printed_as_go_does(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(st.integers(-(2**62), 2**62))
def test_a_printed_duration_reads_as_it_was(nanoseconds: int) -> None:
    assert parse_duration_ns(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_true(text: str) -> None:
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_false(text: str) -> None:
    assert parse_bool(text) is False


NONSENSE: list[tuple[Callable[[str], object], str]] = [
    (parse_bool, "yes"),
    (parse_bool, ""),
    (parse_bool, "tRUE"),
    (parse_int, ""),
    (parse_int, "1.0"),
    (parse_int, "1_000"),
    (parse_int, " 1"),
    (parse_int, "0x1"),
    (parse_int, "9223372036854775808"),
    (parse_float, ""),
    (parse_float, "1,5"),
    (parse_float, "1e"),
    (parse_float, "1e999"),
    (parse_float, "1_0"),
    (parse_quantity, ""),
    (parse_quantity, "1 Gi"),
    (parse_quantity, "1gi"),
    (parse_quantity, "1e"),
    (parse_quantity, "."),
    (parse_quantity, "1Kib"),
]


@pytest.mark.parametrize(("parse", "text"), NONSENSE)
def test_nonsense_does_not_read(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"parsing|quantities"):
        parse(text)


def test_numbers_read() -> None:
    assert parse_int("-12") == -12
    assert parse_int("+12") == 12
    assert parse_float("1e3") == 1000.0
    assert parse_float(".5") == 0.5
    assert parse_float("+Inf") == float("inf")
    assert parse_float("NaN") != parse_float("NaN")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("-1.5", "-1.5"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1k", "1000"),
        ("1E", "1000000000000000000"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("10n", "1e-8"),
        (".5", "0.5"),
    ],
)
def test_a_quantity_reads(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@given(st.text(max_size=12))
def test_any_text_reads_or_is_refused(text: str) -> None:
    for parse in (parse_bool, parse_int, parse_float, parse_duration_ns, parse_quantity):
        try:
            parse(text)
        except ValueError:
            continue


def test_a_set_reads() -> None:
    assert parse_set("") == frozenset()
    assert parse_set("a, b,,a") == {"a", "b"}


def test_the_first_spelling_wins() -> None:
    keys = Keys({"new-key": "1", "oldKey": "2"})
    assert keys.integer(0, "new-key", "oldKey") == 1
    assert keys.integer(0, "absent", "oldKey") == 2
    assert keys.integer(7, "absent") == 7


def test_an_error_names_the_key_and_the_value() -> None:
    with pytest.raises(ConfigError) as raised:
        Keys({"oldKey": "x"}).integer(0, "new-key", "oldKey")
    assert (raised.value.key, raised.value.value) == ("oldKey", "x")
    assert str(raised.value) == (
        'failed to parse "oldKey": strconv.ParseInt: parsing "x": invalid syntax'
    )
