"""The ports that an instance listens on for people: the gateway's and the API's."""

from __future__ import annotations

import socket
from dataclasses import dataclass

_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class PortError(Exception):
    """A port cannot be had; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where the gateway listens: one port, on the loopback addresses that the machine has."""

    port: int
    hosts: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def listeners(self) -> str:
        """`host:port`, separated by commas, IPv6 addresses in brackets."""
        return ",".join(
            f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in self.hosts
        )


def gateway_address(port: int) -> GatewayAddress:
    """The gateway's address for a port, 0 for any free one. Raises PortError when it is taken."""
    hosts = tuple(host for family, host in _HOSTS if _exists(family, host))
    for _ in range(20):
        chosen = port or _free_port()
        taken = next((host for host in hosts if not _is_free(host, chosen)), None)
        if taken is None:
            return GatewayAddress(chosen, hosts)
        if port:
            raise PortError(
                f"port {port} of {taken} is in use by another program; "
                "choose another with --port, or 0 for any"
            )
    raise PortError("no free port found for the gateway")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _exists(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.bind((host, 0))
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError:
            return False
        return True
