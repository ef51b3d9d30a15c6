"""`python -m benchmarks.cluster [CASE...] [--rounds N] [--install [FOLDER]]`.

Against the cluster that $KUBECONFIG names, from a machine that can reach its pods; memory and CPU
are read from /proc, so for these it has to be the (only) node, and root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.cluster import install, rollout, standing, starts, warm, writes
from benchmarks.cluster.bed import MANAGER, Bed, open_bed
from benchmarks.cluster.goals import GOALS
from benchmarks.cluster.settings import from_environment
from benchmarks.goals import judged
from benchmarks.results import Row, table, write
from pilotlight.kube.client import KubeClient

Case = Callable[[Bed, int], Awaitable[list[Row]]]

# What is measured at rest comes first, before the components have worked.
CASES: Final[Mapping[str, Case]] = {
    "control plane": standing.control_plane,
    writes.CASE: writes.api_writes,
    starts.CREATE: starts.create_to_ready,
    starts.COLD: starts.cold_start,
    starts.PYTHON: starts.cold_start_python,
    starts.MANY: starts.many_at_once,
    starts.BURST: starts.burst,
    "http1 13B": warm.warm_path,
    rollout.CASE: rollout.rolling_update,
}


@dataclass(slots=True)
class Outcome:
    """What was measured, and what the reader has to know of it."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def fail(self, case: str, error: Exception) -> None:
        self.failed = True
        self.notes.append(f"{case}: left out: {error or type(error).__name__}")
        traceback.print_exception(error)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.cluster", description=__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}; all without one"
    )
    parser.add_argument("--rounds", type=int, default=20, help="of a cold start; others have fewer")
    parser.add_argument(
        "--install",
        nargs="?",
        const="manifests/base",
        metavar="FOLDER",
        help="install Pilotlight first, on a cluster without, and measure that too; it stays",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    if "KUBECONFIG" not in os.environ:
        parser.error("set KUBECONFIG to the cluster to measure")
    chosen = arguments.cases or list(CASES)
    outcome = Outcome()
    try:
        asyncio.run(_run(chosen, max(1, arguments.rounds), arguments.install, outcome))
    except asyncio.CancelledError:
        outcome.failed = True
        outcome.notes.append("it was ended before it was done")
    print(_report(outcome))
    if outcome.rows:
        whole = not outcome.failed and len(chosen) == len(CASES)
        print(f"written to {write('cluster' if whole else 'cluster-part', outcome.rows)}")
    sys.exit(1 if outcome.failed else 0)


async def _run(chosen: Sequence[str], rounds: int, folder: str | None, outcome: Outcome) -> None:
    this = _ended_by_signals()
    async with KubeClient.from_env(MANAGER) as kube:
        try:
            if folder is not None:
                outcome.rows += await install.install(kube, folder)
            bed = await open_bed(kube, from_environment())
        except Exception as error:
            outcome.fail("all cases", error)
            return
        outcome.notes = bed.notes
        for name in chosen:
            bed.say(f"{name} ...")
            try:
                outcome.rows += await CASES[name](bed, rounds)
            except Exception as error:  # whatever it is, what was measured is kept
                outcome.fail(name, error)
            if this.cancelling():
                raise asyncio.CancelledError


def _ended_by_signals() -> asyncio.Task[None]:
    """This task. The first signal ends the case; those that follow do not end its clearing up."""
    this: asyncio.Task[None] | None = asyncio.current_task()
    assert this is not None

    def end() -> None:
        if not this.cancelling():
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return this


def _report(outcome: Outcome) -> str:
    notes = [f"- {note}" for note in outcome.notes]
    return "\n".join(["", table(outcome.rows), "", judged(outcome.rows, GOALS), "", *notes])


if __name__ == "__main__":
    main()
