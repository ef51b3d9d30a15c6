"""The `pilotlight` command. Its verbs are entry points of the group `pilotlight.verbs`, so that
every part brings its own and none imports another.
"""

from __future__ import annotations

import sys

from pilotlight.cli.verbs import Verbs, installed_verbs

HELP = """Serve programs on Kubernetes, or with none at all: they sleep while nobody asks, and wake
at the first request.

To see it work: `pilotlight demo`. To serve a program of your own: `pilotlight run ./my-app`.
"""


def command() -> Verbs:
    """The command with the verbs that are installed."""
    return Verbs(installed_verbs(), help=HELP)


def main() -> None:
    """The console script."""
    sys.exit(command().main(prog_name="pilotlight"))
