"""What goes to the autoscalers, and what comes from the pods.

`LoadReports` tells the autoscalers how many requests are held here: those that wait, and those in
pods whose queue-proxy does not report. A request in any other pod is counted by the queue-proxy
that holds it. `Greetings` hears the queue-proxies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from pilotlight import names
from pilotlight.load import wire
from pilotlight.load.keys import revision_key
from pilotlight.load.meter import Meter
from pilotlight.load.server import Session
from pilotlight_activator.backends import Backends
from pilotlight_activator.objects import join_address, split_address
from pilotlight_activator.pods import Voice, Word

if TYPE_CHECKING:
    from pilotlight.http.upstream import Upstream

_log: Final = logging.getLogger("reports")

HEARTBEAT_S: Final = 5.0
TOLD_AGAIN: Final = 1.1
"""The autoscalers hear of a crowd before a sleeping Revision each time that it has grown by a
tenth: how many pods it needs is decided while it gathers, at the cost of some dozens of records."""
RELEASE_DELAY_S: Final = 0.1
"""A request sent a moment ago may still be on its way to a pod that drains: by then it has come,
and the pod holds itself open for what it holds."""
MOST_RELEASE_DELAYS: Final = 15
"""Then the pod does not wait for us any more."""
_WORDS: Final = {
    wire.PodState.NOT_READY: Word.NOT_READY,
    wire.PodState.READY: Word.READY,
    wire.PodState.DRAINING: Word.DRAINING,
}


class LoadReports:
    """The requests that are held, told to every autoscaler. Implements the gateway's `News`.

    Args:
        broadcast: sends encoded frames to all autoscalers.
    """

    def __init__(self, broadcast: Callable[[bytes], None]) -> None:
        self._broadcast = broadcast
        self._ids: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._free: list[int] = []
        self._meters: dict[str, Meter] = {}
        self._taken: dict[str, int] = {}
        """Requests that mute pods have got since the last report."""
        self._starving: dict[str, int] = {}
        """Revisions without a pod, and how many of their requests the autoscalers were told of."""
        self._deleted: set[str] = set()
        """To be forgotten as soon as they have been reported for the last time."""
        self._spoke_at = float("-inf")

    # News

    def began(self, key: str, now: float) -> None:
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(now)
        meter.begin(now)
        self._deleted.discard(key)
        told = self._starving.get(key)
        if told is not None and meter.inflight >= told * TOLD_AGAIN:
            self._tell(key)

    def ended(self, key: str, now: float) -> None:
        meter = self._meters[key]
        meter.end(now)
        if meter.inflight == 0:
            self._starving.pop(key, None)

    def took(self, key: str) -> None:
        self._taken[key] = self._taken.get(key, 0) + 1

    def starving(self, key: str) -> None:
        if key not in self._starving:
            self._tell(key)

    def fed(self, key: str) -> None:
        self._starving.pop(key, None)

    # The reporter

    def snapshot(self) -> bytes:
        """What an autoscaler that has just connected has to know."""
        known = b"".join(wire.encode_name(id_, key) for key, id_ in self._ids.items())
        waiting = b"".join(wire.encode_waiting(self._waiting(key)) for key in self._starving)
        return known + waiting

    def report(self, now: float) -> None:
        """Sends the loads since the last report. To be called once a second."""
        frames: list[bytes] = []
        for key, meter in list(self._meters.items()):
            sample = meter.take(now)
            # A request counts once: when a pod takes it. The pod tells that, unless it is mute.
            requests = self._taken.pop(key, 0)
            load = wire.Load(
                self._id(key), sample.average, sample.seconds, requests, sample.inflight
            )
            frames.append(wire.encode_load(load))
            if sample.idle:
                del self._meters[key]
                if key in self._deleted:
                    self.forget(key)
        if not frames and now - self._spoke_at >= HEARTBEAT_S:
            frames.append(wire.encode_heartbeat())
        if frames:
            self._spoke_at = now
            self._broadcast(b"".join(frames))

    def key_of(self, id_: int) -> str | None:
        """The Revision that an id stands for."""
        return self._keys.get(id_)

    def forget(self, key: str) -> None:
        """A Revision has been deleted; its id may stand for another one."""
        if key in self._meters:
            self._deleted.add(key)
            return
        self._deleted.discard(key)
        id_ = self._ids.pop(key, None)
        if id_ is None:
            return
        del self._keys[id_]
        self._free.append(id_)

    def _tell(self, key: str) -> None:
        waiting = self._waiting(key)
        self._starving[key] = waiting.requests
        self._broadcast(wire.encode_waiting(waiting))

    def _waiting(self, key: str) -> wire.Waiting:
        meter = self._meters.get(key)
        return wire.Waiting(self._id(key), 1 if meter is None else max(meter.inflight, 1))

    def _id(self, key: str) -> int:
        id_ = self._ids.get(key)
        if id_ is None:
            id_ = self._free.pop() if self._free else len(self._ids) + 1
            self._ids[key] = id_
            self._keys[id_] = key
            self._broadcast(wire.encode_name(id_, key))
        return id_


class Greetings:
    """What queue-proxies say of their pods. Implements the collector's `Listener`.

    Args:
        backends: told what the pods say.
        master: the installation's master key, None while it is not known.
    """

    def __init__(self, backends: Backends, master: Callable[[], bytes | None]) -> None:
        self._backends = backends
        self._master = master
        self._connections: dict[Session, int] = {}
        self._last = 0
        self._releases: dict[Session, asyncio.TimerHandle] = {}

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        master = self._master()
        if master is None or greeting.kind != names.QUEUE_PROXY:
            return None
        try:
            split_address(greeting.address)
        except ValueError:
            return None
        backend = self._backends.get(_key(greeting))
        if backend is not None and backend.spec is not None and backend.spec.uid != greeting.uid:
            return None
        return revision_key(master, greeting.namespace, greeting.revision, greeting.uid)

    def on_greeting(self, session: Session) -> None:
        greeting = session.greeting
        assert greeting is not None
        self._last += 1
        self._connections[session] = self._last
        # Spelt as the API's addresses are, so that both mean the same pod.
        host, port = split_address(greeting.address)
        voice = Voice(
            connection=self._last,
            pod=greeting.pod,
            address=join_address(host, port),
            uid=greeting.uid,
            direct=is_from(session.peer, host),
        )
        self._backends.greeted(_key(greeting), voice)

    def on_frame(self, session: Session, frame: wire.Frame) -> None:
        greeting = session.greeting
        assert greeting is not None
        if isinstance(frame, wire.State):
            self._on_state(session, greeting, frame)
        elif isinstance(frame, wire.Load):
            self._backends.reported(_key(greeting), greeting.pod, frame.inflight)

    def on_gone(self, session: Session) -> None:
        greeting = session.greeting
        connection = self._connections.pop(session, None)
        release = self._releases.pop(session, None)
        if release is not None:
            release.cancel()
        if greeting is not None and connection is not None:
            self._backends.lost(_key(greeting), connection, greeting.pod)

    def _on_state(self, session: Session, greeting: wire.Greeting, state: wire.State) -> None:
        key, backends = _key(greeting), self._backends
        backends.timed(key, greeting.pod, state.started_at, state.answered_at)
        upstream = backends.upstream(key, greeting.pod)
        backends.said(key, self._connections[session], greeting.pod, _WORDS[state.state])
        release = self._releases.get(session)
        if state.state is not wire.PodState.DRAINING:
            if release is not None:
                release.cancel()
                del self._releases[session]
        elif release is None:
            delay = RELEASE_DELAY_S if backends.in_flight(key, greeting.pod) else 0.0
            self._release_later(delay, session, upstream, MOST_RELEASE_DELAYS)

    def _release_later(
        self, delay: float, session: Session, upstream: Upstream | None, times: int
    ) -> None:
        self._releases[session] = asyncio.get_running_loop().call_later(
            delay, self._release, session, upstream, times
        )

    def _release(self, session: Session, upstream: Upstream | None, times: int) -> None:
        """Tells a pod that nothing more comes, unless a connection to it is still being made."""
        greeting = session.greeting
        assert greeting is not None
        sent = 0 if upstream is None else upstream.busy
        if times > 0 and self._backends.in_flight(_key(greeting), greeting.pod) > sent:
            self._release_later(RELEASE_DELAY_S, session, upstream, times - 1)
        else:
            session.send(wire.encode_released())


def is_from(peer: str, host: str) -> bool:
    """Whether a connection from `peer` comes from the machine that has the address `host`.

    All addresses of the loopback are one machine.
    """
    try:
        theirs, named = ip_address(peer.partition("%")[0]), ip_address(host)
    except ValueError:
        return False
    theirs = getattr(theirs, "ipv4_mapped", None) or theirs
    named = getattr(named, "ipv4_mapped", None) or named
    return theirs == named or (theirs.is_loopback and named.is_loopback)


def _key(greeting: wire.Greeting) -> str:
    return f"{greeting.namespace}/{greeting.revision}"
