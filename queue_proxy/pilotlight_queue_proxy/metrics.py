"""What the queue-proxy counts, and how Prometheus sees it.

Counting is plain arithmetic on lists; prometheus_client is imported when somebody scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pilotlight_queue_proxy.settings import Identity

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

    from pilotlight_queue_proxy.request_log import Lines
    from pilotlight_queue_proxy.tracing import Tracer

BUCKETS_S = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
_MOST_SERIES = 64

_INVOCATION = "kn_serving_invocation_duration_seconds"
_CLIENT = "http_client_request_duration_seconds"
_SERVER = "http_server_request_duration_seconds"
_DEPTH = "kn_serving_queue_depth"
_LINES = "pilotlight_queue_proxy_log_lines_dropped"
_TRACES = "pilotlight_queue_proxy_traces_dropped"
_BUSY = "pilotlight_queue_proxy_busy_answers"


class Durations:
    """A histogram of one series: counts per bucket (the last is above all), and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def cumulative(self) -> list[tuple[str, float]]:
        sums: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            so_far += count
            sums.append((bound, so_far))
        return sums


class Metrics:
    """Series by response status. `depth` gives the requests in flight, the waiting included."""

    def __init__(self, identity: Identity, depth: Callable[[], int]) -> None:
        self._identity = identity
        self.depth = depth
        self.invocations: dict[int, Durations] = {}
        self.requests: dict[tuple[int, str], Durations] = {}
        self.lines: Lines | None = None
        """The request log, where there is one."""
        self.tracer: Tracer | None = None
        """Whose spans are pushed, where they are."""
        self.busy = {"full": 0, "draining": 0, "unreachable": 0}

    def record(self, status: int, tag: str, total: float, invocation: float | None) -> None:
        """A request with this route tag was answered after `total` seconds, `invocation` of which
        the user's container had it (None: it never got there)."""
        series = self.requests.get((status, tag))
        if series is None:
            if len(self.requests) >= _MOST_SERIES:
                tag = "other"
            series = self.requests.setdefault((status, tag), Durations())
        bucket = bisect_left(BUCKETS_S, total)
        series.counts[bucket] += 1
        series.total += total
        if invocation is None:
            return
        series = self.invocations.get(status)
        if series is None:
            series = self.invocations[status] = Durations()
        if invocation != total:
            bucket = bisect_left(BUCKETS_S, invocation)
        series.counts[bucket] += 1
        series.total += invocation

    def registry(self) -> Collector:
        """What prometheus_client can render."""
        return _Exposition(self)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        who = self._identity
        labels = {
            "kn_service_name": who.service,
            "kn_configuration_name": who.configuration,
            "kn_revision_name": who.revision,
            "k8s_namespace_name": who.namespace,
            "k8s_pod_name": who.pod,
        }
        keys, values = list(labels), list(labels.values())

        depth = GaugeMetricFamily(_DEPTH, "Requests in flight, the waiting included.", labels=keys)
        depth.add_metric(values, self.depth())
        yield depth

        busy = CounterMetricFamily(_BUSY, "Requests given back.", labels=[*keys, "reason"])
        for reason, count in self.busy.items():
            busy.add_metric([*values, reason], count)
        yield busy

        for name, about, source in (
            (_LINES, "Lines of the request log that nobody took in time.", self.lines),
            (_TRACES, "Requests whose spans nobody took in time.", self.tracer),
        ):
            if source is not None:
                dropped = CounterMetricFamily(name, about, labels=keys)
                dropped.add_metric(values, source.dropped)
                yield dropped

        for name, about in (
            (_INVOCATION, "Time a request spent in the user's container."),
            (_CLIENT, "The same, by OpenTelemetry's name."),
        ):
            invoked = HistogramMetricFamily(
                name, about, labels=[*keys, "http_response_status_code"]
            )
            for status, series in list(self.invocations.items()):
                invoked.add_metric([*values, str(status)], series.cumulative(), series.total)
            yield invoked

        served = HistogramMetricFamily(
            _SERVER,
            "Time from a request's arrival to the end of its answer.",
            labels=[*keys, "http_response_status_code", "kn_route_tag"],
        )
        for (status, tag), series in list(self.requests.items()):
            served.add_metric([*values, str(status), tag], series.cumulative(), series.total)
        yield served


class _Exposition:
    """The part of a registry that prometheus_client's text rendering uses."""

    def __init__(self, metrics: Metrics) -> None:
        self.collect = metrics.collect
