from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from benchmarks.cluster.processes import belongs, processes_of
from benchmarks.processes import Memory, cpu_ns, cpu_of, memory, parse_cpu_ns, parse_memory

UID = "3bb7bcc7-a2ba-4bc6-8f84-58e0c66c4b3f"
POD: dict[str, Any] = {"metadata": {"name": "activator-77b889c44-zw4hv", "uid": UID}}
ROLLUP = """\
55d0c0a00000-7ffd4b3f9000 ---p 00000000 00:00 0                          [rollup]
Rss:               50000 kB
Pss:               30000 kB
Pss_Dirty:         20000 kB
Shared_Clean:       9000 kB
Private_Clean:      1000 kB
Private_Dirty:     24000 kB
Swap:                  0 kB
"""


def test_memory_is_in_millions_of_bytes() -> None:
    assert parse_memory(ROLLUP) == Memory(rss_mb=51.2, pss_mb=30.72, private_mb=25.6)


def test_memory_of_several_is_their_sum() -> None:
    assert Memory(1, 2, 3) + Memory(10, 20, 30) == Memory(11, 22, 33)


def test_cpu_time_is_the_first_number() -> None:
    assert parse_cpu_ns("756626 424697 2\n") == 756626


@pytest.mark.parametrize(
    ("cgroups", "environment", "expected"),
    [
        pytest.param(f"4:memory:/c/kubepods/burstable/pod{UID}/0a1b\n", b"", True, id="cgroup v1"),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-0a1b.scope\n",
            b"",
            True,
            id="systemd",
        ),
        pytest.param(
            "0::/\n", b"A=1\0POD_NAME=activator-77b889c44-zw4hv\0", True, id="told its name"
        ),
        pytest.param("0::/\n", b"OTHER=xactivator-77b889c44-zw4hv\0", False, id="a longer name"),
        pytest.param("4:memory:/kubepods/pod1234\n", b"PATH=/bin\0", False, id="another pod"),
    ],
)
def test_the_pod_of_a_process(cgroups: str, environment: bytes, expected: bool) -> None:
    assert belongs(cgroups, environment, POD) is expected


def test_a_running_process_is_found_and_measured() -> None:
    code = "import sys, time; sys.stdin.read(1); [None for _ in range(3_000_000)]; sys.stdin.read()"
    pod = {"metadata": {"name": f"pod-{os.getpid()}", "uid": "none"}}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={"POD_NAME": str(pod["metadata"]["name"])},
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        try:
            while sys.executable not in processes_of(pod).get(process.pid, ""):
                time.sleep(0.01)
            assert list(processes_of(pod)) == [process.pid]
            assert memory(process.pid).rss_mb > memory(process.pid).private_mb > 1
            before = cpu_ns(process.pid)
            process.stdin.write(b"xx")
            process.stdin.flush()
            while cpu_ns(process.pid) - before < 10_000_000:
                time.sleep(0.01)
            assert cpu_of({"it": [process.pid], "none": []})["none"] == 0
        finally:
            process.kill()
    with pytest.raises(OSError, match=f"process {process.pid} has ended"):
        cpu_ns(process.pid)
