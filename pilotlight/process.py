"""The life of a component's process: one event loop, one orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

_log: Final = logging.getLogger("process")

Main = Callable[[asyncio.Event], Awaitable[None]]


def run(main: Main) -> int:
    """Run `main(stop)` until it returns, and return the process's exit code: 0, or 1 if it raised.

    SIGTERM or SIGINT set `stop`; a second one ends the process at once with code 128 + signal.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_with_signals(main))
    except Exception:
        _log.exception("the process ends because of an error")
        return 1
    return 0


def install_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`, and a second one end the process. `run` does so already;
    a library that puts handlers of its own in place makes it necessary again.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            _log.warning("second signal: exiting without waiting", extra={"signal": number})
            os._exit(128 + number)
        _log.info("signal received: shutting down", extra={"signal": number})
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


async def _with_signals(main: Main) -> None:
    stop = asyncio.Event()
    install_signals(stop)
    await main(stop)
