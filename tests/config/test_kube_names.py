"""The rules for names, with Kubernetes' own texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pilotlight.config.kube_names import (
    c_identifier,
    dns1035_label,
    dns1035_label_prefix,
    dns1123_label,
    dns1123_subdomain,
    fully_qualified_domain_name,
    listed,
    qualified_name,
)

Rule = Callable[[str], list[str]]
LONG = ["must be no more than 63 bytes"]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (dns1035_label, "a"),
        (dns1035_label, "a-1" + "b" * 60),
        (dns1035_label_prefix, "hello-"),
        (dns1123_label, "1a"),
        (dns1123_subdomain, "a.b-c.1"),
        (qualified_name, "a"),
        (qualified_name, "example.com/My_Name.1"),
        (c_identifier, "_Kind1"),
    ],
)
def test_a_good_name(rule: Rule, name: str) -> None:
    assert rule(name) == []


@pytest.mark.parametrize(
    ("rule", "name", "start"),
    [
        (dns1035_label, "", "a DNS-1035 label must"),
        (dns1035_label, "1a", "a DNS-1035 label must"),
        (dns1035_label, "a-", "a DNS-1035 label must"),
        (dns1035_label, "a\n", "a DNS-1035 label must"),
        (dns1035_label_prefix, "-", "a DNS-1035 label must"),
        (dns1123_label, "A", "a lowercase RFC 1123 label must"),
        (dns1123_subdomain, "a..b", "a lowercase RFC 1123 subdomain must"),
        (qualified_name, "a/b/c", "a qualified name must"),
        (qualified_name, "A_B/c", "prefix part a lowercase RFC 1123 subdomain must"),
        (qualified_name, "-", "name part must consist of"),
        (c_identifier, "1", "a valid C identifier must"),
    ],
)
def test_a_bad_name(rule: Rule, name: str, start: str) -> None:
    [fault] = rule(name)
    assert fault.startswith(start)


def test_names_that_are_too_long() -> None:
    assert dns1035_label("a" * 64) == LONG
    assert dns1123_label("a" * 64) == LONG
    assert dns1123_subdomain("a" * 254) == ["must be no more than 253 bytes"]
    assert qualified_name("a" * 64) == ["name part must be no more than 63 bytes"]


def test_empty_parts_of_a_qualified_name() -> None:
    assert qualified_name("/a") == ["prefix part must be non-empty"]
    assert qualified_name("a/")[0] == "name part must be non-empty"


def test_domains() -> None:
    assert fully_qualified_domain_name("a.example.com", "name") == ""
    assert fully_qualified_domain_name("a.example.com.", "name") == ""
    assert fully_qualified_domain_name("", "name") == "name: Required value"
    assert fully_qualified_domain_name("A.com", "name").startswith(
        'name: Invalid value: "A.com": a lowercase RFC 1123 subdomain'
    )
    label = "a" * 64
    assert fully_qualified_domain_name(f"{label}.com", "name") == (
        f'name: Invalid value: "{label}": must be no more than 63 bytes'
    )


def test_lists_are_printed_as_go_does() -> None:
    assert listed(["a b", "c"]) == "[a b c]"
