"""What the Kubernetes API refuses, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer of the API that is not a success.

    `status` is the HTTP status, 0 when no answer came; `reason` is the machine's word
    ("NotFound", "Conflict", ...); `message` is for people.
    """

    def __init__(
        self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def already_exists(self) -> bool:
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def expired(self) -> bool:
        """The resource version is too old: list again."""
        return self.status == 410

    @property
    def retryable(self) -> bool:
        """The same request may succeed later."""
        return self.status in {0, 408, 409, 410, 429} or self.status >= 500


def from_status(status: int, body: Any) -> ApiError:
    """The error that a `Status` object, or whatever else came with the HTTP status, stands for."""
    if isinstance(body, Mapping):
        return ApiError(
            status,
            str(body.get("reason") or ""),
            str(body.get("message") or f"HTTP {status}"),
            body.get("details"),
        )
    return ApiError(status, "", str(body)[:500] or f"HTTP {status}")
