"""`python -m pilotlight_local`: the verbs of `pilotlight local`."""

from __future__ import annotations

from pilotlight_local.cli import local

if __name__ == "__main__":
    local(prog_name="pilotlight local")
