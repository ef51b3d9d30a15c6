"""The activator's process: `python -m pilotlight_activator`. Environment only, no arguments."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Final

from pilotlight import logs, names, process
from pilotlight.kube.client import KubeClient
from pilotlight_activator.errors import ActivatorError, SettingsError
from pilotlight_activator.service import Service
from pilotlight_activator.settings import Settings, read_settings
from pilotlight_activator.watch import Place, Watch

_log: Final = logging.getLogger("main")


def main() -> int:
    """Runs the activator until it is told to stop; returns the exit code."""
    try:
        settings = read_settings(os.environ)
        logs.configure(names.ACTIVATOR, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"pilotlight-activator: {error}", file=sys.stderr)
        return 2

    async def run(stop: asyncio.Event) -> None:
        await serve(settings, stop)

    return process.run(run)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then ends in order."""
    service = Service(settings)
    async with KubeClient.from_env(f"pilotlight-{names.ACTIVATOR}") as client:
        place = Place(settings.namespace, settings.pod_ip)
        watch = Watch(client, service.gateway.table, service.backends, place)
        watch.on_deleted = service.reports.forget
        service.know(watch)
        loop = asyncio.get_running_loop()
        watching = loop.create_task(watch.run(), name="watch")
        broken = loop.create_task(service.broken.wait(), name="broken")
        stopping = loop.create_task(stop.wait(), name="stop")
        starting = loop.create_task(service.start(), name="start")
        tasks = (watching, broken, stopping, starting)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
            starting.cancel()
            # The first two only end by an error of ours: better to be restarted than to be blind.
            if watching.done():
                await watching
            if broken.done():
                raise ActivatorError("a part of the activator has failed")
            await service.stop()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
