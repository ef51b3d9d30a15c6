"""The supervisor with real processes: nothing may survive its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pilotlight_local.kubelet.capture import run_captured
from pilotlight_local.kubelet.processes import Command, Exit, Process, SpawnError, Supervisor
from pilotlight_local.kubelet.supervisor import FrameReader, children_of, encode

PYTHON = sys.executable
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
SLEEP = "import time; time.sleep(600)"
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep({after})
"""


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    made = Supervisor()
    await made.start()
    yield made
    await made.stop()


def command(code: str, **environment: str) -> Command:
    return Command((PYTHON, "-S", "-c", code), {"PATH": os.environ["PATH"], **environment}, "/")


async def spawn(supervisor: Supervisor, code: str) -> Process:
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        return await supervisor.spawn(command(code), nothing, nothing)
    finally:
        os.close(nothing)


async def spawn_piped(supervisor: Supervisor, code: str) -> tuple[Process, int]:
    read, write = os.pipe()
    process = await supervisor.spawn(command(code), write, write)
    os.close(write)
    return process, read


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return state != "Z"


async def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("pass", Exit(0, 0), id="success"),
        pytest.param("import sys; sys.exit(3)", Exit(3, 0), id="code"),
        pytest.param("import os; os.kill(os.getpid(), 9)", Exit(137, 9), id="killed"),
        pytest.param("import os; os.kill(os.getpid(), 15)", Exit(143, 15), id="terminated"),
    ],
)
async def test_exit_is_reported(supervisor: Supervisor, code: str, expected: Exit) -> None:
    process = await spawn(supervisor, code)
    assert await asyncio.wait_for(process.ended, 5) == expected


async def test_output_and_environment_are_the_commands_own(supervisor: Supervisor) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['A'], 'HOME' in os.environ)"
    output = await run_captured(supervisor, command(code, A="1"), 5)
    assert output == (0, "/ 1 False\n")


async def test_large_environment(supervisor: Supervisor) -> None:
    """Bigger than the socket's buffer, so that the frame is sent in pieces."""
    big = {f"V{number}": "x" * 100_000 for number in range(10)}
    code = "import os; print(sum(len(v) for k, v in os.environ.items() if k[0] == 'V'))"
    assert await run_captured(supervisor, command(code, **big), 10) == (0, "1000000\n")


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        pytest.param(Command(("no-such-program",), {"PATH": "/bin"}, "/"), "ENOENT", id="program"),
        pytest.param(Command(("true",), {"PATH": "/bin"}, "/no/where"), "/no/where", id="cwd"),
        pytest.param(Command(("/",), {}, "/"), "EACCES", id="not executable"),
    ],
)
async def test_what_cannot_start_says_why(supervisor: Supervisor, bad: Command, text: str) -> None:
    with pytest.raises(SpawnError, match=text):
        await supervisor.spawn(bad, 1, 2)
    assert (await run_captured(supervisor, command("pass"), 5))[0] == 0


async def test_signal_reaches_the_whole_session(supervisor: Supervisor) -> None:
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', %r]); "
    code += "print(p.pid, flush=True); p.wait()"
    process, read = await spawn_piped(supervisor, code % SLEEP)
    child = int(await asyncio.to_thread(os.read, read, 100))
    os.close(read)
    process.signal(signal.SIGTERM)
    assert (await asyncio.wait_for(process.ended, 5)).signal == signal.SIGTERM
    await eventually(lambda: not is_alive(child))


@LINUX
async def test_what_left_its_session_dies_with_the_container(supervisor: Supervisor) -> None:
    process, read = await spawn_piped(supervisor, DAEMON.format(after=0.2))
    stray = int(await asyncio.to_thread(os.read, read, 100))
    os.close(read)
    assert is_alive(stray)
    await asyncio.wait_for(process.ended, 5)
    await eventually(lambda: not is_alive(stray))


CLEAN_DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(600)"], {})
    os._exit(0)
