"""`python -m pilotlight_queue_proxy`: the environment says everything."""

from __future__ import annotations

import time

# Before what follows is imported, which takes most of the start.
_started_at = time.time()

import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from pilotlight_queue_proxy.late import postpone  # noqa: E402


def main() -> int:
    # What is made at the start stays: there is nothing to collect.
    gc.disable()
    # Whoever says so without a need for it has a slower start, and no more.
    postpone(tls="HTTPS" in os.environ.get("SERVING_READINESS_PROBE", ""))

    import asyncio

    from pilotlight import logs, process
    from pilotlight_queue_proxy.proxy import serve
    from pilotlight_queue_proxy.settings import SettingsError, parse

    try:
        settings = parse(os.environ)
    except SettingsError as error:
        print(f"queue-proxy: {error}", file=sys.stderr)
        return 2
    logs.configure("queue-proxy", settings.log_level)
    gc.freeze()
    gc.enable()

    async def run(stop: asyncio.Event) -> None:
        await serve(settings, _started_at, stop)

    return process.run(run)


if __name__ == "__main__":
    sys.exit(main())
