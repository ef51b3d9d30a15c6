"""`python -m pilotlight_autoscaler`: the autoscaler's process."""

from __future__ import annotations

import asyncio
import os
import sys

from pilotlight import logs, process
from pilotlight.kube.client import KubeClient
from pilotlight_autoscaler.app import App, options_of


async def serve(stop: asyncio.Event) -> None:
    async with KubeClient.from_env("pilotlight-autoscaler") as client:
        await App(client, options_of(os.environ)).run(stop)


def main() -> int:
    options = options_of(os.environ)
    logs.configure("autoscaler", options.log_level)
    return process.run(serve)


if __name__ == "__main__":
    sys.exit(main())
