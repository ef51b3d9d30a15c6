"""Who acts when there are several: the rules of an election over a Lease.

No clock but one's own is trusted. A Lease has run out when it was not seen to change for as long as
it says, counted from when the change was seen; who holds it stops acting before, counted from when
the write that renewed it was sent. Every write names the version that was seen last, so that of
several at once one succeeds. Pure: `now` is an argument, in seconds of any clock that only goes
forward. Method: client-go's leader election (Apache-2.0), as its behaviour is documented.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from pilotlight.config.leader_election import LeaderElection

_NEVER: Final = float("-inf")


class Step(enum.Enum):
    """What a candidate does next."""

    LOOK = "read the Lease"
    CREATE = "make the Lease, held by this candidate"
    TAKE = "write this candidate into the Lease"
    RENEW = "write that the holder is still there"


class Lease(NamedTuple):
    """What a Lease says. `holder` is empty when nobody holds it; `term` tells the times apart at
    which one candidate held it; `pulse` changes whenever it is renewed.
    """

    holder: str
    term: str
    pulse: str
    duration_s: float


class Election:
    """One candidate: what it knows of the Lease, and until when it may act."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.lease: Lease | None = None
        """As it was last seen; None when there was none, or it was never looked at."""
        self.until = _NEVER
        """Until when this candidate may act."""
        self._known = False
        self._has_held = False
        self._term = ""
        self._looked_at = self._changed_at = self._renewed_at = self._retry_at = _NEVER

    def leads(self, now: float) -> bool:
        return now < self.until

    @property
    def is_ours(self) -> bool:
        """Whether the Lease, as last seen, is held by this candidate in its own present term."""
        lease = self.lease
        return lease is not None and (lease.holder, lease.term) == (self.identity, self._term)

    def next(self, timings: LeaderElection, now: float) -> tuple[Step, float]:
        """The next step and when it is due, which may be in the past."""
        lease = self.lease
        if not self._known:
            return Step.LOOK, self._retry_at
        if lease is None:
            return Step.CREATE, self._retry_at
        if self.is_ours:
            due = self._renewed_at + renewal_interval_s(timings) if self.leads(now) else now
            return Step.RENEW, max(due, self._retry_at)
        if not lease.holder or self._may_resume(lease):
            return Step.TAKE, self._retry_at
        expiry = self._changed_at + lease.duration_s
        next_look = max(self._looked_at + timings.retry_period_s, self._retry_at)
        if expiry <= max(now, next_look):
            return Step.TAKE, max(expiry, self._retry_at)
        return Step.LOOK, next_look

    def saw(self, lease: Lease | None, now: float) -> None:
        """The Lease was read, or it was found that there is none; `now` is when the answer came."""
        if lease is None or lease != self.lease:
            self._changed_at = now
        self.lease, self._known, self._looked_at = lease, True, now
        self._retry_at = _NEVER
        if lease is not None and not self.is_ours:
            self.until = _NEVER

    def sends(self, step: Step, term: str, timings: LeaderElection, now: float) -> None:
        """A write is sent with these timings; unless it renews, it would begin a term of that name.
        Its answer may be lost, so that it counts from now on: others may have seen it."""
        if step is Step.RENEW:
            self.until = min(self.until, now + timings.renew_deadline_s)
        else:
            self._term = term

    def wrote(self, lease: Lease, timings: LeaderElection, sent_at: float) -> None:
        """A write that was made with these timings has succeeded."""
        self.lease, self._term = lease, lease.term
        self._known = self._has_held = True
        self._renewed_at, self._retry_at = sent_at, _NEVER
        self.until = sent_at + timings.renew_deadline_s

    def failed(
        self, step: Step, timings: LeaderElection, sent_at: float, *, outdated: bool = False
    ) -> None:
        """A step failed. `outdated`: because the Lease is not what it was thought to be."""
        self._retry_at = sent_at + timings.retry_period_s
        # A write that begins a term may have succeeded all the same; a renewal is the same again.
        if outdated or step is not Step.RENEW:
            self._known = False

    def resigned(self) -> None:
        """This candidate acts no longer, whatever the Lease says."""
        self.until = _NEVER

    def _may_resume(self, lease: Lease) -> bool:
        """Whether the holder is this candidate before it was started anew. Once it has held the
        Lease itself, another that calls itself the same is somebody else."""
        return lease.holder == self.identity and not self._has_held


def renewal_interval_s(timings: LeaderElection) -> float:
    """How often the holder renews: as seldom as leaves time to try twice more, since each time
    costs. One that had to stop, and finds the Lease as it left it, goes on at once.
    """
    return max(timings.retry_period_s, timings.renew_deadline_s - 2 * timings.retry_period_s)
