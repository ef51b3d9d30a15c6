from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pilotlight.cli.instance import (
    InstanceError,
    LocalInstance,
    command_line,
    descendants,
    environment,
    survivors,
)

FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleep, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def family() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process and its child, both asleep."""
    parent = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        yield parent, child
    finally:
        if command_line(child) is not None:
            os.kill(child, 9)
        parent.kill()
        parent.communicate()


def test_a_process_and_all_below_it_are_found() -> None:
    with family() as (parent, child):
        assert set(descendants(parent.pid)) == {parent.pid, child}
        assert "time.sleep(60)" in descendants(parent.pid)[child]
    assert descendants(parent.pid) == {}


def test_what_outlives_is_named_and_waited_for() -> None:
    with family() as (parent, child):
        processes = descendants(parent.pid)
        parent.kill()
        parent.wait()
        assert set(survivors(processes, 0.2)) == {child}
        os.kill(child, 9)
        started = time.monotonic()
        assert survivors(processes, 10.0) == {}
        assert time.monotonic() - started < 5.0


def test_a_process_that_took_over_an_id_is_no_survivor() -> None:
    assert survivors({os.getpid(): "something else"}, 0.0) == {}


def test_python_is_this_one() -> None:
    found = subprocess.run(
        ["python3", "-c", "import sys; print(sys.prefix)"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == sys.prefix


def test_nothing_runs_in_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="does not answer"):
        LocalInstance(tmp_path / "nowhere").status()
