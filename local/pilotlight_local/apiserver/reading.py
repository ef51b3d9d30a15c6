"""Gets and lists: versions, pages, selectors and representations."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import ApiError, bad_request, expired, invalid, invalid_value
from .kinds import Target
from .selectors import FieldSelector, LabelSelector, parse_fields, parse_labels
from .store import Record, Store, Table
from .values import Object, encode


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list or watch asks for."""

    labels: LabelSelector
    fields: FieldSelector
    version: str = ""
    match: str = ""
    limit: int = 0
    token: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, str], target: Target) -> ListOptions:
        """Reads the query; raises a 400."""
        kind = target.kind
        fields = parse_fields(query.get("fieldSelector", ""), kind.resource, kind.selectable)
        if target.name:
            fields = FieldSelector((*fields.terms, (("metadata", "name"), target.name, False)))
        return cls(
            parse_labels(query.get("labelSelector", "")),
            fields,
            query.get("resourceVersion", ""),
            query.get("resourceVersionMatch", ""),
            number(query, "limit"),
            query.get("continue", ""),
        )

    def matches(self, obj: Object) -> bool:
        return self.fields(obj) and self.labels(obj)


def number(query: Mapping[str, str], name: str) -> int:
    """A whole number >= 0 of the query, 0 when it is missing; raises a 400."""
    text = query.get(name, "")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax: {name}')
    return int(text)


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a list, as of a version; `token` continues it."""

    records: list[Record]
    version: int
    token: str = ""
    remaining: int | None = None


def version_number(text: str) -> int:
    """A resourceVersion as a number; raises a 400."""
    if not text.isascii() or not text.isdigit():
        detail = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise invalid("", "", "", [invalid_value("resourceVersion", text, detail)])
    return int(text)


def read_page(store: Store, target: Target, options: ListOptions) -> Page:
    """One page of a list; 410 when its version is forgotten."""
    table = store.table(target.kind.table)
    version, after = _start(store, options)
    namespace = target.namespace or None
    if version is None:
        version = store.version
        records: Iterable[Record] = table.ordered(namespace)
    else:
        records = _as_of(table, version, namespace)
    matching = [r for r in records if (after is None or _key(r) > after) and options.matches(r.obj)]
    if not options.limit or len(matching) <= options.limit:
        return Page(matching, version)
    page = matching[: options.limit]
    token = _token(version, _key(page[-1]))
    return Page(page, version, token, len(matching) - options.limit)


def _start(store: Store, options: ListOptions) -> tuple[int | None, tuple[str, str] | None]:
    """(the version to list, None for now; the key after which to begin)."""
    if options.token:
        return _read_token(options.token)
    if not options.version:
        if options.match:
            detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise bad_request(detail)
        return None, None
    version = version_number(options.version)
    if options.match not in ("", "Exact", "NotOlderThan"):
        raise bad_request(f"unsupported resourceVersionMatch: {options.match}")
    if version > store.version:
        raise _too_large(version, store.version)
    return (version if options.match == "Exact" and version else None), None


def _too_large(version: int, current: int) -> ApiError:
    message = f"Too large resource version: {version}, current: {current}"
    error = ApiError(504, "Timeout", f"Timeout: {message}", details={"retryAfterSeconds": 1})
    error.details["causes"] = [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]
    return error


def _as_of(table: Table, version: int, namespace: str | None) -> list[Record]:
    """The records as they were at a version, by undoing what the history knows."""
    if version < table.floor:
        raise expired(
            "The provided continue parameter is too old to display a consistent list result. You"
            " can start a new list without the continue parameter."
        )
    found = {_key(record): record for record in table.records(namespace)}
    for change in reversed(table.history):
        if change.version <= version:
            break
        key = _key(change.record)
        if namespace is not None and key[0] != namespace:
            continue
        found.pop(key, None)
        if change.old is not None:
            found[key] = change.old
    return [found[key] for key in sorted(found)]


def _key(record: Record) -> tuple[str, str]:
    metadata = record.obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _token(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(encode([version, *key])).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        padded = token + "=" * (-len(token) % 4)
        version, namespace, name = json.loads(base64.urlsafe_b64decode(padded))
        return int(version), (str(namespace), str(name))
    except (binascii.Error, ValueError, TypeError):
        raise bad_request("continue key is not valid") from None


def encode_record(record: Record, target: Target) -> bytes:
    """A record's JSON in the target's version."""
    seen = target.kind.strategy.present(record.obj, target.version)
    return record.encoded if seen is record.obj else encode(seen)


def encode_list(page: Page, target: Target) -> bytes:
    """A page as `KINDList`."""
    items = b",".join(encode_record(record, target) for record in page.records)
    head = {
        "kind": target.kind.listed_as,
        "apiVersion": target.api_version,
        "metadata": list_metadata(page),
    }
    return encode(head)[:-1] + b',"items":[' + items + b"]}"


def list_metadata(page: Page) -> Object:
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.token:
        metadata["continue"] = page.token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    return metadata
