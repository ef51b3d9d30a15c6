"""Reads the protobuf encoding of built-in kinds into the JSON form.

kubectl's `create` subcommands and other typed clients send it. Answers are always JSON, which all
of them accept. The numbers of the fields are in `messages.txt`.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from pilotlight_local.apiserver.errors import bad_request, unsupported_media
from pilotlight_local.apiserver.values import Object

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_MAX_DEPTH: Final = 64

_PACKAGES: Final = {
    "": "core", "apps": "apps", "batch": "batch", "rbac.authorization.k8s.io": "rbac",
    "policy": "policy", "scheduling.k8s.io": "scheduling", "networking.k8s.io": "networking",
    "autoscaling": "autoscaling", "authorization.k8s.io": "authorization",
    "authentication.k8s.io": "authentication", "coordination.k8s.io": "coordination",
    "discovery.k8s.io": "discovery", "events.k8s.io": "events", "meta.k8s.io": "meta",
    "admissionregistration.k8s.io": "admissionregistration",
}  # fmt: skip


class _Field(NamedTuple):
    name: str
    container: str
    type: str


@lru_cache(maxsize=1)
def _messages() -> dict[str, dict[int, _Field]]:
    text = files(__package__).joinpath("messages.txt").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, *fields = line.split()
            found[name] = dict(_field(field) for field in fields)
    return found


def _field(text: str) -> tuple[int, _Field]:
    number, _, rest = text.partition("=")
    name, _, kind = rest.partition(":")
    container = name[-1] if name[-1] in "*%" else ""
    return int(number), _Field(name.rstrip("*%"), container, kind)


def decode(body: bytes) -> Object:
    """An object out of its enveloped protobuf form; 400 for nonsense, 415 for a kind whose
    messages are not known.
    """
    if not body.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix")
    try:
        envelope = dict(_parts(body[len(_MAGIC) :]))
        named = {number: str(value, "utf-8") for number, value in _parts(envelope.get(1, b""))}
        api_version, kind = named.get(1, ""), named.get(2, "")
        message = message_name(api_version, kind)
        if message not in _messages():
            raise unsupported_media(["application/json", "application/yaml"])
        obj = _message(envelope.get(2, b""), message, 0)
    except (ValueError, IndexError, struct.error, TypeError) as error:
        raise bad_request(f"the protobuf body cannot be decoded: {error}") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def message_name(api_version: str, kind: str) -> str:
    """The message of a kind; options of requests may come in any group."""
    if kind == "DeleteOptions":
        return "meta.v1.DeleteOptions"
    group, _, version = api_version.rpartition("/")
    return f"{_PACKAGES.get(group, '?')}.{version}.{kind}"


def _parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, int or bytes) of a message on the wire."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
        elif wire == 2:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError("a field is longer than its message")
            yield number, data[position : position + length]
            position += length
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            yield number, data[position : position + size]
            position += size
        else:
            raise ValueError(f"unknown wire type {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _message(data: bytes, name: str, depth: int) -> Object:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    fields = _messages()[name]
    obj: Object = {}
    for number, raw in _parts(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.container == "%":
            key, value = _entry(raw, field.type, depth)
            obj.setdefault(field.name, {})[key] = value
            continue
        value = _value(raw, field.type, depth)
        if field.container == "*":
            obj.setdefault(field.name, []).append(value)
        elif field.name == ">":
            obj |= value
        elif _is_set(field.name, value):
            obj[field.name] = value
    return obj


_OPTIONAL_FLAGS: Final = frozenset({
    "automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation", "privileged",
    "readOnlyRootFilesystem", "runAsNonRoot", "hostUsers", "optional", "controller",
    "blockOwnerDeletion", "immutable", "shareProcessNamespace", "suspend", "ready", "serving",
    "terminating", "orphanDependents", "allocateLoadBalancerNodePorts", "publishNotReadyAddresses",
})  # fmt: skip
_PLAIN_NUMBERS: Final = frozenset({"hostPort", "generation", "minReadySeconds", "nodePort"})


def _is_set(name: str, value: Any) -> bool:
    """Whether a value was given: plain fields that were left out are sent as zeros."""
    if value is None or value == "":
        return False
    if value is False:
        return name in _OPTIONAL_FLAGS
    return value != 0 or name not in _PLAIN_NUMBERS


def _entry(raw: bytes, kind: str, depth: int) -> tuple[str, Any]:
    key, value = "", _EMPTY.get(kind)
    for number, part in _parts(raw):
        if number == 1:
            key = str(part, "utf-8")
        else:
            value = _value(part, kind, depth)
    return key, value


_EMPTY: Final[dict[str, Any]] = {"string": "", "bytes": "", "int": 0, "bool": False}


def _value(raw: Any, kind: str, depth: int) -> Any:
    match kind:
        case "string":
            return str(raw, "utf-8")
        case "int":
            return raw - (1 << 64) if raw >= 1 << 63 else raw
        case "bool":
            return bool(raw)
        case "bytes":
            return base64.b64encode(raw).decode()
        case "double":
            return struct.unpack("<d", raw)[0]
        case "meta.v1.Time" | "meta.v1.MicroTime":
            return _time(raw, micro=kind.endswith("MicroTime"))
        case "resource.Quantity":
            return next((str(part, "utf-8") for number, part in _parts(raw) if number == 1), "0")
        case "intstr.IntOrString":
            return _int_or_string(raw)
        case "meta.v1.FieldsV1" | "runtime.RawExtension":
            return next((json.loads(part) for number, part in _parts(raw) if number == 1), None)
        case _:
            pass
    if kind.endswith(".ExtraValue"):
        return [str(part, "utf-8") for _, part in _parts(raw)]
    return _message(raw, kind, depth + 1)


def _time(raw: bytes, micro: bool) -> str | None:
    parts = dict(_parts(raw))
    if not parts:
        return None
    moment = datetime.fromtimestamp(parts.get(1, 0), UTC)
    if not micro:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{parts.get(2, 0) // 1000:06d}Z"


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_parts(raw))
    return str(parts.get(3, b""), "utf-8") if parts.get(1) else _value(parts.get(2, 0), "int", 0)
