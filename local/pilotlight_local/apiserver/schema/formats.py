"""The string formats that schemas may ask for. A format that is not known here always fits."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import urlsplit

_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)\Z")
_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z")
_HOST: Final = re.compile(
    r"(?i)(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?\Z"
)
_DURATION: Final = re.compile(
    r"-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))*\Z"
)
_MAC: Final = re.compile(r"(?i)([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\Z")


def _date_time(text: str) -> bool:
    if not _DATE_TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text[:19].replace("t", "T"))
    except ValueError:
        return False
    return True


def _date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme or text.startswith("/"))


def _ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _cidr(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_FORMATS: Final[dict[str, Callable[[str], object]]] = {
    "date-time": _date_time,
    "datetime": _date_time,
    "date": _date,
    "email": _EMAIL.match,
    "uuid": _UUID.match,
    "uri": _uri,
    "hostname": _HOST.match,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": _cidr,
    "byte": _byte,
    "duration": lambda text: text == "0" or _DURATION.match(text),
    "mac": _MAC.match,
}


def has_format(text: str, name: str) -> bool:
    """Whether a text is of a format."""
    check = _FORMATS.get(name)
    return check is None or bool(check(text))
