"""A load generator: a bounded number of requests in flight, every answer counted."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp

_REQUEST_S: Final = 60.0
_MOST_TEXTS: Final = 1000
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the gateway's address, and the Host by which it knows the Service."""

    gateway: str
    host: str
    path: str = "/"

    @classmethod
    def of_url(cls, gateway: str, url: str, path: str = "/") -> Target:
        """The target that the `status.url` of a Service means, by way of `gateway`."""
        return cls(gateway, urlsplit(url).netloc, path)


@dataclass(slots=True)
class Tally:
    """What came back: answers by status and by text, failures by name, latencies in seconds.

    At most a thousand different texts are told apart, by their first 200 characters.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))

    @property
    def total(self) -> int:
        return self.statuses.total() + self.failures.total()

    @property
    def good(self) -> int:
        return self.statuses[200]

    @property
    def lost(self) -> int:
        """Requests that ended in anything but 200."""
        return self.total - self.good

    def percentile(self, percent: float) -> float:
        """The latency in seconds that `percent` of the answers did not exceed; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0

    def explain(self) -> str:
        """The answers in one line, for a person who asks why they are not all 200."""
        parts = [f"{count} x {status}" for status, count in sorted(self.statuses.items())]
        parts += [f"{count} x {name}" for name, count in self.failures.most_common(5)]
        return ", ".join(parts) or "no answer"

    def note(self, status: int, text: str, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)
        short = text[:_LONGEST_TEXT]
        if short in self.texts or len(self.texts) < _MOST_TEXTS:
            self.texts[short] += 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float


@asynccontextmanager
async def client(connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of at most `connections` connections, ended and closed with the block."""
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=_REQUEST_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def ask(
    session: aiohttp.ClientSession, target: Target, headers: Mapping[str, str] | None = None
) -> Answer:
    """One GET; raises what aiohttp raises when there is no answer."""
    started = time.monotonic()
    async with session.get(
        target.gateway + target.path,
        headers={"Host": target.host, **(headers or {})},
        allow_redirects=False,
    ) as response:
        text = await response.text()
        return Answer(response.status, response.headers.copy(), text, time.monotonic() - started)


async def fire(target: Target, total: int, concurrency: int, tally: Tally | None = None) -> Tally:
    """Send `total` requests, at most `concurrency` at once, each as soon as another has ended.

    A `tally` given is filled while they run, so that progress can be shown.
    """
    counted = Tally() if tally is None else tally
    left = total

    def more() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    await _workers(target, concurrency, counted, more)
    return counted


async def sustain(target: Target, seconds: float, concurrency: int, tally: Tally) -> None:
    """Keep `concurrency` requests in flight for `seconds`, then let the last ones end."""
    end = time.monotonic() + seconds
    await _workers(target, concurrency, tally, lambda: time.monotonic() < end)


async def _workers(
    target: Target, concurrency: int, tally: Tally, more: Callable[[], bool]
) -> None:
    async with client(concurrency) as session, asyncio.TaskGroup() as group:
        for number in range(concurrency):
            group.create_task(_worker(session, target, tally, more), name=f"load-{number}")


async def _worker(
    session: aiohttp.ClientSession, target: Target, tally: Tally, more: Callable[[], bool]
) -> None:
    while more():
        try:
            answer = await ask(session, target)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tally.failures[type(error).__name__] += 1
        else:
            tally.note(answer.status, answer.text, answer.seconds)
