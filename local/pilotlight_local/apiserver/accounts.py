"""Who asks: the owner of the instance, or a pod by its service account."""

from __future__ import annotations

import hmac

from .kinds import ADMIN, UserInfo


def account_token(secret: str, namespace: str, name: str) -> str:
    """The token of a service account: whose it is, and a proof that the holder of `secret`, the
    owner's own token, says so.
    """
    account = f"{namespace}/{name}"
    return f"{account}.{_proof(secret, account)}"


def identify(secret: str, token: str) -> UserInfo | None:
    """Whose token it is, None when it is nobody's."""
    if hmac.compare_digest(token.encode(), secret.encode()):
        return ADMIN
    account, _, proof = token.rpartition(".")
    if not account or not hmac.compare_digest(proof.encode(), _proof(secret, account).encode()):
        return None
    namespace, _, name = account.partition("/")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return UserInfo(f"system:serviceaccount:{namespace}:{name}", (*groups, "system:authenticated"))


def _proof(secret: str, account: str) -> str:
    return hmac.new(secret.encode(), account.encode(), "sha256").hexdigest()
