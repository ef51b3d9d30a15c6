"""Why a child cannot be as it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOT_OWNED: Final = "NotOwned"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason and the message of the condition that tells it."""

    reason: str
    message: str


def not_owned(kind: str, name: str) -> Refusal:
    """The name is in use by an object that is not ours to change."""
    return Refusal(NOT_OWNED, f'There is an existing {kind} "{name}" that we do not own.')
