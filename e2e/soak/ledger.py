"""What was asked, what came back, what was done meanwhile, and which of it counts as lost. Pure.

All times are monotonic seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

NOTICED_S: Final = 5.0
"""A request that was in a process when that was killed has failed this much later at most."""
RESET_S: Final = 0.5
"""Until a client has heard that the connections of a killed process are closed: what it sends on
one of them until then is lost with the process."""
CALM: Final = "calm"


class Failure(Enum):
    """How a request failed."""

    REFUSED = "refused"
    """No connection could be made."""
    BROKEN = "broken"
    """The connection ended before the answer did."""
    STATUS = "status"
    """An answer, but not that one."""
    WRONG = "wrong"
    """An answer whose body is not what was asked for."""
    LATE = "late"
    """No answer in all the time that it was given."""


@dataclass(slots=True)
class Record:
    """One request: what it was, when, and what came of it."""

    kind: str
    target: str
    began: float
    ended: float = 0.0
    status: int = 0
    leg: str = ""
    """K-Pilotlight-Leg of the answer."""
    failure: Failure | None = None
    detail: str = ""
    reused: bool = False
    """Whether it went over a connection that had carried another before."""
    retries: int = 0
    """How often it was sent again as a client library does by itself."""

    @property
    def failed(self) -> bool:
        return self.failure is not None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class Disturbance:
    """Something that was done to the system."""

    name: str
    began: float
    ended: float = float("inf")

    def touches(self, record: Record) -> bool:
        """Whether the request was under way at some time of it."""
        return record.began <= self.ended and record.ended >= self.began

    def explains(self, record: Record) -> bool:
        """Whether the request had to fail, and failed as it has to."""
        return False


@dataclass(slots=True)
class Closed(Disturbance):
    """A time in which Kubernetes had no endpoint of the gateway's Service for anybody."""

    def explains(self, record: Record) -> bool:
        return record.failure is Failure.REFUSED and self.touches(record)


@dataclass(slots=True)
class Kill(Disturbance):
    """A process killed at `began`."""

    gone: float = 0.0
    """When it was no more: a killed process takes a while to end, and its sockets live as long."""
    legs: Collection[str] = ()
    """How our own errors name what was in it; "" for clients whose connection it held itself."""
    away_s: float = 0.0
    """For how long connections may be refused, where nobody else can take them."""

    def __post_init__(self) -> None:
        self.ended = self.began + NOTICED_S
        self.gone = self.gone or self.began

    def explains(self, record: Record) -> bool:
        return self._had(record) or self._was_away(record)

    def _had(self, record: Record) -> bool:
        """Whether the request failed because it was inside the process, and was reported so."""
        late = RESET_S if "" in self.legs and record.reused else 0.0
        if record.began > self.gone + late:
            return False
        if not self.began <= record.ended <= self.began + NOTICED_S:
            return False
        if record.failure is Failure.STATUS:
            return record.leg in self.legs
        # Once an answer has begun, the end of the connection is the only way to report it.
        return record.failure is Failure.BROKEN and (bool(record.status) or "" in self.legs)

    def _was_away(self, record: Record) -> bool:
        """Whether the request was refused because the process was not there."""
        refused = record.failure is Failure.REFUSED
        return refused and 0 <= record.ended - self.began <= self.away_s


@dataclass(slots=True)
class Ledger:
    """All that happened."""

    records: list[Record] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)

    def lost(self) -> list[Record]:
        """The failures that no disturbance explains."""
        return [
            record
            for record in self.records
            if record.failed and not any(found.explains(record) for found in self.disturbances)
        ]

    def is_under_way(self, name: str) -> bool:
        """Whether a disturbance of that name is going on."""
        forever = float("inf")
        return any(found.name == name and found.ended == forever for found in self.disturbances)

    def during(self, record: Record) -> list[str]:
        """What was going on while a request was under way."""
        return [found.name for found in self.disturbances if found.touches(record)] or [CALM]

    def describe(self, records: Iterable[Record], most: int = 20) -> str:
        """A line for each, for people."""
        ordered = sorted(records, key=lambda record: record.ended)
        zero = min((record.began for record in self.records), default=0.0)
        lines = [
            f"{record.ended - zero:8.2f} s  {record.kind} to {record.target} after "
            f"{record.seconds:.2f} s: {record.status or '-'} {record.leg or '-'} {record.detail}"
            f"{' (reused)' if record.reused else ''} during {', '.join(self.during(record))}"
            for record in ordered[:most]
        ]
        if len(ordered) > most:
            lines.append(f"... and {len(ordered) - most} more")
        return "\n".join(lines)

    def table(self) -> str:
        """Requests by disturbance and kind: how many there were, failed, lost, and how slow."""
        lost = {id(record) for record in self.lost()}
        by_name: dict[str, dict[int, Record]] = {}
        counts: dict[str, int] = {}
        for found in self.disturbances:
            counts[found.name] = counts.get(found.name, 0) + 1
            touched = by_name.setdefault(found.name, {})
            touched.update((id(record), record) for record in self.records if found.touches(record))
        everything = {id(record): record for record in self.records}
        rows = [_COLUMNS]
        for name, records in [*by_name.items(), ("all", everything)]:
            kinds = sorted({record.kind for record in records.values()})
            for kind in kinds:
                of_kind = [record for record in records.values() if record.kind == kind]
                times = sorted(record.seconds for record in of_kind)
                rows.append(
                    (
                        name,
                        str(counts.get(name, "")),
                        kind,
                        str(len(of_kind)),
                        str(sum(record.failed for record in of_kind)),
                        str(sum(id(record) in lost for record in of_kind)),
                        str(sum(record.retries for record in of_kind)),
                        f"{times[len(times) // 2] * 1000:.0f}",
                        f"{times[-1] * 1000:.0f}",
                    )
                )
        return _aligned(rows)


_COLUMNS: Final = (
    "during", "times", "kind", "requests", "failed", "lost", "retried", "p50 ms", "max ms"
)  # fmt: skip


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text_columns = (0, 2)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in text_columns else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
