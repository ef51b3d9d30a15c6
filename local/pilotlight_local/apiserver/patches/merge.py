"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

from pilotlight_local.apiserver.errors import ApiError, Cause, bad_request
from pilotlight_local.apiserver.values import Object, copy_json

MAX_OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` after a JSON merge patch: null removes, maps merge, all else replaces."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(target: Object, operations: Any) -> Object:
    """`target` after a JSON patch; 400 for a malformed patch, 422 for one that does not apply."""
    import jsonpatch
    import jsonpointer

    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type"
            " jsonpatch.Patch"
        )
    if len(operations) > MAX_OPERATIONS:
        message = (
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS},"
            f" got {len(operations)}"
        )
        raise ApiError(413, "RequestEntityTooLarge", message)
    try:
        patched = jsonpatch.JsonPatch(operations).apply(copy_json(target))
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise _not_applicable(str(error)) from None
    if not isinstance(patched, dict):
        raise _not_applicable("the result is not an object")
    return patched


def _not_applicable(why: str) -> ApiError:
    message = f"the server rejected our request due to an error in our request: {why}"
    return ApiError(422, "Invalid", message, [Cause("FieldValueInvalid", "patch", why)])
