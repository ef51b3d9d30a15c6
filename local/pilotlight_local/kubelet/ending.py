"""The orderly end of a process: a hook, SIGTERM, and SIGKILL when its time is up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pilotlight_local.kubelet.processes import Process

Deadline = Callable[[], float]
"""The end of the grace in the loop's time. Asked again and again, since it may come nearer."""

Answer = tuple[bool, str]

_LOOK_S: Final = 1.0
_KILLED_S: Final = 2.0


async def bounded(
    hook: Coroutine[Any, Any, Answer], process: Process, deadline: Deadline
) -> Answer:
    """Run a hook until it is done, the process has ended, or the deadline has come."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(hook, name="pre-stop hook")
    try:
        while not task.done() and not process.ended.done() and deadline() > loop.time():
            either: list[asyncio.Future[Any]] = [task, process.ended]
            left = min(deadline() - loop.time(), _LOOK_S)
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return process.ended.done(), "it did not end within the grace period"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end_process(process: Process, deadline: Deadline) -> None:
    """SIGTERM, and at the deadline SIGKILL; returns when the process has ended."""
    loop = asyncio.get_running_loop()
    process.signal(signal.SIGTERM)
    while not process.ended.done():
        left = deadline() - loop.time()
        if left <= 0:
            process.signal(signal.SIGKILL)
            left = _KILLED_S
        await asyncio.wait([process.ended], timeout=min(left, _LOOK_S))
