"""Rules of metadata that hold for every kind: names, labels, annotations, owners."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pilotlight_local.apiserver.errors import Cause, forbidden_field, invalid_value, required
from pilotlight_local.apiserver.kinds import ServedKind
from pilotlight_local.apiserver.values import Object

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE: Final = rf"({_QUALIFIED})?"

_WORDS: Final = {
    _LABEL: (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
        " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
        f" used for validation is '{_LABEL}')"
    ),
    _SUBDOMAIN: (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
        " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex"
        f" used for validation is '{_SUBDOMAIN}')"
    ),
    _LABEL_1035: (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
        " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or"
        f" 'abc-123', regex used for validation is '{_LABEL_1035}')"
    ),
    _QUALIFIED: (
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and"
        " end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex"
        f" used for validation is '{_QUALIFIED}')"
    ),
    _LABEL_VALUE: (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
        " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or"
        f" 'my_value',  or '12345', regex used for validation is '{_LABEL_VALUE}')"
    ),
}
_COMPILED: Final = {pattern: re.compile(rf"(?:{pattern})\Z") for pattern in _WORDS}

_ANNOTATIONS_LIMIT: Final = 256 * 1024


def bad_pattern(text: str, pattern: str, limit: int) -> list[str]:
    """What is wrong with a name, in the words of Kubernetes."""
    found = []
    if len(text) > limit:
        found.append(f"must be no more than {limit} bytes")
    if not _COMPILED[pattern].match(text):
        found.append(_WORDS[pattern])
    return found


def bad_label_name(text: str) -> list[str]:
    """RFC 1123 label."""
    return bad_pattern(text, _LABEL, 63)


def bad_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain."""
    return bad_pattern(text, _SUBDOMAIN, 253)


def bad_service_name(text: str) -> list[str]:
    """RFC 1035 label."""
    return bad_pattern(text, _LABEL_1035, 63)


def bad_path_segment(text: str) -> list[str]:
    """What RBAC objects may be called: nearly everything."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in text]


_NAME_RULES: Final[dict[tuple[str, str], Callable[[str], list[str]]]] = {
    ("", "namespaces"): bad_label_name,
    ("", "services"): bad_service_name,
}


def _name_rule(kind: ServedKind) -> Callable[[str], list[str]]:
    if kind.group == "rbac.authorization.k8s.io":
        return bad_path_segment
    return _NAME_RULES.get(kind.resource, bad_subdomain)


def validate_metadata(obj: Object, kind: ServedKind) -> list[Cause]:
    """The errors of a new object's metadata."""
    metadata = obj["metadata"]
    name = metadata.get("name")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    found = []
    if not isinstance(name, str):
        return [invalid_value("metadata.name", name, "must be a string")]
    found += [invalid_value("metadata.name", name, text) for text in _name_rule(kind)(name)]
    return found + list(_maps(metadata))


def validate_metadata_update(new: Object, old: Object, kind: ServedKind) -> list[Cause]:
    """The errors of a changed object's metadata."""
    after, before = new["metadata"], old["metadata"]
    found: list[Cause] = []
    if after.get("labels") is not before.get("labels") or after.get("annotations"):
        found += _maps(after)
    if before.get("deletionTimestamp"):
        added = sorted(set(after.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            detail = (
                "no new finalizers can be added if the object is being deleted, found new"
                f" finalizers []string{{{', '.join(chr(34) + f + chr(34) for f in added)}}}"
            )
            found.append(forbidden_field("metadata.finalizers", detail))
    return found


def _maps(metadata: Object) -> Iterator[Cause]:
    for key, value in _items(metadata, "labels"):
        yield from bad_key("metadata.labels", key)
        yield from bad_label_value("metadata.labels", value)
    size = 0
    for key, value in _items(metadata, "annotations"):
        yield from bad_key("metadata.annotations", key.lower())
        if isinstance(value, str):
            size += len(key) + len(value)
        else:
            yield invalid_value("metadata.annotations", value, "must be a string")
    if size > _ANNOTATIONS_LIMIT:
        yield Cause(
            "FieldValueTooLong",
            "metadata.annotations",
            f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes",
        )
    yield from _owners(metadata)
    for finalizer in metadata.get("finalizers") or ():
        if not isinstance(finalizer, str):
            yield invalid_value("metadata.finalizers", finalizer, "must be a string")


def _owners(metadata: Object) -> Iterator[Cause]:
    controllers = 0
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        where = f"metadata.ownerReferences[{index}]"
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield invalid_value(f"{where}.{name}", "", "must not be empty")
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        detail = "Only one reference can have Controller set to true."
        yield invalid_value("metadata.ownerReferences", "", detail)


def _items(metadata: Object, name: str) -> list[tuple[str, Any]]:
    found = metadata.get(name)
    return list(found.items()) if isinstance(found, dict) else []


def bad_label_value(field: str, value: Any) -> Iterator[Cause]:
    """The errors of one label's value."""
    if not isinstance(value, str):
        yield invalid_value(field, value, "must be a string")
        return
    for text in bad_pattern(value, _LABEL_VALUE, 63):
        yield invalid_value(field, value, text)


def bad_key(field: str, key: str) -> Iterator[Cause]:
    """The errors of the key of a label or an annotation."""
    prefix, slash, name = key.rpartition("/")
    if slash:
        if not prefix:
            yield invalid_value(field, key, "prefix part must be non-empty")
        else:
            for text in bad_subdomain(prefix):
                yield invalid_value(field, key, f"prefix part {text}")
    if not name:
        yield invalid_value(field, key, "name part must be non-empty")
        return
    for text in bad_pattern(name, _QUALIFIED, 63):
        prefix_words = "name part " if not text.startswith("name part") else ""
        yield invalid_value(field, key, prefix_words + text)
