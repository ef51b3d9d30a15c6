"""Where the time of a cold start went: phases from the moments that each part has reported.

The moments come from several machines' clocks, so each is moved into the span between the one
before it and the first response byte: phases are never negative and always add up to the total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PHASES: Final = ("decide", "patch", "schedule", "start", "announce", "first-byte")
TOTAL: Final = "total"


@dataclass(frozen=True, slots=True)
class Marks:
    """Moments of one cold start, unix seconds; None where nobody has told."""

    requested: float
    first_byte: float
    decided: float | None = None
    patched: float | None = None
    started: float | None = None
    answered: float | None = None
    announced: float | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    seconds: float


def phases(marks: Marks) -> tuple[Phase, ...]:
    """The phases that can be told apart; the time of one that cannot falls to the next.

    Phases: `decide` until the autoscaler decided, `patch` until the scale was written, `schedule`
    until the queue-proxy's process ran (the image's pull is in it), `start` until the container
    answered, `announce` until this activator knew, `first-byte` until the answer began.
    """
    moments = (
        marks.decided,
        marks.patched,
        marks.started,
        marks.answered,
        marks.announced,
        marks.first_byte,
    )
    found: list[Phase] = []
    reached = marks.requested
    end = max(marks.first_byte, marks.requested)
    for name, moment in zip(PHASES, moments, strict=True):
        if moment is None:
            continue
        moment = min(max(moment, reached), end)
        found.append(Phase(name, moment - reached))
        reached = moment
    return tuple(found)


def server_timing(found: Sequence[Phase], total_s: float) -> bytes:
    """The value of a `Server-Timing` header: durations in milliseconds."""
    entries = [f"{phase.name};dur={phase.seconds * 1000:.1f}" for phase in found]
    entries.append(f"{TOTAL};dur={total_s * 1000:.1f}")
    return ", ".join(entries).encode()


def queue_timing(waited_s: float) -> bytes:
    """The value of a `Server-Timing` header for a request that only waited for a free slot."""
    return f"queue;dur={waited_s * 1000:.1f}".encode()
