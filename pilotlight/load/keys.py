"""The keys that greetings are signed with.

One master key per installation; each Revision's key follows from it, so that a collector needs no
Secret of any user's namespace to check a greeting, and a pod's key speaks for its Revision only.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

MASTER_KEY_BYTES: Final = 32


def new_master_key() -> str:
    """A random master key, hexadecimal."""
    return secrets.token_hex(MASTER_KEY_BYTES)


def revision_key(master: bytes, namespace: str, revision: str, uid: str) -> bytes:
    """The key of one Revision. `uid` is part of it: a Revision made anew under an old name does
    not trust the pods of its predecessor.
    """
    return hmac.digest(master, f"{namespace}/{revision}/{uid}".encode(), hashlib.sha256)
