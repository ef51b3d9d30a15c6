"""What happens to an object on its way into the cluster: it is completed, then it is checked.

Both are pure functions of the object, of the object that it replaces, and of what is configured:
the admission webhooks, dry runs and tests share them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from pilotlight.api.context import AdmissionContext, Operation
from pilotlight.api.decoding import DecodeError, check_shape, model_of, prepare
from pilotlight.api.defaulting import default_object
from pilotlight.api.field_errors import FieldErrors
from pilotlight.api.internal_validation import (
    validate_domain_mapping,
    validate_ingress,
    validate_pod_autoscaler,
)
from pilotlight.api.json_parts import part, text
from pilotlight.api.serving_validation import (
    validate_configuration,
    validate_revision,
    validate_route,
    validate_service,
)

__all__ = [
    "AdmissionContext",
    "DecodeError",
    "FieldErrors",
    "Operation",
    "default",
    "prepare",
    "undecodable",
    "validate",
    "validation_failed",
]

Object = dict[str, Any]
Validator = Callable[[Object, Object | None, AdmissionContext], FieldErrors]

_STATUS: Final = "status"
_VALIDATORS: Final[Mapping[str, Validator]] = {
    "Service": validate_service,
    "Configuration": validate_configuration,
    "Revision": validate_revision,
    "Route": validate_route,
    "DomainMapping": validate_domain_mapping,
    "PodAutoscaler": validate_pod_autoscaler,
    "Ingress": validate_ingress,
}


def default(obj: Mapping[str, Any], old: Object | None, context: AdmissionContext) -> Object:
    """A copy of the object with everything filled in that a client may leave out.

    `old` is the object that an UPDATE replaces. Doing it twice changes nothing more. Objects of
    kinds that are not ours come back as they are. Raises DecodeError.
    """
    model = model_of(obj)
    completed = copy.deepcopy(dict(obj))
    if model is not None and context.operation is not Operation.DELETE:
        check_shape(obj, model)
        default_object(completed, old, context)
    return completed


def validate(obj: Object, old: Object | None, context: AdmissionContext) -> FieldErrors:
    """What is wrong with an object that `default` has completed, and what is worth a warning.

    `render()` of the result is the text of a denial, empty when there is none; `warnings` are the
    texts to warn with. Status writes and deletions are not checked. Raises DecodeError.
    """
    model = model_of(obj)
    if model is None or context.operation is Operation.DELETE or context.subresource == _STATUS:
        return FieldErrors()
    check_shape(obj, model)
    if context.is_update and text(part(old, "metadata"), "deletionTimestamp"):
        # It only waits for its finalizers, which have to go even if the rules are stricter by now.
        return FieldErrors()
    return _VALIDATORS[model.__name__](obj, old, context)


def undecodable(error: DecodeError) -> str:
    """The message of the 400 for an object that has not the shape of its kind."""
    return f"mutation failed: {error}"


def validation_failed(errors: FieldErrors) -> str:
    """The message of the 400 for an object that fails its checks."""
    return f"validation failed: {errors.render()}"
