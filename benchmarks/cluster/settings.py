"""What the benchmark is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Without a `gateway` it is the ClusterIP of the Service pilotlight-gateway."""

    gateway: str | None
    image: str
    python_image: str
    audit_log: Path | None


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    gateway = environ.get("PILOTLIGHT_GATEWAY_URL", "").rstrip("/")
    audit_log = environ.get("PILOTLIGHT_AUDIT_LOG")
    return Settings(
        gateway=gateway or None,
        image=environ.get("PILOTLIGHT_BENCH_IMAGE", "dev.local/bench:1"),
        python_image=environ.get("PILOTLIGHT_BENCH_PYTHON_IMAGE", "dev.local/bench-python:1"),
        audit_log=Path(audit_log) if audit_log else None,
    )
