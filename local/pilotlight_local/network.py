"""Addresses and ports: an instance's own loopback network, its pods' addresses, free ports."""

from __future__ import annotations

import socket
from collections import OrderedDict, deque
from random import Random
from typing import Final

_CLAIM_PORT: Final = 10250
_FIRST: Final = 10
_LAST: Final = 250
_POD_PORTS: Final = range(20_000, 32_000)  # below the ports that systems give to clients


class NetworkError(Exception):
    """No address or port is left; the text says of what."""


class Network:
    """A loopback network 127.N.0.0/16 that this process holds until `close`, or its death.

    The claim is a datagram socket bound in it, so that the system itself keeps two processes from
    holding one network, and frees it when its holder is killed.
    """

    def __init__(self, number: int, claim: socket.socket) -> None:
        self.number = number
        self._claim = claim
        self._used: OrderedDict[str, None] = OrderedDict()
        self._next = 0
        # Chosen at random: between a look and the program's own bind, another instance that walks
        # through the same ports in the same order would choose the same one.
        self._random = Random()
        self._given: deque[int] = deque(maxlen=1000)

    @classmethod
    def claim(cls, preferred: int | None = None) -> Network:
        """Claim a network, `preferred` if it is free. Raises NetworkError when all are taken."""
        numbers = [*range(_FIRST, _LAST + 1)]
        if preferred in numbers:
            numbers = [preferred, *numbers]
        reason = ""
        for number in numbers:
            claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                claim.bind((f"127.{number}.0.1", _CLAIM_PORT))
            except OSError as error:
                claim.close()
                reason = str(error)
                continue
            return cls(number, claim)
        raise NetworkError(
            f"no network 127.N.0.0/16 with N from {_FIRST} to {_LAST} can be used ({reason}); "
            "pods need loopback addresses of their own"
        )

    @property
    def node_address(self) -> str:
        return f"127.{self.number}.0.1"

    def take_address(self) -> str:
        """An address for a pod; one that was given back is used again as late as possible."""
        size = 0xFFFF - 2
        for _ in range(size):
            host = 2 + self._next
            self._next = (self._next + 1) % size
            address = f"127.{self.number}.{host >> 8}.{host & 0xFF}"
            if address not in self._used:
                self._used[address] = None
                return address
        raise NetworkError(f"all addresses of 127.{self.number}.0.0/16 are in use")

    def give_back(self, address: str) -> None:
        self._used.pop(address, None)

    def free_port(self) -> int:
        """A port that no program listens on at the moment, on any address."""
        for _ in range(len(_POD_PORTS)):
            port = self._random.choice(_POD_PORTS)
            if port not in self._given and _is_free(port):
                self._given.append(port)
                return port
        raise NetworkError(f"no free port from {_POD_PORTS.start} to {_POD_PORTS.stop - 1}")

    def close(self) -> None:
        self._claim.close()


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("", port))
        except OSError:
            return False
        return True
