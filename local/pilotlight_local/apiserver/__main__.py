"""`python -m pilotlight_local.apiserver`: an API server by itself, for tests and for a look."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import secrets
import tempfile
from pathlib import Path

from pilotlight.process import run
from pilotlight_local.certificates import certificates
from pilotlight_local.kubeconfig import kubeconfig

from .cluster import Cluster
from .server import ApiServer, ServerOptions


def main() -> int:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="written at the start")
    parser.add_argument("--state", type=Path, help="SQLite file; without it, memory alone")
    arguments = parser.parse_args()

    async def serve(stop: asyncio.Event) -> None:
        with tempfile.TemporaryDirectory(prefix="pilotlight-api-") as directory:
            made = certificates(Path(directory), datetime.datetime.now(datetime.UTC))
        token = secrets.token_urlsafe(32)
        options = ServerOptions(
            port=arguments.port, tls=made.context, token=token, sqlite_path=arguments.state
        )
        server = ApiServer(Cluster(), options)
        await server.start()
        try:
            arguments.kubeconfig.touch(mode=0o600)
            arguments.kubeconfig.write_text(kubeconfig(server.url, made.ca, token))
            await stop.wait()
        finally:
            await server.stop()

    return run(serve)


if __name__ == "__main__":
    raise SystemExit(main())
