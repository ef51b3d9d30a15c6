"""ConfigMap `config-leader-election`: who acts when there are several of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pilotlight.config.go_values import ConfigError, Keys

MAX_BUCKETS: Final = 10
_PREFIX: Final = "map-lease-prefix."


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """How leases are held."""

    lease_duration_s: float = 60.0
    renew_deadline_s: float = 40.0
    retry_period_s: float = 10.0
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
    return LeaderElection(
        lease_duration_s=keys.seconds(default.lease_duration_s, "lease-duration"),
        renew_deadline_s=keys.seconds(default.renew_deadline_s, "renew-deadline"),
        retry_period_s=keys.seconds(default.retry_period_s, "retry-period"),
        buckets=buckets,
        lease_prefixes={
            key.removeprefix(_PREFIX): text for key, text in data.items() if key.startswith(_PREFIX)
        },
    )
