"""The port that an instance listens on for people: the gateway's."""

from __future__ import annotations

import socket
from dataclasses import dataclass

_BACKLOG = 4096
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class PortError(Exception):
    """A port cannot be had; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class GatewaySockets:
    """Where the gateway listens: one port, on the loopback addresses that the machine has.

    The sockets are the instance's, and activators inherit them: clients that come while one
    activator follows another wait in the system's queue instead of being refused.
    """

    port: int
    sockets: tuple[socket.socket, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(found.fileno() for found in self.sockets)

    def close(self) -> None:
        """Listen no more, not even in processes that have inherited the sockets."""
        for found in self.sockets:
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already, or the system does not need that
            found.close()


def open_gateway(port: int) -> GatewaySockets:
    """Listen on a port, 0 for any free one. Raises PortError when it is taken."""
    hosts = [(family, host) for family, host in _HOSTS if _exists(family, host)]
    for _ in range(20):
        opened: list[socket.socket] = []
        chosen = port
        try:
            for family, host in hosts:
                opened.append(_listen(family, host, chosen))
                chosen = opened[0].getsockname()[1]
        except OSError:
            for found in opened:
                found.close()
            if port:
                raise PortError(
                    f"port {port} of {hosts[len(opened)][1]} is in use by another program; "
                    "choose another with --port, or 0 for any"
                ) from None
            continue
        return GatewaySockets(chosen, tuple(opened))
    raise PortError("no free port found for the gateway")


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _exists(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.bind((host, 0))
    except OSError:
        return False
    return True
