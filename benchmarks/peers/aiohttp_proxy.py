"""A plain reverse proxy on aiohttp, for scale: `python aiohttp_proxy.py PORT UPSTREAM`.

On uvloop, with idle upstream connections kept, bodies streamed and nothing logged.
"""

from __future__ import annotations

import sys
from typing import Final

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict

_HOP_BY_HOP: Final = ("Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE", "Trailer")
_CLIENT: Final = web.AppKey("client", aiohttp.ClientSession)


def main() -> None:
    port, upstream = int(sys.argv[1]), sys.argv[2]

    async def forward(request: web.Request) -> web.StreamResponse:
        async with request.app[_CLIENT].request(
            request.method,
            f"http://{upstream}{request.raw_path}",
            headers=_end_to_end(request.headers),
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def make() -> web.Application:
        application = web.Application(client_max_size=1 << 40)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
        application[_CLIENT] = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        application.router.add_route("*", "/{tail:.*}", forward)
        return application

    uvloop.install()
    web.run_app(make(), host="127.0.0.1", port=port, access_log=None, print=None, backlog=4096)


def _end_to_end(headers: aiohttp.typedefs.LooseHeaders) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in _HOP_BY_HOP:
        kept.popall(name, None)
    return kept


if __name__ == "__main__":
    main()
