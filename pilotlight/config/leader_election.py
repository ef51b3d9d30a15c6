"""ConfigMap `config-leader-election`: who acts when there are several of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from pilotlight.config.go_values import ConfigError, Keys

MAX_BUCKETS: Final = 10
_PREFIX: Final = "map-lease-prefix."


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """How leases are held."""

    lease_duration_s: float = 60.0
    """How long a lease holds after its holder was last heard of."""
    renew_deadline_s: float = 40.0
    """How long a holder acts that cannot renew its lease."""
    retry_period_s: float = 10.0
    """How often those who do not hold it look, and what failed is tried again."""
    buckets: int = 1
    lease_prefixes: Mapping[str, str] = field(default_factory=dict)
    """Other names for the leases, by the name of who holds them."""


def parse(data: Mapping[str, str]) -> LeaderElection:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    default = LeaderElection()
    buckets = keys.integer(1, "buckets", bits=32)
    if not 1 <= buckets <= MAX_BUCKETS:
        text = f"buckets: value must be between 1 <= {buckets} <= {MAX_BUCKETS}"
        raise ConfigError("buckets", str(buckets), text, text)
    config = LeaderElection(
        lease_duration_s=keys.seconds(default.lease_duration_s, "lease-duration"),
        renew_deadline_s=keys.seconds(default.renew_deadline_s, "renew-deadline"),
        retry_period_s=keys.seconds(default.retry_period_s, "retry-period"),
        buckets=buckets,
        lease_prefixes={
            key.removeprefix(_PREFIX): text for key, text in data.items() if key.startswith(_PREFIX)
        },
    )
    _check(config)
    return config


def _check(config: LeaderElection) -> None:
    """Who holds a lease must have tried again before it stops, and have stopped before it ends."""
    steps = (
        ("retry-period", config.retry_period_s),
        ("renew-deadline", config.renew_deadline_s),
        ("lease-duration", config.lease_duration_s),
    )
    key, seconds = steps[0]
    if seconds <= 0:
        text = f"{key} ({seconds:g}s) must be longer than 0s"
        raise ConfigError(key, f"{seconds:g}s", text, text)
    for (key, seconds), (longer, limit) in pairwise(steps):
        if seconds >= limit:
            text = f"{key} ({seconds:g}s) must be shorter than {longer} ({limit:g}s)"
            raise ConfigError(key, f"{seconds:g}s", text, text)
