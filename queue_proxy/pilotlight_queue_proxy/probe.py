"""What it means that the user's containers are ready: the probes' specification. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

HTTP = "http"
TCP = "tcp"
GRPC = "grpc"

_LOCAL = "127.0.0.1"


class ProbeError(ValueError):
    """A probe cannot be understood; the text names the field and the rule."""


class ProbeSpec(NamedTuple):
    """One container's probe; Kubernetes' exec probes have become TCP before they get here. Times in
    seconds.
    """

    kind: str
    port: int
    host: str = _LOCAL
    path: bytes = b"/"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    tls: bool = False
    period_s: float = 0.0
    """0: asked aggressively until it passes, and every ten seconds afterwards."""
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    service: str = ""
    """What a gRPC health check asks about."""
    socket: str = ""
    """The path of a UNIX socket in place of host and port."""


def parse_probes(text: str, user_port: int) -> tuple[ProbeSpec, ...]:
    """The probes in a JSON object or array with Kubernetes' field names; none for an empty text.

    Raises ProbeError.
    """
    if not text.strip() or text.strip() == "null":
        return ()
    import json

    try:
        given = json.loads(text)
    except ValueError as error:
        raise ProbeError(f"is not JSON: {error}") from None
    items = given if isinstance(given, list) else [given]
    return tuple(_parse(item, user_port) for item in items if item is not None)


def _parse(item: Any, user_port: int) -> ProbeSpec:
    if not isinstance(item, dict):
        raise ProbeError(f"must be an object, not {item!r}")
    kind, handler = _handler(item)
    return ProbeSpec(
        kind=kind,
        port=_port(handler, user_port),
        host=handler.get("host") or _LOCAL,
        path=_path(handler.get("path") or "/"),
        headers=tuple(_header(header) for header in handler.get("httpHeaders") or ()),
        tls=str(handler.get("scheme") or "HTTP").upper() == "HTTPS",
        period_s=float(_whole(item, "periodSeconds", 0)),
        timeout_s=float(_whole(item, "timeoutSeconds", 0) or 1),
        success_threshold=_whole(item, "successThreshold", 0) or 1,
        failure_threshold=_whole(item, "failureThreshold", 0) or 3,
        service=str(handler.get("service") or ""),
    )


def _handler(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for kind, field in ((HTTP, "httpGet"), (GRPC, "grpc")):
        if item.get(field) is not None:
            return kind, item[field]
    return TCP, item.get("tcpSocket") or {}


def _whole(item: dict[str, Any], field: str, default: int) -> int:
    value = item.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProbeError(f"{field} is {value!r}, must be a whole number, not negative")
    return value


def _port(handler: dict[str, Any], user_port: int) -> int:
    port = handler.get("port") or user_port
    if isinstance(port, str) and port.isdigit():
        port = int(port)
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ProbeError(f"port is {port!r}, must be a number between 1 and 65535")
    return port


def _path(path: str) -> bytes:
    target = (path if path.startswith("/") else f"/{path}").encode()
    if any(byte <= 0x20 or byte == 0x7F for byte in target):
        raise ProbeError(f"path is {path!r}, must not contain spaces or control characters")
    return target


def _header(header: dict[str, Any]) -> tuple[bytes, bytes]:
    return str(header.get("name", "")).encode(), str(header.get("value", "")).encode()
