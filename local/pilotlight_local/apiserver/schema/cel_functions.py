"""The functions that Kubernetes adds to CEL, as far as rules about plain values need them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

Function = Callable[..., Any]


@lru_cache(maxsize=1)
def functions() -> Mapping[str, Function]:
    """Every function by name; methods are functions of their receiver."""
    from celpy.celtypes import BoolType, IntType, ListType, StringType

    def is_sorted(items: Any) -> Any:
        return BoolType(all(a <= b for a, b in pairwise(items)))

    def total(items: Any) -> Any:
        result = IntType(0)
        for item in items:
            result = result + item
        return result

    def find(text: Any, pattern: Any) -> Any:
        found = re.search(pattern, text)
        return StringType(found[0] if found else "")

    def find_all(text: Any, pattern: Any) -> Any:
        return ListType([StringType(m[0]) for m in re.finditer(pattern, text)])

    def split(text: Any, separator: Any, *limit: Any) -> Any:
        parts = list(text) if not separator else str(text).split(separator, *_splits(limit))
        return ListType([StringType(part) for part in parts])

    def position(last: bool) -> Function:
        def index_of(items: Any, item: Any) -> Any:
            if isinstance(items, str):
                return IntType(items.rfind(item) if last else items.find(item))
            order = range(len(items) - 1, -1, -1) if last else range(len(items))
            return IntType(next((i for i in order if items[i] == item), -1))

        return index_of

    def flag(check: Callable[[str], bool]) -> Function:
        return lambda value: BoolType(check(str(value)))

    def text(change: Callable[..., str]) -> Function:
        return lambda *arguments: StringType(change(*arguments))

    return {
        "isSorted": is_sorted,
        "sum": total,
        "min": min,
        "max": max,
        "indexOf": position(last=False),
        "lastIndexOf": position(last=True),
        "find": find,
        "findAll": find_all,
        "split": split,
        "join": text(lambda items, separator="": separator.join(items)),
        "lowerAscii": text(str.lower),
        "upperAscii": text(str.upper),
        "trim": text(str.strip),
        "replace": text(lambda value, old, new, *limit: value.replace(old, new, *map(int, limit))),
        "substring": text(lambda value, start, *end: value[slice(start, *(end or (None,)))]),
        "charAt": text(lambda value, index: value[index : index + 1]),
        "isURL": flag(_is_url),
        "isIP": flag(lambda value: _parses(ip_address, value)),
        "isCIDR": flag(lambda value: "/" in value and _parses(ip_network, value)),
    }


def _splits(limit: tuple[Any, ...]) -> tuple[int, ...]:
    return (int(limit[0]) - 1,) if limit and int(limit[0]) > 0 else ()


def _is_url(value: str) -> bool:
    try:
        return bool(urlsplit(value).scheme)
    except ValueError:
        return False


def _parses(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True
