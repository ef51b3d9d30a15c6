"""The process of an instance: start, stay until told to stop, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from typing import Final

from pilotlight import process
from pilotlight.logs import JsonFormatter
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.assets import AssetError
from pilotlight_local.directory import DataDirectory, DirectoryError
from pilotlight_local.install import InstallError
from pilotlight_local.instance import Instance, Options, StartError
from pilotlight_local.kustomize import KustomizeError
from pilotlight_local.network import NetworkError
from pilotlight_local.ports import PortError
from pilotlight_local.report import Reporter

_log: Final = logging.getLogger("instance")
_LOG_BYTES: Final = 5 << 20
_KEEP: Final = b"k"
_EXPECTED: Final = (
    DirectoryError,
    PortError,
    NetworkError,
    InstallError,
    KustomizeError,
    AssetError,
    StartError,
    ApiError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process on whose behalf an instance runs, seen through a pipe: when its end closes, the
    instance stops, unless it was told before that it may stay.
    """

    fd: int


def serve(options: Options, reporter: Reporter, owner: Owner | None = None) -> int:
    """Run an instance until SIGINT, SIGTERM, SIGHUP or its owner ends it; returns the exit code."""
    code = 0

    async def main(stop: asyncio.Event) -> None:
        nonlocal code
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)
        code = await _run(options, reporter, owner, stop)

    return process.run(main) or code


async def _run(
    options: Options, reporter: Reporter, owner: Owner | None, stop: asyncio.Event
) -> int:
    instance = Instance(options, reporter.step)
    if owner is not None:
        _watch_owner(owner.fd, stop)
    start = asyncio.create_task(_start(instance, reporter), name="start of the instance")
    stopped = asyncio.create_task(stop.wait(), name="stop of the instance")
    await asyncio.wait([start, stopped], return_when=asyncio.FIRST_COMPLETED)
    try:
        if not start.done():
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            return 1
        if not start.result():
            return 1
        await stopped
        reporter.note("stopping; once more (Ctrl-C) ends everything at once")
        return 0
    finally:
        stopped.cancel()
        await instance.stop()


async def _start(instance: Instance, reporter: Reporter) -> bool:
    try:
        _log_to(instance.directory)
        reporter.ready(await instance.start())
        return True
    except _EXPECTED as error:
        _log.error("the instance cannot be started", extra={"error": str(error)})
        reporter.failed(str(error))
        return False


def _log_to(directory: DataDirectory) -> None:
    """All logs of this process go to the instance's own log, bounded in size."""
    directory.prepare()
    handler = RotatingFileHandler(directory.own_log, maxBytes=_LOG_BYTES, backupCount=1)
    handler.setFormatter(JsonFormatter("local"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _watch_owner(fd: int, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        loop.remove_reader(fd)
        kept = os.read(fd, 1) == _KEEP
        os.close(fd)
        if not kept:
            stop.set()

    os.set_blocking(fd, False)
    loop.add_reader(fd, on_readable)
