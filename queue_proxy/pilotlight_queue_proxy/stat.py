"""The load of this pod as Knative's autoscaler scrapes it: a protobuf `Stat` at port 9090.

Ours is told by load reports, so that nothing here is done before somebody has asked once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pilotlight import names
from pilotlight.load.meter import Meter, Sample
from pilotlight_queue_proxy import protobuf

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight_queue_proxy.reports import Reports
    from pilotlight_queue_proxy.requests import Requests

_PROXIED = names.PROXY_HEADER.lower().encode()
_PROTOBUF = [(b"Content-Type", b"application/protobuf")]
_NOTHING = Sample(0.0, 1.0, 0, 0)


class DirectMeter:
    """Counts requests that no activator has sent, and that began after `now`."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._meter = Meter(now)

    @property
    def inflight(self) -> int:
        return self._meter.inflight

    def begin(self, now: float) -> None:
        self._meter.begin(now)

    def end(self, now: float, exchange: Exchange) -> None:
        """Any request has ended."""
        if exchange.arrived > self._since and _PROXIED not in exchange.request.index:
            self._meter.end(now)

    def take(self, now: float) -> Sample:
        return self._meter.take(now)


class Stat:
    """Answers scrapes with the last whole second's figures."""

    def __init__(self, requests: Requests, reports: Reports, pod: str, started_at: float) -> None:
        self._requests = requests
        self._reports = reports
        self._pod = pod
        self._started_at = started_at
        self._all = _NOTHING
        self._direct = _NOTHING

    def answer(self, exchange: Exchange) -> None:
        if self._requests.direct is None:
            self._requests.direct = DirectMeter(time.monotonic())
            self._reports.on_sample = self._sampled
        exchange.respond(200, self._encoded(time.time()), _PROTOBUF)

    def _sampled(self, sample: Sample, taken_at: float) -> None:
        """A second is over. What was not sent here directly came by an activator."""
        self._all = sample
        if self._requests.direct is not None:
            self._direct = self._requests.direct.take(taken_at)

    def _encoded(self, now: float) -> bytes:
        every, direct = self._all, self._direct
        seconds = max(every.seconds, 0.001)
        proxied = max(every.requests - direct.requests, 0)
        return encode_stat(
            self._pod,
            (
                every.average,
                max(every.average - direct.average, 0.0),
                every.requests / seconds,
                proxied / seconds,
                now - self._started_at,
            ),
            int(now),
        )


def encode_stat(pod: str, figures: tuple[float, float, float, float, float], now: int) -> bytes:
    """The message: the pod's name, average concurrency, the part of it that was proxied, requests
    a second, the part that was proxied, uptime in seconds, Unix time. Zeros are left out.
    """
    parts = [protobuf.text(1, pod)] if pod else []
    parts += [protobuf.double(field, value) for field, value in enumerate(figures, 2) if value]
    return b"".join([*parts, protobuf.number(7, now)])
