"""A program that makes load, run for a while and never left behind."""

from __future__ import annotations

import asyncio


async def output_of(within_s: float, *command: str) -> str:
    """What a program prints until it ends; it is killed when that takes too long, or nobody waits
    for it any more. Raises TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(within_s):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode()
