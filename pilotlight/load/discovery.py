"""From a headless Service's name to the addresses behind it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable

from pilotlight import names


def parse_hosts(lines: Iterable[str], name: str) -> list[str]:
    """The addresses that a file in the format of hosts(5) gives for `name`."""
    found: list[str] = []
    for line in lines:
        address, *aliases = line.partition("#")[0].split() or [""]
        if name in aliases and address not in found:
            found.append(address)
    return found


async def resolve(name: str) -> list[str]:
    """All addresses of a name, sorted; none when it is unknown at the moment.

    The file that $PILOTLIGHT_HOSTS names comes first (where no DNS knows the cluster's names);
    then the system's resolver.
    """
    path = os.environ.get(names.ENV_HOSTS)
    if path:
        try:
            with open(path, encoding="utf-8") as file:  # noqa: ASYNC230 - a small local file
                found = parse_hosts(file, name)
        except OSError:
            found = []
        if found:
            return sorted(found)
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(answer[4][0]) for answer in answers})
