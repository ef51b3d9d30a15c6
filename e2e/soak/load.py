"""Requests of every kind at a constant rate, whatever becomes of those before them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from e2e.soak.client import Ask, BrokenError, Client, RefusedError, Reply
from e2e.soak.ledger import Failure, Ledger, Record

SHORT: Final = "short"
ECHO: Final = "echo"
SLEEP: Final = "sleep"
STREAM: Final = "stream"
WEBSOCKET: Final = "websocket"

LONG_S: Final = (10.0, 30.0)
TALK_S: Final = (10.0, 20.0)
EVENT_S: Final = 0.5
ANSWER_S: Final = 120.0
"""Within this time a request that is not itself longer is answered, outages included."""
BODIES: Final = (20, 1_000, 16_000, 100_000)
"""The last is more than a proxy keeps to send it again."""
ONE_SHOT: Final = 0.2
"""The share of requests on a connection of their own."""
_LONGEST_STEP_S: Final = 0.25


@dataclass(slots=True)
class Flow:
    """Requests of one kind to one Service; `per_s` may be changed at any time."""

    kind: str
    host: str
    target: str
    per_s: float


class UnexpectedStatusError(Exception):
    pass


class WrongBodyError(Exception):
    pass


class Load:
    """All flows, in a thread with an event loop of its own."""

    def __init__(self, gateway: str, ledger: Ledger) -> None:
        address = urlsplit(gateway)
        self._client = Client(address.hostname or "127.0.0.1", address.port or 80)
        self._ledger = ledger
        self._flows: list[Flow] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._stop = threading.Event()
        self._random = random.Random(4)
        self._kinds: dict[str, Callable[[Record, Flow], Awaitable[None]]] = {
            SHORT: self._short,
            ECHO: self._echo,
            SLEEP: self._sleep,
            STREAM: self._stream,
            WEBSOCKET: self._websocket,
        }

    def add(self, flow: Flow) -> Flow:
        self._flows.append(flow)
        return flow

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the block runs; then until the last request has ended."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._run())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, name="load")
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()
        if failed:
            raise failed[0]

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()

    async def _run(self) -> None:
        flows: dict[int, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                for flow in list(self._flows):
                    if id(flow) not in flows:
                        flows[id(flow)] = group.create_task(self._follow(flow))
                await asyncio.sleep(_LONGEST_STEP_S)
        await asyncio.gather(*self._under_way)
        self._client.close()

    async def _follow(self, flow: Flow) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._random.random() / max(flow.per_s, 1.0)
        while not self._stop.is_set():
            now = loop.time()
            if flow.per_s <= 0:
                due = now
                await asyncio.sleep(_LONGEST_STEP_S)
            elif due > now:
                await asyncio.sleep(min(due - now, _LONGEST_STEP_S))
            else:
                due += 1 / flow.per_s
                task = loop.create_task(self._one(flow))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    async def _one(self, flow: Flow) -> None:
        record = Record(flow.kind, flow.target, time.monotonic())
        try:
            async with asyncio.timeout(ANSWER_S + LONG_S[1]):
                await self._kinds[flow.kind](record, flow)
        except RefusedError as error:
            record.failure, record.detail = Failure.REFUSED, str(error)
        except BrokenError as error:
            record.failure, record.detail = Failure.BROKEN, str(error)
            record.reused = record.reused or error.reused
        except UnexpectedStatusError as error:
            record.failure, record.detail = Failure.STATUS, str(error)
        except WrongBodyError as error:
            record.failure, record.detail = Failure.WRONG, str(error)
        except TimeoutError:
            record.failure, record.detail = Failure.LATE, "no answer in time"
        record.ended = time.monotonic()
        self._ledger.records.append(record)

    # The kinds

    async def _short(self, record: Record, flow: Flow) -> None:
        await self._ask(record, self._plain(flow, "/"))

    async def _sleep(self, record: Record, flow: Flow) -> None:
        seconds = self._random.uniform(*LONG_S)
        await self._ask(record, self._plain(flow, f"/sleep?ms={seconds * 1000:.0f}"))
        if time.monotonic() - record.began < seconds:
            raise WrongBodyError("it did not sleep")

    async def _echo(self, record: Record, flow: Flow) -> None:
        body = self._random.randbytes(self._random.choice(BODIES) // 2).hex().encode()
        keep = self._random.random() >= ONE_SHOT
        got = await self._ask(record, Ask(flow.host, "/echo", "POST", body, keep))
        if got != body:
            raise WrongBodyError(f"{len(got)} bytes came back of {len(body)}, or others")

    async def _stream(self, record: Record, flow: Flow) -> None:
        count = round(self._random.uniform(*TALK_S) / EVENT_S)
        path = f"/stream?n={count}&ms={EVENT_S * 1000:.0f}"
        got = await self._ask(record, self._plain(flow, path))
        if got != b"".join(b"data: %d\n\n" % number for number in range(count)):
            raise WrongBodyError(f"a stream of {count} events ended with {got[-20:]!r}")

    async def _websocket(self, record: Record, flow: Flow) -> None:
        count = round(self._random.uniform(*TALK_S) / EVENT_S)
        try:
            socket = connect(
                f"ws://{flow.host}/websocket",
                host=self._client.host,
                port=self._client.port,
                proxy=None,
                compression=None,
                ping_interval=None,
                open_timeout=ANSWER_S,
            )
            async with socket as connection:
                record.status = 101
                for number in range(count):
                    text = f"{number} of {flow.target}"
                    await connection.send(text)
                    if (got := await connection.recv()) != text:
                        raise WrongBodyError(f"{text!r} came back as {got!r}")
                    await asyncio.sleep(EVENT_S)
            if (code := connection.close_code) != 1000:
                raise BrokenError(f"the goodbye was not answered: {code}")
        except ConnectionClosed as error:
            raise BrokenError(f"in the conversation: {error!r}") from error
        except InvalidMessage as error:
            raise BrokenError(f"before the handshake: {error.__cause__!r}") from error
        except InvalidHandshake as error:
            response = getattr(error, "response", None)
            if response is None:
                raise BrokenError(f"in the handshake: {error!r}") from error
            record.status = response.status_code
            record.leg = response.headers.get("K-Pilotlight-Leg", "")
            raise UnexpectedStatusError(str(response.body)) from error
        except ConnectionRefusedError as error:
            raise RefusedError(str(error)) from error
        except OSError as error:
            raise BrokenError(f"in the handshake: {error!r}") from error

    def _plain(self, flow: Flow, path: str) -> Ask:
        return Ask(flow.host, path, keep=self._random.random() >= ONE_SHOT)

    async def _ask(self, record: Record, ask: Ask) -> bytes:
        """The whole body of a 200."""
        reply = await self._client.ask(ask)
        record.reused, record.retries = reply.reused, reply.retries
        record.status = reply.status
        record.leg = reply.headers.get("k-pilotlight-leg", "")
        body = await self._read(reply)
        self._client.done(ask, reply)
        if reply.status != 200:
            raise UnexpectedStatusError(body.decode(errors="replace"))
        return body

    async def _read(self, reply: Reply) -> bytes:
        try:
            return await reply.body()
        except BaseException:
            reply.connection.close()
            raise
