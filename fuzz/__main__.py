"""`python -m fuzz TARGET [--seconds N]`: atheris looks for bytes that break what must hold.

Exits with 77, as libFuzzer does, when it has found some; they are then in `crash-...`, and belong
into the corpus once what they have found is mended.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pilotlight"]):
    from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    # The corpus is read only: what libFuzzer finds interesting goes into the first folder.
    settings = [f"-max_total_time={options.seconds}", f"-max_len={LONGEST}", "-verbosity=0"]
    seeds = [str(path) for path in sorted((CORPUS / options.target).iterdir())]
    settings.append("-seed_inputs=" + ",".join(seeds))
    atheris.Setup([sys.argv[0], *settings], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
