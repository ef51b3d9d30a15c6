"""Reports in: who may report, and what each record means for the windows and the pods."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, NamedTuple

from pilotlight.load import wire
from pilotlight.load.keys import revision_key
from pilotlight.load.server import Session
from pilotlight_autoscaler.control import Control
from pilotlight_autoscaler.windows import spread

_log: Final = logging.getLogger("collect")

QUEUE_PROXY: Final = "queue-proxy"
ACTIVATOR: Final = "activator"


class SessionAsker:
    """An activator that waits for a decision about one revision."""

    __slots__ = ("_id", "_session")

    def __init__(self, session: Session, id_: int) -> None:
        self._session = session
        self._id = id_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionAsker) and self._session is other._session

    def __hash__(self) -> int:
        return hash(id(self._session))

    def decided(self, key: str, decided_at: float, patched_at: float) -> None:
        self._session.send(wire.encode_decided(wire.Decided(self._id, decided_at, patched_at)))


@dataclass(slots=True)
class Counters:
    """What has been received since the process began."""

    loads: int = 0
    unknown: int = 0
    """Records for revisions that are not known (any more)."""
    lies: int = 0
    """Connections that were dropped because they spoke for somebody else."""


class Heard(NamedTuple):
    """A reporter's last record of a revision: whether it had requests in hand, and until when it
    told of them."""

    busy: bool
    until: float


# A record that comes later than this after it was due is taken for a later one.
MOST_LATE_S: Final = 1.0

_NEVER: Final = Heard(False, float("-inf"))


class Reports:
    """Listens to reporters (see `pilotlight.load.server.Listener`)."""

    def __init__(self, control: Control) -> None:
        self.counters = Counters()
        self.master: bytes | None = None
        self.wants_master = False
        """A greeting came that the present key does not fit; there may be a newer one."""
        self._control = control
        self._heard: dict[Session, dict[int, Heard]] = {}
        self._deciding = False

    @property
    def sessions(self) -> int:
        return len(self._heard)

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        """Activators sign with the master key, a queue-proxy with its Revision's."""
        self.wants_master = True
        if self.master is None:
            return None
        if greeting.kind == ACTIVATOR:
            return self.master
        if greeting.kind != QUEUE_PROXY:
            return None
        uid = self._control.owner_uid(_revision_of(greeting))
        if uid is not None and uid != greeting.uid:
            return None
        return revision_key(self.master, greeting.namespace, greeting.revision, greeting.uid)

    def on_greeting(self, session: Session) -> None:
        self.wants_master = False
        self._heard[session] = {}
        greeting = _greeting_of(session)
        if greeting.kind == QUEUE_PROXY:
            key = _revision_of(greeting)
            self._control.fleet(key).greet(greeting.pod, session, self._control.clock())
            self._control.see_pods(key)

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Load):
            self._on_load(session, frame)
        elif isinstance(frame, wire.Waiting):
            self._on_waiting(session, frame)
        elif isinstance(frame, wire.State):
            self._on_state(session, frame)
        if self._control.urgent and not self._deciding:
            # What else has arrived by now is decided in the same pass.
            self._deciding = True
            asyncio.get_running_loop().call_soon(self._decide)

    def on_gone(self, session: Session) -> None:
        self._heard.pop(session, None)
        greeting = _greeting_of(session)
        if greeting.kind == QUEUE_PROXY:
            key = _revision_of(greeting)
            self._control.fleet(key).leave(greeting.pod, session)
            self._control.see_pods(key)
        else:
            self._control.forget_asker(SessionAsker(session, 0))

    def _decide(self) -> None:
        self._deciding = False
        self._control.decide_urgent()

    def _on_load(self, session: Session, load: wire.Load) -> None:
        control = self._control
        key = self._named(session, load.id)
        if key is None or key not in control.engine:
            self.counters.unknown += 1
            return
        self.counters.loads += 1
        end = control.clock() - load.age
        heard = self._heard[session]
        last = heard.get(load.id, _NEVER)
        heard[load.id] = Heard(load.inflight > 0, end)
        greeting = _greeting_of(session)
        if greeting.kind == QUEUE_PROXY:
            control.fleet(key).report(greeting.pod, session, load.average)
        # Who had nothing in hand was idle, and tells of the load that came since within a second,
        # however long ago its last record was.
        seconds = load.seconds if last.busy else min(load.seconds, 1.0)
        mass = load.average * load.seconds
        if control.engine.spec(key).rps:
            mass = self._requests(key, greeting, load)
        elif last.busy:
            # One record begins where the last one ended, early or late as either came: so a delay
            # neither counts a moment twice nor leaves one out.
            seconds = min(max(end - last.until, 0.0), load.seconds + MOST_LATE_S)
            mass = load.average * seconds
        for share in spread(end, seconds, mass):
            control.engine.record(key, share)
        if mass > 0:
            control.loaded(key)
        if greeting.kind == ACTIVATOR and load.inflight > 0:
            control.queueing(key)

    def _requests(self, key: str, greeting: wire.Greeting, load: wire.Load) -> float:
        """Requests that count for a rate: each once, when a pod takes it, which an activator tells
        for pods that do not. One that an activator still holds keeps its revision awake."""
        if greeting.kind == ACTIVATOR and load.inflight > 0:
            self._control.keep_awake(key)
        return float(load.requests)

    def _on_waiting(self, session: Session, frame: wire.Waiting) -> None:
        key = self._named(session, frame.id)
        if key is not None:
            self._control.waiting(key, SessionAsker(session, frame.id), frame.requests)

    def _on_state(self, session: Session, frame: wire.State) -> None:
        greeting = _greeting_of(session)
        if greeting.kind == QUEUE_PROXY:
            key = _revision_of(greeting)
            self._control.fleet(key).announce(greeting.pod, session, frame.state)
            self._control.see_pods(key)

    def _named(self, session: Session, id_: int) -> str | None:
        """The revision that a record is about. A queue-proxy that names another than its own is
        dropped."""
        key, greeting = session.names.get(id_), _greeting_of(session)
        if key is not None and greeting.kind == QUEUE_PROXY and key != _revision_of(greeting):
            self.counters.lies += 1
            _log.warning("a pod reports for another revision: dropped", extra=greeting._asdict())
            session.close()
            return None
        return key


def _greeting_of(session: Session) -> wire.Greeting:
    assert session.greeting is not None
    return session.greeting


def _revision_of(greeting: wire.Greeting) -> str:
    return f"{greeting.namespace}/{greeting.revision}"
