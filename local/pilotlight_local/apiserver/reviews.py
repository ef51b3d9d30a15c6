"""Resources that are questions. Whoever has a token may do everything, and the answers say so."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from .discovery import REVIEWS
from .errors import bad_request
from .kinds import ADMIN, UserInfo
from .state import State
from .values import Object, lookup, rfc3339

_TOKEN_SECONDS: Final = 3600


def is_review(group: str, version: str, plural: str) -> bool:
    """Whether a resource is a question."""
    return any(plural == name for name, _, _ in REVIEWS.get((group, version), ()))


def answer(plural: str, review: Object, user: UserInfo) -> Object:
    """The review with its answer to `user`."""
    if not review.get("kind"):
        raise bad_request("Object 'Kind' is missing in the object provided")
    if plural == "selfsubjectrulesreviews":
        status: Object = {
            "incomplete": False,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }
    elif plural == "selfsubjectreviews":
        status = {"userInfo": user.json()}
    elif plural == "tokenreviews":
        status = {"authenticated": True, "user": ADMIN.json()}
    else:
        status = {"allowed": True}
    metadata = {**(review.get("metadata") or {}), "creationTimestamp": None}
    return {**review, "metadata": metadata, "status": status}


def token_request(state: State, request: Object, token: str) -> Object:
    """A TokenRequest with the account's token, which lasts as long as the instance's own."""
    seconds = lookup(request, "spec", "expirationSeconds") or _TOKEN_SECONDS
    expires = state.clock() + timedelta(seconds=int(seconds))
    spec = {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds}
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": request.get("metadata") or {},
        "spec": {**spec, **(request.get("spec") or {})},
        "status": {"token": token, "expirationTimestamp": rfc3339(expires)},
    }
