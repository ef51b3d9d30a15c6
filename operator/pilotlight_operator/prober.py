"""Asks the gateways whether they serve an Ingress as it is, so that Ready never lies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp

from pilotlight import names
from pilotlight.api.ingress_hash import ingress_hash
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Key, Obj, key_of, spec_of
from pilotlight_operator.status.ingress import Served

_log: Final = logging.getLogger("prober")

FIRST_DELAY_S: Final = 0.005
GROWTH: Final = 1.5
LONGEST_DELAY_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 1.0
# A gateway has its news from the same API at about the same time: before this it is not late.
_LATE_S: Final = 1.0
_MOST_AT_ONCE: Final = 64

Addresses = Callable[[], list[str]]
Answered = Callable[[Key], None]


class Prober:
    """One task for each Ingress that is not served everywhere yet; `answers` by fingerprint.

    `addresses` gives `host:port` of every gateway; `answered` is told the key of an Ingress whose
    answer has changed.
    """

    def __init__(self, addresses: Addresses, answered: Answered, metrics: Metrics) -> None:
        self.answers: dict[str, Served] = {}
        self._addresses = addresses
        self._answered = answered
        self._metrics = metrics
        self._asked: dict[Key, tuple[str, asyncio.Task[None]]] = {}
        self._hashes: dict[Key, str] = {}
        self._limit = asyncio.Semaphore(_MOST_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def ask(self, ingress: Obj) -> None:
        """Ask until every gateway serves it. What it was before is no longer of interest."""
        key, digest = key_of(ingress), ingress_hash(ingress)
        asked = self._asked.get(key)
        if asked is not None and asked[0] == digest:
            return
        self.forget(key)
        self._hashes[key] = digest
        task = asyncio.create_task(self._run(ingress, digest), name=f"probe {'/'.join(key)}")
        self._asked[key] = (digest, task)
        task.add_done_callback(lambda done: self._ended(key, done))

    def forget(self, key: Key) -> None:
        """Stop asking, and drop the answer: the Ingress is gone or another."""
        asked = self._asked.pop(key, None)
        if asked is not None:
            asked[1].cancel()
        digest = self._hashes.pop(key, None)
        if digest is not None:
            self.answers.pop(digest, None)

    def forget_all(self) -> None:
        for key in list(self._hashes):
            self.forget(key)

    async def close(self) -> None:
        tasks = [task for _, task in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(self, ingress: Obj, digest: str) -> None:
        loop = asyncio.get_running_loop()
        late, delay, key = loop.time() + _LATE_S, FIRST_DELAY_S, key_of(ingress)
        while True:
            served = await self._ask_all(ingress, digest)
            told = served.everywhere or loop.time() >= late
            if told and self.answers.get(digest) != served:
                self.answers[digest] = served
                self._answered(key)
            if served.everywhere:
                return
            await asyncio.sleep(delay)
            delay = min(delay * GROWTH, LONGEST_DELAY_S)

    async def _ask_all(self, ingress: Obj, digest: str) -> Served:
        addresses = self._addresses()
        answers = await asyncio.gather(
            *(self._ask_one(address, ingress, digest) for address in addresses)
        )
        faults = [fault for fault in answers if fault]
        return Served(len(answers) - len(faults), len(answers), next(iter(sorted(faults)), ""))

    async def _ask_one(self, address: str, ingress: Obj, digest: str) -> str:
        """What is wrong with one gateway's answer; nothing when it is right."""
        try:
            async with (
                self._limit,
                self._open().get(
                    f"http://{address}/", headers=_headers(ingress), allow_redirects=False
                ) as response,
            ):
                found = response.headers.get(names.HASH_HEADER)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._metrics.probes.labels("unreachable").inc()
            return f"; {address} does not answer: {error or type(error).__name__}"
        if found == digest:
            self._metrics.probes.labels("current").inc()
            return ""
        self._metrics.probes.labels("outdated").inc()
        return f"; {address} does not serve this version yet"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        asked = self._asked.get(key)
        if asked is not None and asked[1] is task:
            del self._asked[key]
        if not task.cancelled() and task.exception() is not None:
            _log.error("a probe ended by an error", exc_info=task.exception())


def _headers(ingress: Obj) -> dict[str, str]:
    return {
        "Host": host_of(ingress),
        "User-Agent": names.PROBE_USER_AGENT_INGRESS,
        names.PROBE_HEADER: "probe",
        names.HASH_HEADER: names.HASH_OVERRIDE,
    }


def host_of(ingress: Obj) -> str:
    """The host to ask for: the longest name of the first rule, which is good inside the cluster."""
    for rule in spec_of(ingress).get("rules") or ():
        if rule.get("hosts"):
            return str(max(rule["hosts"], key=len))
    return ""