time.sleep(600)
"""


@LINUX
async def test_who_also_wipes_its_environment_dies_with_the_container(
    supervisor: Supervisor,
) -> None:
    other, other_output = await spawn_piped(supervisor, CLEAN_DAEMON)
    process, output = await spawn_piped(supervisor, CLEAN_DAEMON)
    bystander = int(await asyncio.to_thread(os.read, other_output, 100))
    daemon = int(await asyncio.to_thread(os.read, output, 100))
    environment = Path(f"/proc/{daemon}/environ")
    await eventually(lambda: not environment.read_bytes())
    process.signal(signal.SIGKILL)
    await eventually(lambda: not is_alive(daemon))
    assert is_alive(bystander)
    assert not other.ended.done()
    os.close(output)
    os.close(other_output)


@LINUX
async def test_death_of_the_supervisor_ends_even_who_hides(supervisor: Supervisor) -> None:
    process, output = await spawn_piped(supervisor, CLEAN_DAEMON)
    daemon = int(await asyncio.to_thread(os.read, output, 100))
    environment = Path(f"/proc/{daemon}/environ")
    await eventually(lambda: not environment.read_bytes())
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await process.ended
    await eventually(lambda: not is_alive(daemon))
    os.close(output)


@LINUX
async def test_death_of_the_supervisor_is_survived(supervisor: Supervisor) -> None:
    process, read = await spawn_piped(supervisor, DAEMON.format(after=600))
    stray = int(await asyncio.to_thread(os.read, read, 100))
    os.close(read)
    first = supervisor.pid
    os.kill(first, signal.SIGKILL)
    assert (await asyncio.wait_for(process.ended, 5)).code == 137
    await eventually(lambda: not is_alive(process.pid) and not is_alive(stray))
    await eventually(lambda: supervisor.pid != first)
    assert process.pid not in children_of(os.getpid()), "it is no zombie either"
    assert (await run_captured(supervisor, command("pass"), 5))[0] == 0


@LINUX
def test_kill_of_the_owner_leaves_no_orphan() -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        from pilotlight_local.kubelet.processes import Command, Supervisor

        async def main():
            supervisor = Supervisor()
            await supervisor.start()
            for code in sys.argv[1:]:
                argv = (sys.executable, "-S", "-c", code)
                process = await supervisor.spawn(Command(argv, {}, "/"), 1, 2)
                print(process.pid, flush=True)
            print(supervisor.pid, flush=True)
            print("ready", flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen(
        [PYTHON, "-c", program, SLEEP, DAEMON.format(after=600)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        lines: list[str] = []
        while lines.count("ready") < 1 or len(lines) < 5:
            lines.append(owner.stdout.readline().strip())
        pids = [int(line) for line in lines if line != "ready"]
        assert len(pids) == 4
        assert all(is_alive(pid) for pid in pids)
        owner.kill()
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "an orphan is left"
        time.sleep(0.01)


async def test_stop_kills_what_is_left() -> None:
    supervisor = Supervisor()
    await supervisor.start()
    process = await spawn(supervisor, SLEEP)
    await supervisor.stop()
    assert process.ended.result().code == 137
    assert not is_alive(process.pid)


async def test_an_end_at_once_is_not_missed(supervisor: Supervisor) -> None:
    true = Command(("true",), {"PATH": os.environ["PATH"]}, "/")
    for _ in range(50):
        assert await run_captured(supervisor, true, 5) == (0, "")


async def test_starting_is_quick(supervisor: Supervisor) -> None:
    """From the call until the program has taken over."""
    times = []
    for _ in range(10):
        begun = time.perf_counter()
        process = await spawn(supervisor, "pass")
        times.append(time.perf_counter() - begun)
        await process.ended
    assert sorted(times)[len(times) // 2] < 0.05


@pytest.mark.parametrize("cut", [1, 3, 4, 7, 1000])
def test_frames_are_found_however_they_are_cut(cut: int) -> None:
    messages = [{"op": "spawn", "n": n, "text": "x" * n} for n in (0, 1, 50)]
    stream = b"".join(encode(message) for message in messages)
    reader, found = FrameReader(), []
    for start in range(0, len(stream), cut):
        found += reader.feed(stream[start : start + cut])
    assert found == messages
