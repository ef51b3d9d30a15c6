"""The directory of an instance: held once, and taken over from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pilotlight_local.directory import DataDirectory, DirectoryError, Running, orphans

RUNNING = Running(
    pid=os.getpid(),
    gateway="http://127.0.0.1:8080",
    api="https://127.0.0.1:1",
    kubeconfig="/k",
    data_dir="/d",
    started_at=1.0,
    version="1",
    network="127.10.0.0/16",
)


def test_one_holder(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path / "d"), DataDirectory(tmp_path / "d")
    assert not first.is_held()
    assert first.running() is None
    first.hold()
    first.publish(RUNNING)
    assert second.is_held()
    assert second.running() == RUNNING
    with pytest.raises(DirectoryError, match="already running"):
        second.hold()
    first.release()
    assert not second.is_held()
    assert second.running() is None
    second.hold()
    second.release()
    assert (tmp_path / "d").stat().st_mode & 0o077 == 0


def test_a_killed_holder_is_followed_and_its_processes_are_ended(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os, subprocess, sys, time
        from pathlib import Path
        from pilotlight_local.directory import DataDirectory
        directory = DataDirectory(Path({str(tmp_path)!r}))
        directory.hold()
        environment = {{
            "PILOTLIGHT_HOSTS": str(directory.hosts), "PILOTLIGHT_CONTAINER_ID": "x",
        }}
        argv = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(argv, env=environment, start_new_session=True)
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )
    directory = DataDirectory(tmp_path)
    with holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert directory.is_held()
        holder.kill()
    assert orphans(directory.hosts) == [child]
    directory.hold()
    deadline = time.monotonic() + 5
    while orphans(directory.hosts):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    directory.release()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryError, match="cannot be used"):
        DataDirectory(tmp_path / "file" / "d").hold()


@pytest.mark.parametrize("earlier", [0o755, None])
def test_nobody_else_reads_what_is_in_it(tmp_path: Path, earlier: int | None) -> None:
    root = tmp_path / "d"
    if earlier is not None:  # as an older version has left it
        (root / "logs").mkdir(parents=True)
        (root / "lock").touch()
        (root / "state.db").write_bytes(b"")
        for path in (root, root / "logs", root / "state.db"):
            path.chmod(earlier)
    DataDirectory(root).prepare()
    modes = {path.name: path.stat().st_mode & 0o777 for path in [root, *root.iterdir()]}
    assert modes.pop("lock", 0) & 0o022 == 0
    private = dict.fromkeys(("d", "logs", "pods", "accounts"), 0o700)
    assert modes == {**private, "state.db": 0o600}


def test_a_directory_with_other_things_in_it_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "work.txt").touch()
    tmp_path.chmod(0o755)
    directory = DataDirectory(tmp_path)
    for _ in range(2):
        directory.hold()
        directory.release()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_waiting_for_the_end(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.hold()
    assert not directory.wait_released(0.05)
    assert directory.wait_released(1.0, directory.release)
