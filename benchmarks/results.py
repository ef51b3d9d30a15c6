"""How results are written: one JSON file for each benchmark, and the same as a table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("results")


class CaseError(Exception):
    """A case cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one subject in one case, over `rounds` measurements."""

    case: str
    subject: str
    figure: str
    unit: str
    median: float
    min: float
    max: float
    rounds: int


def row(case: str, subject: str, figure: str, unit: str, values: Sequence[float]) -> Row:
    """The row of all that was measured; ValueError without a measurement."""
    if not values:
        raise ValueError(f"{case}, {subject}, {figure}: nothing was measured")
    return Row(
        case,
        subject,
        figure,
        unit,
        round(median(values), 3),
        round(min(values), 3),
        round(max(values), 3),
        len(values),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def percentile_rows(case: str, subject: str, unit: str, values: Sequence[float]) -> list[Row]:
    """Rows for the 50th and the 95th percentile; `min` and `max` are those of all values."""
    low, high = round(min(values), 3), round(max(values), 3)
    return [
        Row(
            case, subject, name, unit, round(percentile(values, percent), 3), low, high, len(values)
        )
        for name, percent in ((f"p50_{unit}", 50.0), (f"p95_{unit}", 95.0))
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows for a person, aligned."""
    headings = ("case", "subject", "figure", "median", "min", "max", "rounds")
    cells = [
        (r.case, r.subject, r.figure, f"{r.median:g}", f"{r.min:g}", f"{r.max:g}", str(r.rounds))
        for r in rows
    ]
    return columns([headings, *cells])


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each, aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write(name: str, rows: Sequence[Row], folder: Path = FOLDER, notes: Sequence[str] = ()) -> Path:
    """Write `<folder>/<name>.json`; the path. `notes` tell the reader what is left out, and why."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {
        "machine": machine(),
        "commit": commit(),
        **({"notes": list(notes)} if notes else {}),
        "rows": [asdict(one) for one in rows],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that was measured, `+` behind it when files differ; empty outside of git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
