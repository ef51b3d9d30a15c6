"""What the figures have to reach."""

from __future__ import annotations

from typing import Final

from benchmarks.cluster import install, rollout, standing, starts, warm, writes
from benchmarks.goals import Goal

GOALS: Final = (
    Goal(starts.COLD, "p50_ms", 250, 400),
    Goal(starts.COLD, "p95_ms", 350, 600),
    Goal(starts.MANY, "p50_ms", 2800, 3500),
    Goal(starts.MANY, "p95_ms", 3200, 4500),
    Goal(starts.BURST, "p50_ms", 1200, 1600),
    Goal(starts.BURST, "p95_ms", 2000, 2600),
    Goal(starts.BURST, "pods", 10, 11, worst=True),
    Goal(starts.PYTHON_OVER, "p50_ms", 0, 150),
    Goal(starts.CREATE, "p50_ms", 700, 1300),
    Goal(writes.CASE, "writes", 12, 20),
    Goal(f"{standing.MEMORY}, 0 services", "rss_mb", 180, 260),
    Goal(f"{standing.MEMORY}, 50 services", "rss_mb", 200, 290),
    Goal(f"{standing.CPU}, 0 services", "cpu_ms_per_minute", 100, 300),
    Goal(f"{standing.CPU}, 50 services", "cpu_ms_per_minute", 120, 350),
    Goal(warm.BUSY, "cpu_us_per_request", 100, 200),
    Goal(warm.SINGLE, "p50_ms", 0.3, 0.45),
    Goal(rollout.CASE, "lost", 0, 0, worst=True),
    Goal(rollout.CASE, "max_ms", 20, None, worst=True),
    Goal(install.CASE, "ready_ms", 10_000, 20_000),
)
