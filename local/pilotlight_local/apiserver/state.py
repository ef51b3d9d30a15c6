"""What the parts of the API server share: the store, the served kinds, admission and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from .kinds import Registry, Target, WriteOptions
from .store import Store
from .values import Object, rfc3339

CREATE = "CREATE"
UPDATE = "UPDATE"
DELETE = "DELETE"
CONNECT = "CONNECT"


@dataclass(frozen=True, slots=True)
class Review:
    """What admission is asked about: `obj` is None for DELETE, `old` for CREATE."""

    target: Target
    operation: str
    obj: Object | None
    old: Object | None
    options: WriteOptions


class Admission(Protocol):
    """Decides on a write before it happens; raises ApiError to refuse it."""

    async def mutate(self, review: Review) -> Object | None:
        """The object as webhooks want it, None when they leave it as it is."""

    async def validate(self, review: Review) -> None:
        """Raises when a webhook denies the write."""


class NoAdmission:
    """Lets everything pass."""

    async def mutate(self, review: Review) -> Object | None:
        return None

    async def validate(self, review: Review) -> None:
        return None


@dataclass(slots=True)
class State:
    """Shared by everything that reads or writes objects."""

    store: Store
    registry: Registry
    admission: Admission
    clock: Callable[[], datetime]

    def timestamp(self) -> str:
        return rfc3339(self.clock())
