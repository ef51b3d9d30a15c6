"""The rules for names in Kubernetes, with the texts that Kubernetes itself answers.

Every rule returns what is wrong, an empty list when nothing is.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL_LENGTH: Final = 63
_SUBDOMAIN_LENGTH: Final = 253
_DNS1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_DNS1123: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_DNS1123}(\.{_DNS1123})*"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_C_IDENTIFIER: Final = "[A-Za-z_][A-Za-z0-9_]*"

_DNS1035_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    f"regex used for validation is '{_DNS1035}')"
)
_DNS1123_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    f"for validation is '{_DNS1123}')"
)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{_SUBDOMAIN}')"
)
_QUALIFIED_RULE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{_QUALIFIED}')"
)
_C_IDENTIFIER_TEXT: Final = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of "
    "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for "
    f"validation is '{_C_IDENTIFIER}')"
)
_EMPTY: Final = "must be non-empty"


def dns1035_label(name: str) -> list[str]:
    """The name of a Service, and of everything that a Service is made from."""
    return _too_long(name, _LABEL_LENGTH) + _unlike(name, _DNS1035, _DNS1035_TEXT)


def dns1035_label_prefix(prefix: str) -> list[str]:
    """A `generateName`: what follows it may make good a dash at its end."""
    if len(prefix) > 1 and prefix.endswith("-"):
        prefix = prefix[:-2] + "a"
    return dns1035_label(prefix)


def dns1123_label(name: str) -> list[str]:
    return _too_long(name, _LABEL_LENGTH) + _unlike(name, _DNS1123, _DNS1123_TEXT)


def dns1123_subdomain(name: str) -> list[str]:
    return _too_long(name, _SUBDOMAIN_LENGTH) + _unlike(name, _SUBDOMAIN, _SUBDOMAIN_TEXT)


def c_identifier(name: str) -> list[str]:
    return _unlike(name, _C_IDENTIFIER, _C_IDENTIFIER_TEXT)


def qualified_name(name: str) -> list[str]:
    """A name that may have a domain and a slash before it, as label keys have."""
    parts = name.split("/")
    if len(parts) > 2:
        return [
            f"a qualified name {_QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    faults = []
    if len(parts) == 2:
        prefix = parts[0]
        found = dns1123_subdomain(prefix) if prefix else [_EMPTY]
        faults += [f"prefix part {fault}" for fault in found]
    last = parts[-1]
    if not last:
        faults.append(f"name part {_EMPTY}")
    else:
        faults += [f"name part {fault}" for fault in _too_long(last, _LABEL_LENGTH)]
    return faults + _unlike(last, _QUALIFIED, f"name part {_QUALIFIED_RULE}")


def fully_qualified_domain_name(name: str, field: str) -> str:
    """What is wrong with a domain, as one text about the field; empty when nothing is."""
    if not name:
        return f"{field}: Required value"
    name = name.removesuffix(".")
    faults = dns1123_subdomain(name)
    if faults:
        faults = [",".join(faults)]
    elif "." not in name:
        faults = ["should be a domain with at least two segments separated by dots"]
    else:
        for label in name.split("."):
            if wrong := dns1123_label(label):
                return f'{field}: Invalid value: "{label}": {",".join(wrong)}'
    return f'{field}: Invalid value: "{name}": {faults[0]}' if faults else ""


def listed(faults: list[str]) -> str:
    """The faults as Go prints a list."""
    return f"[{' '.join(faults)}]"


def _too_long(name: str, length: int) -> list[str]:
    return [f"must be no more than {length} bytes"] if len(name.encode()) > length else []


def _unlike(name: str, pattern: str, text: str) -> list[str]:
    return [] if re.fullmatch(pattern, name) else [text]
