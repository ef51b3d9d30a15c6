"""Leader election: a candidate that reads and writes a Lease by the rules of `election`."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pilotlight import names
from pilotlight.config.leader_election import LeaderElection
from pilotlight.kube.client import KubeClient, Object
from pilotlight.kube.election import Election, Lease, Step
from pilotlight.kube.errors import ApiError
from pilotlight.kube.resources import LEASES

_log: Final = logging.getLogger("leases")

RELEASE_TIMEOUT_S: Final = 2.0

Term = Callable[[], Awaitable[None]]


class Candidacy(NamedTuple):
    """For which Lease somebody stands, and by which name."""

    namespace: str
    lease: str
    identity: str


def identity_of(environ: Mapping[str, str]) -> str:
    """The name to stand by: the pod's, so that a container that is started again goes on at once;
    outside of a pod one that nobody else has.
    """
    return environ.get(names.ENV_POD_NAME) or f"{socket.gethostname()}_{secrets.token_hex(4)}"


class Elector:
    """Stands for one Lease. `timings` is asked each time, so that they may change while it does."""

    def __init__(
        self, client: KubeClient, candidacy: Candidacy, timings: Callable[[], LeaderElection]
    ) -> None:
        self._client = client
        self._candidacy = candidacy
        self._timings = timings
        self._election = Election(candidacy.identity)
        self._object: Object = {}
        self._failing = False

    def leads(self) -> bool:
        """Whether this process may act, at this very moment."""
        return self._election.leads(time.monotonic())

    async def run(self, term: Term) -> None:
        """Stand for election until cancelled; give the Lease back in the end.

        Whenever this process leads, `term` runs until it is cancelled, because this process leads
        no longer; its end is waited for. What it raises ends everything.
        """
        async with asyncio.TaskGroup() as group:
            work: asyncio.Task[None] | None = None
            try:
                while True:
                    await self._turn()
                    if work is None and self.leads():
                        self._tell(logging.INFO, "leading")
                        work = group.create_task(_run(term), name=f"lead {self._candidacy.lease}")
                    elif work is not None and not self.leads():
                        self._tell(logging.WARNING, "leading no longer")
                        await _end(work)
                        work = None
            finally:
                if work is not None:
                    await _end(work)
                await self._release()

    async def _turn(self) -> None:
        """Take the next step when it is due, or come back when leadership ends before."""
        timings, now = self._timings(), time.monotonic()
        step, due = self._election.next(timings, now)
        until = self._election.until if self._election.leads(now) else math.inf
        await asyncio.sleep(max(min(due, until) - now, 0))
        sent_at = time.monotonic()
        if sent_at >= until:
            return
        try:
            # A late answer is as good, but one that never comes has to leave time to ask anew.
            async with asyncio.timeout(min(timings.renew_deadline_s / 2, until - sent_at)):
                await self._take_step(step, timings, sent_at)
        except ApiError as error:
            outdated = error.status in (404, 409)
            self._election.failed(step, timings, sent_at, outdated=outdated)
            if not outdated:
                self._note_failure(error.message)
        except TimeoutError:
            self._election.failed(step, timings, sent_at)
            self._note_failure("no answer in time")
        else:
            self._failing = False

    async def _take_step(self, step: Step, timings: LeaderElection, sent_at: float) -> None:
        if step is Step.LOOK:
            await self._look()
            return
        moment = _micro_time(datetime.now(UTC))
        wanted = self._wanted(step, timings, moment)
        self._election.sends(step, moment, timings, sent_at)
        if step is Step.CREATE:
            self._object = await self._client.create(LEASES, wanted)
        else:
            self._object = await self._client.replace(LEASES, wanted)
        self._election.wrote(_lease_of(self._object, timings), timings, sent_at)

    async def _look(self) -> None:
        before = self._election.lease
        try:
            self._object = await self._client.get(
                LEASES, self._candidacy.namespace, self._candidacy.lease
            )
        except ApiError as error:
            if not error.not_found:
                raise
            self._object = {}
        lease = _lease_of(self._object, self._timings()) if self._object else None
        self._election.saw(lease, time.monotonic())
        if lease is not None and (before is None or lease.holder != before.holder):
            _log.info("the lease is held", extra={**self._fields(), "holder": lease.holder})

    def _wanted(self, step: Step, timings: LeaderElection, moment: str) -> Object:
        """The Lease as the step writes it: this candidate's."""
        namespace, name, identity = self._candidacy
        spec = dict(self._object.get("spec") or {})
        if step is not Step.RENEW:
            if spec.get("holderIdentity") != identity:
                spec["leaseTransitions"] = spec.get("leaseTransitions", -1) + 1
            spec["acquireTime"] = moment
        spec["holderIdentity"], spec["renewTime"] = identity, moment
        # Whole seconds only: rather longer than what was asked for.
        spec["leaseDurationSeconds"] = math.ceil(timings.lease_duration_s)
        metadata = self._object.get("metadata") or {"namespace": namespace, "name": name}
        return _with(metadata, spec)

    async def _release(self) -> None:
        """Let the next one take the Lease at once."""
        self._election.resigned()
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                while self._election.is_ours:
                    try:
                        spec = {**self._object["spec"], "holderIdentity": ""}
                        await self._client.replace(LEASES, _with(self._object["metadata"], spec))
                        break
                    except ApiError as error:
                        if not error.conflict:
                            raise
                        # The last renewal came through, though its answer was not waited for.
                        await self._look()
        except (ApiError, TimeoutError) as error:
            _log.warning(
                "the lease was not given back: the next leader waits until it has run out",
                extra={**self._fields(), "error": str(error)},
            )

    def _tell(self, level: int, text: str) -> None:
        lease = self._election.lease
        holder = lease.holder if lease is not None else ""
        _log.log(level, text, extra={**self._fields(), "holder": holder})

    def _note_failure(self, text: str) -> None:
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing = True
        extra = {**self._fields(), "error": text}
        _log.log(level, "the lease cannot be read or written: will try again", extra=extra)

    def _fields(self) -> dict[str, str]:
        return {"lease": self._candidacy.lease, "identity": self._candidacy.identity}


async def _run(term: Term) -> None:
    await term()
    raise RuntimeError("a leader has to go on until it is stopped")


async def _end(work: asyncio.Task[None]) -> None:
    work.cancel()
    await asyncio.wait([work])


def _lease_of(obj: Object, timings: LeaderElection) -> Lease:
    spec = obj.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        term=spec.get("acquireTime") or "",
        pulse=spec.get("renewTime") or "",
        duration_s=spec.get("leaseDurationSeconds") or timings.lease_duration_s,
    )


def _with(metadata: Object, spec: Object) -> Object:
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
    return {**kind, "metadata": kept, "spec": spec}


def _micro_time(moment: datetime) -> str:
    """As the API writes it, always with six digits of the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
