"""The HTTP engine of the proxies: pure framing and exchange state, and a thin asyncio shell.

A `Server` listens and calls its application, a plain function, with an `Exchange` as soon as the
head of a request is complete. The application answers by `exchange.respond(...)`, or gives the
request to an `Upstream` by `exchange.forward(...)`, at once or any time later; bodies, trailers,
tunnels and back-pressure are the engine's business. What happens on the way is told to the
exchange's `ForwardListener`, whose `on_done` is called exactly once.

    def app(exchange: Exchange) -> None:
        exchange.limit(Timeouts(total_s=300))
        exchange.forward(upstream, MyListener(), Forwarding(add=[(b"Via", b"1.1 me")]))

    server = Server(app)
    port = await server.listen("127.0.0.1", 0)
    ...
    await server.drain(10)

Names are given in lower case where one asks for fields, and in any case where one adds them.
"""

from pilotlight.http.admin import AdminServer
from pilotlight.http.answers import answer_error
from pilotlight.http.errors import ConnectError, HttpError, PeerError, StateError, UpstreamLostError
from pilotlight.http.exchange import Exchange
from pilotlight.http.fetch import Answer, Target, fetch
from pilotlight.http.fields import HOP_BY_HOP, Headers
from pilotlight.http.forwarded import forwarded_shim, x_forwarded
from pilotlight.http.forwarding import AS_IS, Forwarding, dropping
from pilotlight.http.head import Request, Response
from pilotlight.http.limits import ConnectionTimes, Limits, Timeouts
from pilotlight.http.listener import (
    LEG_APP,
    LEG_CONNECT,
    LEG_QUEUE,
    LEG_ROUTE,
    LEG_TIMEOUT,
    PROXY,
    RETRY,
    ForwardListener,
    Outcome,
)
from pilotlight.http.server import Server
from pilotlight.http.upstream import Pool, Upstream

__all__ = [
    "AS_IS",
    "HOP_BY_HOP",
    "LEG_APP",
    "LEG_CONNECT",
    "LEG_QUEUE",
    "LEG_ROUTE",
    "LEG_TIMEOUT",
    "PROXY",
    "RETRY",
    "AdminServer",
    "Answer",
    "ConnectError",
    "ConnectionTimes",
    "Exchange",
    "ForwardListener",
    "Forwarding",
    "Headers",
    "HttpError",
    "Limits",
    "Outcome",
    "PeerError",
    "Pool",
    "Request",
    "Response",
    "Server",
    "StateError",
    "Target",
    "Timeouts",
    "Upstream",
    "UpstreamLostError",
    "answer_error",
    "dropping",
    "fetch",
    "forwarded_shim",
    "x_forwarded",
]
