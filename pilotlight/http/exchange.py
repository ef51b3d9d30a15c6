"""One request and its answer: the joint between a client's connection and an upstream's.

No I/O of its own: it is called with what arrived on one side and calls the other side's methods,
so it works for any pair of protocol versions and can be tested with recorders on both sides.

Who owns what: the downstream connection frames and parses the client's side and calls
`body_arrived`, `client_gone`, `client_stalled`; the upstream connection does the same for its side
and calls `answer_arrived`, `answer_data`, `answer_end`, `upstream_lost`. The application decides
by `respond`, `forward` or `cancel`, and its listener hears of everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotlight.http.fields import Headers
from pilotlight.http.forwarding import AS_IS, Forwarding
from pilotlight.http.head import Request, Response
from pilotlight.http.limits import Timeouts, expired
from pilotlight.http.listener import (
    LEG_APP,
    LEG_CONNECT,
    NOBODY,
    ForwardListener,
    Outcome,
)
from pilotlight.http.phases import Phase, Step, advance

if TYPE_CHECKING:
    from pilotlight.http.errors import UpstreamLostError
    from pilotlight.http.sides import Downstream, Opening, UpstreamLeg
    from pilotlight.http.upstream import Upstream

_WAITING, _SENT, _ANSWERING, _TUNNEL, _ENDED = Phase
_FORWARD, _TAKE_BACK, _ANSWER, _UPGRADE, _END = Step

NO_TIMEOUTS = Timeouts()
CANCEL = 8  # the code of HTTP/2


class Exchange:
    """A request whose head is complete, and what becomes of it.

    `request`: the head. `arrived`: monotonic seconds. `peer`: the client's address without port.
    `listener`: hears what happens (ForwardListener). `extra`: pairs added to whatever head is sent
    to the client. `status`: the status sent, 0 before. `sent`: body bytes sent to the client.
    `data`: free for the application.
    """

    __slots__ = (
        "_body_done",
        "_down",
        "_endless",
        "_head",
        "_kept",
        "_kept_size",
        "_opening",
        "_touched",
        "_trailers",
        "_up",
        "_waits_for_continue",
        "_whole",
        "_wrote",
        "arrived",
        "data",
        "extra",
        "listener",
        "phase",
        "request",
        "sent",
        "status",
        "timeouts",
    )

    def __init__(self, request: Request, downstream: Downstream, arrived: float) -> None:
        self.request = request
        self.arrived = arrived
        self.listener: ForwardListener = NOBODY
        self.phase: Phase = _WAITING
        self.status = 0
        self.sent = 0
        self.extra: list[tuple[bytes, bytes]] | None = None
        self.timeouts = NO_TIMEOUTS
        self.data: Any = None
        self._down = downstream
        self._up: UpstreamLeg | None = None
        self._opening: Opening | None = None
        self._endless = False
        self._head: Any = b""
        self._body_done = request.length == 0
        self._whole = True
        self._kept: list[bytes] | None = None
        self._kept_size = 0
        self._trailers: list[bytes] | None = None
        self._waits_for_continue = False
        self._touched = False
        self._wrote: float | None = None

    # For the application

    @property
    def peer(self) -> str:
        return self._down.peer

    @property
    def ended(self) -> bool:
        return self.phase is _ENDED

    @property
    def can_retry(self) -> bool:
        """Whether every byte of the request body that has arrived is still in hand."""
        return self._whole

    @property
    def _body_is_out(self) -> bool:
        """Whether all of the request has been sent: its connection is at a message's end."""
        return self._body_done and not self._waits_for_continue

    def limit(self, timeouts: Timeouts) -> None:
        """Set the limits that are watched from now on, counted from the arrival."""
        self.timeouts = timeouts

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a field to whatever head will be sent to the client."""
        if self.extra is None:
            self.extra = []
        self.extra.append((name, value))

    def respond(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        """Answer from here, and end the exchange. Content-Length and Date are added."""
        if self._up is not None or self._opening is not None:
            self._detach()
        self.phase = advance(self.phase, _ANSWER)
        self.status = status
        self.sent = len(body)
        self._down.send_own(self, status, headers, body)
        self._finish(Outcome.ANSWERED)

    def forward(
        self,
        upstream: Upstream,
        listener: ForwardListener | None = None,
        edit: Forwarding = AS_IS,
        *,
        expect: bool = False,
    ) -> None:
        """Give the request to an upstream; its answer goes to the client by itself.

        `edit`: what to change in the request's head. `expect`: a body that is not yet in hand as
        a whole is only sent when the upstream has asked for it (100 Continue), so that its
        refusal can be taken back whatever the size of the body.
        """
        self.phase = _SENT if self.phase is _WAITING else advance(self.phase, _FORWARD)
        if listener is not None:
            self.listener = listener
        expect = expect and (not self._body_done or self._kept_size > self._down.limits.replay)
        self._waits_for_continue = expect
        self._head = upstream.render(self.request, edit, expect)
        connection = upstream.take(self.request)
        if connection is None:
            self._opening = upstream.open(self)
        else:
            self._attach(connection)

    def cancel(self) -> None:
        """End the exchange without an answer: the client's connection is closed."""
        if self.phase is not _ENDED:
            self._detach()
            self._down.break_off(CANCEL)
            self._finish(Outcome.CANCELLED)

    def check(self, now: float) -> None:
        """Compare the limits with the time; called by the server about every 0.1 s."""
        if self._touched:
            self._touched = False
            self._wrote = now
        timeouts = self.timeouts
        if timeouts is NO_TIMEOUTS or self.phase is _ENDED:
            return
        kind = expired(timeouts, self.arrived, self._wrote, now)
        if kind is not None:
            self._timed_out(kind)

    # For the upstream's side

    def connected(self, connection: UpstreamLeg) -> None:
        self._opening = None
        self._attach(connection)

    def connect_failed(self, error: Exception) -> None:
        self._opening = None
        self.phase = advance(self.phase, _TAKE_BACK)
        self.listener.on_error(self, LEG_CONNECT, error, self._whole)

    def continue_arrived(self) -> None:
        """The upstream asks for the body (100 Continue)."""
        if self._waits_for_continue and self._up is not None:
            self._waits_for_continue = False
            self._send_kept(self._up)

    def interim_arrived(self, response: Response) -> None:
        """Another informational answer (103 and the like)."""
        if self.phase is _SENT:
            self._down.send_interim(response)

    def switched(self, response: Response, rest: bytes) -> None:
        """The upstream agreed to change protocols (101); `rest` are its first bytes."""
        self.phase = advance(self.phase, _UPGRADE)
        self.status = 101
        self.listener.on_head(self, response)
        up = self._up
        assert up is not None
        early = self._down.start_tunnel(self, response)
        if early:
            up.send_raw(early)
        if rest:
            self.tunnel_to_client(rest)

    def answer_arrived(self, response: Response, body: bytes, done: bool) -> None:
        """The head of the final answer, with the part of its body that came along."""
        if self.listener.on_head(self, response) and self._whole:
            self._take_back(reusable=done and response.keep_alive and self._body_is_out)
            self.listener.on_retry(self)
            return
        self.phase = _ANSWERING if self.phase is _SENT else advance(self.phase, _ANSWER)
        self.status = response.status
        self.sent = len(body)
        self._touched = True
        self._down.send_response(self, response, body, done)
        if not done:
            self._endless = response.length < 0
        else:
            up, self._up = self._up, None
            if up is not None:
                up.release(response.keep_alive and self._body_done)
            self._finish(Outcome.ANSWERED)

    def answer_data(self, data: bytes) -> None:
        self.sent += len(data)
        self._touched = True
        self._down.send_body(data)

    def answer_end(self, keep_alive: bool, trailers: list[bytes]) -> None:
        """The answer is complete; `keep_alive`: the upstream's connection can be used again."""
        self._down.send_end(trailers)
        up, self._up = self._up, None
        if up is not None:
            up.release(keep_alive and self._body_is_out)
        self._finish(Outcome.ANSWERED)

    def upstream_lost(
        self, error: UpstreamLostError, silent: bool, *, untouched: bool = False
    ) -> None:
        """The connection is gone; `silent`: not one byte of an answer had come; `untouched`: the
        upstream says itself that it has not looked at the request.
        """
        self._up = None
        phase = self.phase
        if phase is _SENT:
            self._waits_for_continue = False
            self._hold_what_is_kept()
            self.phase = advance(phase, _TAKE_BACK)
            replayable = self._whole and (untouched or (silent and self.request.idempotent))
            self.listener.on_error(self, LEG_APP, error, replayable)
        elif phase is not _ENDED:
            self._down.break_off(error.code)
            self._finish(Outcome.ANSWERED if phase is _TUNNEL else Outcome.TRUNCATED)

    def upstream_stalled(self, stalled: bool) -> None:
        """The upstream takes no more (or again takes) of what is sent to it."""
        self._down.hold(stalled)

    def tunnel_to_client(self, data: bytes) -> None:
        self._touched = True
        self.sent += len(data)
        self._down.send_raw(data)

    def tunnel_upstream_eof(self) -> None:
        self._down.send_eof()

    # For the client's side

    def body_arrived(self, data: bytes) -> None:
        """A part of the request body."""
        up = self._up
        flowing = up is not None and not self._waits_for_continue
        if self._whole:
            if self._kept is None:
                self._kept = []
            self._kept.append(data)
            self._kept_size += len(data)
            if not flowing:
                self._hold_what_is_kept()
            elif self._kept_size > self._down.limits.replay:
                self._forget()
        if flowing and up is not None:
            up.send_body(data, self.request.length < 0)

    def body_ended(self, trailers: list[bytes]) -> None:
        """The request body is complete."""
        self._body_done = True
        self._trailers = trailers
        if self._up is not None and not self._waits_for_continue:
            self._up.send_end(trailers, self.request.length < 0)

    def client_gone(self) -> None:
        """The client's connection is closed or was reset."""
        if self.phase is not _ENDED:
            self._detach()
            self._finish(Outcome.GONE)

    def client_stalled(self, stalled: bool) -> None:
        """The client takes no more (or again takes) of what is sent to it."""
        if self._up is not None:
            self._up.hold(stalled)

    def tunnel_to_upstream(self, data: bytes) -> None:
        self._touched = self._touched or self._wrote is not None
        if self._up is not None:
            self._up.send_raw(data)

    def tunnel_client_eof(self) -> None:
        if self._up is not None:
            self._up.send_eof()

    def tunnel_closed(self) -> None:
        """Both directions of the tunnel have ended."""
        if self.phase is _TUNNEL:
            self._detach()
            self._down.break_off()
            self._finish(Outcome.ANSWERED)

    # Inside

    def _attach(self, connection: UpstreamLeg) -> None:
        self._up = connection
        connection.begin(self, self._head)
        if self.request.length and not self._waits_for_continue:
            self._send_kept(connection)

    def _send_kept(self, up: UpstreamLeg) -> None:
        if not self._body_done:
            self._down.send_continue()
        chunked = self.request.length < 0
        for data in self._kept or ():
            up.send_body(data, chunked)
        if self._body_done:
            up.send_end(self._trailers or [], chunked)
        elif self._kept_size > self._down.limits.replay:
            self._forget()
        self._down.hold(False)

    def _forget(self) -> None:
        self._whole = False
        self._kept = None
        self._kept_size = 0

    def _detach(self) -> None:
        """Let go of an upstream in the middle of something: its connection cannot be used again."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.abandon()
        up, self._up = self._up, None
        if up is not None:
            up.close()

    def _take_back(self, reusable: bool) -> None:
        up, self._up = self._up, None
        self._waits_for_continue = False
        self.phase = advance(self.phase, _TAKE_BACK)
        self._hold_what_is_kept()
        if up is not None:
            up.release(reusable)

    def _hold_what_is_kept(self) -> None:
        """Nobody takes the body at the moment: no more of it is read than before it was forwarded,
        however often it comes back.
        """
        self._down.hold(self._kept_size > self._down.limits.ahead)

    def _timed_out(self, kind: str) -> None:
        self._detach()
        if self.phase is _WAITING or self.phase is _SENT:
            self.phase = _WAITING
            self.listener.on_timeout(self, kind)
            if self.phase is _WAITING:
                self.cancel()
            return
        if self._endless and (last := self.listener.on_cut(self, kind)):
            self._down.send_body(last)
            self._down.send_end([])
        self._down.break_off()
        self._finish(Outcome.TIMED_OUT)

    def _finish(self, outcome: Outcome) -> None:
        self.phase = _ENDED if self.phase is _ANSWERING else advance(self.phase, _END)
        self._kept = None
        # Listeners mostly know their exchange: without this, each would leave a cycle behind.
        listener, self.listener = self.listener, NOBODY
        listener.on_done(self, outcome)
        self._down.ended(self)
