"""`python -m benchmarks.proxy [CASE...] [--subjects NAME,...] [--rounds N] [--seconds N]`.

Each subject is started anew for each case and each round; rounds take turns: all subjects of a
case, case after case, and all of it again. CPU time is what the kernel has of the subject's
processes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.proxy import bed as beds
from benchmarks.proxy.bed import Bed
from benchmarks.proxy.cases import CASES, Case
from benchmarks.proxy.goals import verdicts
from benchmarks.proxy.report import spread_table
from benchmarks.proxy.subjects import SUBJECTS, Subject, prepare
from benchmarks.results import CaseError, Row, row, write

_UNITS = {"ms": "ms", "mb": "MB", "s": "1/s"}


@dataclass(slots=True)
class Run:
    """What was measured, by case, subject and figure, and what the reader has to know; kept under
    `name` after each round."""

    name: str
    values: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            print(f"- {text}", file=sys.stderr)

    def rows(self) -> list[Row]:
        return [row(*key, unit(key[2]), found) for key, found in self.values.items()]

    def save(self) -> Path:
        return write(self.name, self.rows(), notes=self.notes)


def unit(figure: str) -> str:
    """The unit that a figure's name tells."""
    for part in ("cpu_us", "cpu_ns"):
        if figure.startswith(part):
            return part.removeprefix("cpu_")
    return "KiB" if "_kib_" in figure else _UNITS[figure.rpartition("_")[2]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.proxy", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="the start of a case's name")
    parser.add_argument("--subjects", default="", help="some only, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--list", action="store_true", help="name the cases and subjects")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(one.name for one in (*CASES, *SUBJECTS)))
        return
    cases = choose(arguments.cases)
    names = arguments.subjects.split(",") if arguments.subjects else []
    subjects = [one for one in SUBJECTS if not names or one.name in names]
    unknown = set(names) - {one.name for one in SUBJECTS}
    if unknown or not cases:
        parser.error(f"no such subject or case: {', '.join(sorted(unknown) or arguments.cases)}")
    whole = cases == list(CASES) and subjects == list(SUBJECTS)
    run = Run("proxy" if whole else "proxy-part")
    try:
        _measure(run, cases, subjects, max(1, arguments.rounds), max(1, arguments.seconds))
    except KeyboardInterrupt:
        run.note("it was ended before it was done")
    rows = run.rows()
    notes = [f"- {note}" for note in run.notes]
    print("\n".join(["", spread_table(rows), "", verdicts(rows), "", *notes]))
    if rows:
        print(f"written to {run.save()}")
    sys.exit(0 if rows else 1)


def choose(wanted: Sequence[str]) -> list[Case]:
    """The cases that are named, or whose names start so; all of them without a name."""
    names = {one.name for one in CASES}
    return [
        case
        for case in CASES
        if not wanted
        or any(
            case.name == one or (one not in names and case.name.startswith(one)) for one in wanted
        )
    ]


def _measure(
    run: Run, cases: Sequence[Case], subjects: Sequence[Subject], rounds: int, seconds: int
) -> None:
    here = []
    for subject in subjects:
        if missing := prepare(subject):
            run.note(f"{subject.name}: left out: {missing}")
        else:
            here.append(subject)
    if not beds.own_network():
        run.note("in the machine's own network, where others may take ports and time")
    load_core, proxy_core = beds.choose_cores()
    if load_core == proxy_core:
        run.note("there is one core only: the load and the upstream take from the proxies' time")
    os.sched_setaffinity(0, {load_core})
    if not beds.allow_many_files():
        run.note(f"ulimit -n is below {beds.FILES}: with many connections a subject may be missing")
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        bed = Bed(Path(folder), proxy_core)
        with bed.standing(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for number in range(rounds):
                for case in cases:
                    print(f"round {number + 1} of {rounds}: {case.name}", file=sys.stderr)
                    for subject in filter(case.fits, here):
                        runner.run(_one(bed, run, case, subject, seconds))
                run.save()


async def _one(bed: Bed, run: Run, case: Case, subject: Subject, seconds: int) -> None:
    try:
        async with bed.running(subject.start, case.concurrency) as running:
            figures = await case.load(bed, running, seconds)
    except (CaseError, OSError, TimeoutError) as error:
        run.note(f"{case.name}, {subject.name}: a round is missing: {error or type(error)}")
        return
    for figure, value in figures.items():
        run.values.setdefault((case.name, subject.name, figure), []).append(value)


if __name__ == "__main__":
    main()
