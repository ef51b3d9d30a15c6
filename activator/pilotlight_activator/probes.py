"""Probes that the gateway answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pilotlight import names
from pilotlight.http.answers import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotlight.http.exchange import Exchange
    from pilotlight_activator.routes import HostRules

_PROBE: Final = names.PROBE_HEADER.lower().encode()
_HASH: Final = names.HASH_HEADER.lower().encode()
_HASH_NAME: Final = names.HASH_HEADER.encode()
_OVERRIDE: Final = names.HASH_OVERRIDE.encode()
_KUBELET: Final = names.PROBE_USER_AGENT_KUBELET.encode()
_INGRESS_PROBE: Final = b"probe"
_ACTIVATOR: Final = names.ACTIVATOR.encode()
_EMPTY_HASH: Final = b'a probe request must contain a non-empty "K-Network-Hash" header'


class Probes:
    """Answers to the probes of ingress controllers, of other proxies and of the kubelet."""

    def __init__(self) -> None:
        self.unhealthy: Callable[[], str | None] = _well
        """Why this process should get no requests, None when it should."""

    def answer(self, exchange: Exchange, rules: HostRules | None) -> None:
        """Answers a request with a probe header.

        `probe` asks which version of an Ingress routes the request: with the hash `override` the
        answer's hash is that Ingress's, and nothing answers 200 for a host that is not routed.
        """
        index = exchange.request.index
        kind = index[_PROBE]
        if kind == _INGRESS_PROBE:
            wanted = index.get(_HASH, b"")
            if not wanted:
                exchange.respond(400, _EMPTY_HASH, [TEXT])
            elif wanted != _OVERRIDE:
                exchange.respond(200, headers=[(_HASH_NAME, wanted)])
            elif rules is None:
                exchange.respond(404, b"no ingress routes this host", [TEXT])
            else:
                exchange.respond(200, headers=[(_HASH_NAME, rules.digest)])
        elif kind == _ACTIVATOR:
            exchange.respond(200, _ACTIVATOR, [TEXT])
        else:
            exchange.respond(400, b'unexpected probe header value: "%b"' % kind, [TEXT])

    def answer_kubelet(self, exchange: Exchange) -> bool:
        """Answers a kubelet's probe of this very process.

        Returns:
            Whether the request was one.
        """
        if not exchange.request.index.get(b"user-agent", b"").startswith(_KUBELET):
            return False
        reason = self.unhealthy()
        if reason is None:
            exchange.respond(200, b"ok\n", [TEXT])
        else:
            exchange.respond(500, reason.encode() + b"\n", [TEXT])
        return True


def _well() -> str | None:
    return None
