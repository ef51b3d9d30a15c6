"""`python -m pilotlight_queue_proxy`: the environment says everything."""

from __future__ import annotations

import asyncio
import os
import sys
import time

_started_at = time.time()


def main() -> int:
    from pilotlight import logs, process
    from pilotlight_queue_proxy.proxy import serve
    from pilotlight_queue_proxy.settings import SettingsError, parse

    try:
        settings = parse(os.environ)
    except SettingsError as error:
        print(f"queue-proxy: {error}", file=sys.stderr)
        return 2
    logs.configure("queue-proxy", settings.log_level)

    async def run(stop: asyncio.Event) -> None:
        await serve(settings, _started_at, stop)

    return process.run(run)


if __name__ == "__main__":
    sys.exit(main())
