"""What every handler needs of a request: its body, its options, and its errors as answers."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from .audit import USER
from .builtin import protobuf
from .errors import ApiError, bad_request, unsupported_media
from .kinds import ADMIN, WriteOptions
from .values import Object, encode

MAX_BODY: Final = 3 * 1024 * 1024
_JSON: Final = "application/json"
_YAML: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
_MAX_MANAGER: Final = 128


async def read_document(request: web.Request, accepted: tuple[str, ...] = (_JSON,)) -> Any:
    """The body as a value: JSON, or YAML where its type says so; None when it is empty."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    if not body:
        return None
    media = request.content_type
    if media in _YAML or media.endswith("+yaml"):
        return _yaml(body)
    if media == _JSON or media.endswith("+json") or media == "application/octet-stream":
        return _json(body)
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(body)
    raise unsupported_media([*accepted, "application/yaml", protobuf.MEDIA_TYPE])


def _too_large() -> ApiError:
    message = f"Request entity too large: limit is {MAX_BODY}"
    return ApiError(413, "RequestEntityTooLarge", message)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body is not valid JSON: {error}") from None


def _yaml(body: bytes) -> Any:
    """Most clients send JSON, which is YAML, too; and is read much faster as what it is."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    import yaml

    try:
        return yaml.load(body, Loader=_loader())
    except (yaml.YAMLError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def _loader() -> Any:
    """YAML's safe loader, without its dates: JSON has none."""
    import yaml

    class Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc] # chosen at run time
        yaml_implicit_resolvers = {  # noqa: RUF012 - as the class above has it
            first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
            for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


async def read_object(request: web.Request) -> Object:
    """The body as an object; raises a 400."""
    document = await read_document(request)
    if not isinstance(document, dict):
        raise bad_request("the body must be an object")
    return document


def write_options(request: web.Request) -> WriteOptions:
    """The options of a write; raises a 400."""
    query = request.query
    dry_run = query.getall("dryRun", [])
    if any(value != "All" for value in dry_run):
        raise bad_request(f'Unsupported value: "{dry_run[0]}": supported values: "All"')
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise bad_request(
            f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore",'
            ' "Strict", "Warn"'
        )
    manager = query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0]
    return WriteOptions(
        manager=manager[:_MAX_MANAGER] or "unknown",
        user=request.get(USER, ADMIN),
        dry_run=bool(dry_run),
        field_validation=validation,
        force=query.get("force", "").lower() in ("true", "1"),
    )


def answer(
    body: Object | bytes, status: int = 200, warnings: list[str] | None = None
) -> web.Response:
    """A JSON answer."""
    data = body if isinstance(body, bytes) else encode(body)
    response = web.Response(body=data + b"\n", status=status, content_type=_JSON)
    for text in warnings or ():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def refusal(error: ApiError, warnings: list[str] | None = None) -> web.Response:
    """An error's answer."""
    response = answer(error.body(), error.status, warnings)
    seconds = error.details.get("retryAfterSeconds")
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response
