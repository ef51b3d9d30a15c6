"""Programs that are run to their end for what they say: exec probes and hooks."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

from pilotlight_local.kubelet.processes import Command, Process, SpawnError, Supervisor

_EXEC_OUTPUT_BYTES: Final = 10 << 10


async def run_captured(supervisor: Supervisor, command: Command, timeout: float) -> tuple[int, str]:
    """Run a program to its end and return its exit code and the beginning of its output.

    Raises TimeoutError (the program is killed), or OSError when it cannot be started.
    """
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = bytearray()
    ended: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        chunk = os.read(read, _EXEC_OUTPUT_BYTES)
        output.extend(chunk[: _EXEC_OUTPUT_BYTES - len(output)])
        if not chunk and not ended.done():
            ended.set_result(None)
            loop.remove_reader(read)

    loop.add_reader(read, on_readable)
    process: Process | None = None
    try:
        try:
            process = await supervisor.spawn(command, write, write)
        except SpawnError as error:
            raise OSError(str(error)) from error
        finally:
            os.close(write)
        async with asyncio.timeout(timeout):
            code = (await asyncio.shield(process.ended)).code
            await ended
        return code, output.decode(errors="replace")
    finally:
        if process is not None:
            process.signal(signal.SIGKILL)
        loop.remove_reader(read)
        os.close(read)
