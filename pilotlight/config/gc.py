"""ConfigMap `config-gc`: which revisions that nobody uses are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight.config.go_values import ConfigError, Keys, parse_duration_s, parse_int

DISABLED: Final = "disabled"


@dataclass(frozen=True, slots=True)
class GarbageCollection:
    """When an unused revision may go. None switches a limit off."""

    retain_since_create_time_s: float | None = 48 * 3600.0
    retain_since_last_active_time_s: float | None = 15 * 3600.0
    min_non_active_revisions: int = 20
    max_non_active_revisions: int | None = 1000

    @property
    def is_off(self) -> bool:
        return (
            self.retain_since_create_time_s is None
            and self.retain_since_last_active_time_s is None
            and self.max_non_active_revisions is None
        )


def parse(data: Mapping[str, str]) -> GarbageCollection:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    default = GarbageCollection()
    config = GarbageCollection(
        retain_since_create_time_s=keys.parsed(
            _duration, default.retain_since_create_time_s, "retain-since-create-time"
        ),
        retain_since_last_active_time_s=keys.parsed(
            _duration, default.retain_since_last_active_time_s, "retain-since-last-active-time"
        ),
        min_non_active_revisions=keys.integer(20, "min-non-active-revisions"),
        max_non_active_revisions=keys.parsed(
            _count, default.max_non_active_revisions, "max-non-active-revisions"
        ),
    )
    least, most = config.min_non_active_revisions, config.max_non_active_revisions
    if least < 0:
        text = f"min-non-active-revisions must be non-negative, was: {least}"
        raise ConfigError("min-non-active-revisions", str(least), text, text)
    if most is not None and least > most:
        text = f"min-non-active-revisions({least}) must be <= max-non-active-revisions({most})"
        raise ConfigError("min-non-active-revisions", str(least), text, text)
    return config


def _duration(text: str) -> float | None:
    if text.lower() == DISABLED:
        return None
    seconds = parse_duration_s(text)
    if seconds < 0:
        raise ValueError(f"must be non-negative, was: {text}")
    return seconds


def _count(text: str) -> int | None:
    if text.lower() == DISABLED:
        return None
    count = parse_int(text)
    if count < 0:
        raise ValueError(f"must be non-negative, was: {text}")
    return count
