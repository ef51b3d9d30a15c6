"""Which webhooks a write has to pass, and what they are asked and answer. No I/O here."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from .errors import ApiError, internal
from .patches.merge import json_patch
from .selectors import from_object
from .state import CREATE, DELETE, Review
from .values import Object

MUTATING: Final = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations")
VALIDATING: Final = ("admissionregistration.k8s.io", "validatingwebhookconfigurations")
_EXEMPT: Final = frozenset({MUTATING, VALIDATING})


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration."""

    configuration: str
    mutating: bool
    spec: Object

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def timeout_s(self) -> float:
        return float(self.spec.get("timeoutSeconds") or 10)

    @property
    def ignores_failure(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def reinvoked(self) -> bool:
        return self.spec.get("reinvocationPolicy") == "IfNeeded"


def webhooks_of(configurations: Iterable[Object], mutating: bool) -> Iterator[Webhook]:
    """The webhooks of configurations, by the configurations' names, as Kubernetes orders them."""
    for configuration in sorted(configurations, key=lambda c: str(c["metadata"]["name"])):
        for spec in configuration.get("webhooks") or ():
            yield Webhook(configuration["metadata"]["name"], mutating, spec)


def concerns(webhook: Webhook, review: Review, namespace: Object | None) -> bool:
    """Whether a webhook has to be asked. `namespace` is the object's, None where it has none."""
    if review.target.kind.resource in _EXEMPT:
        return False
    return (
        any(_rule_matches(rule, review) for rule in webhook.spec.get("rules") or ())
        and _namespace_matches(webhook, review, namespace)
        and _object_matches(webhook, review)
        and _conditions_hold(webhook, review)
    )


def _rule_matches(rule: Object, review: Review) -> bool:
    target = review.target
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != target.kind.namespaced:
        return False
    return (
        _listed(target.kind.group, rule.get("apiGroups"))
        and any(_listed(version, rule.get("apiVersions")) for version in target.kind.versions)
        and _listed(review.operation, rule.get("operations"))
        and any(_resource_matches(name, review) for name in rule.get("resources") or ())
    )


def _listed(value: str, allowed: Any) -> bool:
    return bool(allowed) and ("*" in allowed or value in allowed)


def _resource_matches(pattern: str, review: Review) -> bool:
    resource, _, subresource = pattern.partition("/")
    if pattern == "*":
        return not review.target.subresource
    if resource not in ("*", review.target.kind.plural):
        return False
    return subresource in ("*", review.target.subresource)


def _namespace_matches(webhook: Webhook, review: Review, namespace: Object | None) -> bool:
    selector = webhook.spec.get("namespaceSelector")
    if not selector:
        return True
    if review.target.kind.resource == ("", "namespaces"):
        namespace = review.obj or review.old
    if namespace is None:
        # Cluster-scoped objects are in no namespace, and always match.
        return True
    return from_object(selector)(namespace)


def _object_matches(webhook: Webhook, review: Review) -> bool:
    selector = webhook.spec.get("objectSelector")
    if not selector:
        return True
    matches = from_object(selector)
    return any(obj is not None and matches(obj) for obj in (review.obj, review.old))


def _conditions_hold(webhook: Webhook, review: Review) -> bool:
    conditions = webhook.spec.get("matchConditions")
    if not conditions:
        return True
    from .schema.cel import RuleError, evaluate, program, to_cel

    request = request_of(review, "")
    bindings = {
        "request": to_cel(request, None),
        "object": to_cel(review.obj, None),
        "oldObject": to_cel(review.old, None),
    }
    for condition in conditions:
        compiled = program(condition.get("expression") or "")
        # A condition that cannot be evaluated does not spare the webhook.
        try:
            if compiled is not None and not evaluate(compiled, bindings):
                return False
        except RuleError:
            continue
    return True


def request_of(review: Review, uid: str) -> Object:
    """The `request` of an AdmissionReview."""
    target, kind = review.target, review.target.kind
    gvk = {"group": kind.group, "version": target.version, "kind": kind.kind}
    resource = {"group": kind.group, "version": target.version, "resource": kind.plural}
    if target.subresource == "scale":
        gvk = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    request: Object = {
        "uid": uid,
        "kind": gvk,
        "resource": resource,
        "requestKind": gvk,
        "requestResource": resource,
        "name": target.name,
        "operation": review.operation,
        "userInfo": review.options.user.json(),
        "object": _seen(review.obj, review),
        "oldObject": _seen(review.old, review),
        "dryRun": review.options.dry_run,
        "options": _options(review),
    }
    if target.subresource:
        request["subResource"] = request["requestSubResource"] = target.subresource
    if target.namespace:
        request["namespace"] = target.namespace
    elif kind.resource == ("", "namespaces"):
        request["namespace"] = target.name
    return request


def _seen(obj: Object | None, review: Review) -> Object | None:
    return None if obj is None else review.target.kind.strategy.present(obj, review.target.version)


def _options(review: Review) -> Object:
    kind = {CREATE: "CreateOptions", DELETE: "DeleteOptions"}.get(review.operation, "UpdateOptions")
    options: Object = {"apiVersion": "meta.k8s.io/v1", "kind": kind}
    if review.operation != DELETE:
        options["fieldManager"] = review.options.manager
    if review.options.dry_run:
        options["dryRun"] = ["All"]
    return options


def question(webhook: Webhook, review: Review) -> Object:
    """The AdmissionReview that a webhook is sent, in the first of its versions that we know."""
    versions = [v for v in webhook.spec.get("admissionReviewVersions") or () if v == "v1"]
    if not versions:
        raise internal(f'webhook "{webhook.name}" does not understand admission.k8s.io/v1')
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": request_of(review, str(uuid4())),
    }


def read_answer(webhook: Webhook, asked: Object, answer: Any, review: Review) -> Object | None:
    """What a webhook makes of the object; None when it leaves it. Raises its denial, with the
    webhook's own code, and a ValueError for an answer that is none.
    """
    response = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(response, dict):
        raise ValueError("expected response.uid")
    uid = asked["request"]["uid"]
    if response.get("uid") != uid:
        raise ValueError(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    for warning in response.get("warnings") or ():
        review.options.warn(str(warning))
    if response.get("allowed") is not True:
        raise denial(webhook, response.get("status") or {})
    patch = response.get("patch")
    if not patch or review.obj is None or not webhook.mutating:
        return None
    if response.get("patchType") != "JSONPatch":
        raise ValueError(f"unsupported patchType {response.get('patchType')!r}")
    try:
        operations = json.loads(base64.b64decode(patch, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the patch cannot be decoded: {error}") from None
    return json_patch(asked["request"]["object"], operations) if operations else None


def denial(webhook: Webhook, status: Object) -> ApiError:
    """The error of a webhook that said no."""
    code = status.get("code") or 400
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    reason = str(status.get("reason") or "")
    message = status.get("message") or ""
    text = f'admission webhook "{webhook.name}" denied the request'
    if message:
        text += f": {message}"
    elif reason:
        text += f": {reason}"
    else:
        text += " without explanation"
    error = ApiError(code, reason or _REASONS.get(code, "BadRequest"), text)
    details = status.get("details")
    if isinstance(details, dict):
        error.details = details
    return error


_REASONS: Final = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
    500: "InternalError",
}


def failure(webhook: Webhook, why: str) -> ApiError:
    """The error of a webhook that could not be asked, or that answered nonsense."""
    return internal(f'failed calling webhook "{webhook.name}": {why}')
