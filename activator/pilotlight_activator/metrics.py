"""What Prometheus sees: counts kept elsewhere, rendered when somebody scrapes.

Every series of a Revision goes with the Revision, and the statuses of each are bounded, so that
neither hosts nor applications can grow the number of series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from pilotlight_activator.backends import Backend
from pilotlight_activator.gateway import Gateway
from pilotlight_activator.prober import Prober
from pilotlight_activator.tally import Histogram

_LABELS: Final = (
    "k8s_namespace_name",
    "kn_service_name",
    "kn_configuration_name",
    "kn_revision_name",
)
_STATUS: Final = "http_response_status_code"
_PHASE: Final = "phase"

HistogramKey = TypeVar("HistogramKey", int, str)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from."""

    gateway: Gateway
    prober: Prober
    autoscalers: Callable[[], int]
    """How many autoscalers hear our reports."""
    pods: Callable[[], int]
    """How many queue-proxies have greeted."""
    api_connected: Callable[[], bool]


class Metrics(Collector):
    """Renders all series of the activator."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def registry(self) -> CollectorRegistry:
        """A registry of its own that holds these series."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        backends = [b for b in self._sources.gateway.backends.all() if b.spec is not None]
        yield from self._revision_gauges(backends)
        yield from self._revision_counters(backends)
        yield self._durations(backends)
        yield self._cold_starts(backends)
        yield from self._process()

    def _revision_gauges(self, backends: list[Backend]) -> Iterator[Metric]:
        concurrency = _gauge("kn_revision_request_concurrency", "Requests waiting or in a pod")
        queued = _gauge("kn_revision_request_queued", "Requests that wait for a pod")
        active = _gauge("kn_revision_request_active", "Requests in a pod")
        pods = _gauge("pilotlight_gateway_pods", "Pods that requests may go to")
        for backend in backends:
            throttle, labels = backend.throttle, _labels(backend)
            concurrency.add_metric(labels, throttle.waiting + throttle.active)
            queued.add_metric(labels, throttle.waiting)
            active.add_metric(labels, throttle.active)
            pods.add_metric(labels, len(throttle.usable()))
        return iter((concurrency, queued, active, pods))

    def _revision_counters(self, backends: list[Backend]) -> Iterator[Metric]:
        refused = _counter("pilotlight_gateway_queue_full", "Requests refused: the queue is full")
        busy = _counter("pilotlight_gateway_busy", "Requests taken back from a busy pod")
        retries = _counter("pilotlight_gateway_retries", "Requests repeated after a pod failed")
        for backend in backends:
            tally, labels = backend.tally, _labels(backend)
            refused.add_metric(labels, tally.refused)
            busy.add_metric(labels, tally.busy)
            retries.add_metric(labels, tally.retries)
        return iter((refused, busy, retries))

    def _durations(self, backends: list[Backend]) -> Metric:
        family = HistogramMetricFamily(
            "http_server_request_duration_seconds",
            "From a request's head to the end of its answer",
            labels=(*_LABELS, _STATUS),
        )
        for backend in backends:
            _add(family, backend, backend.tally.answers)
        return family

    def _cold_starts(self, backends: list[Backend]) -> Metric:
        family = HistogramMetricFamily(
            "pilotlight_cold_start_seconds",
            "The phases of answers that waited for a first pod",
            labels=(*_LABELS, _PHASE),
        )
        for backend in backends:
            _add(family, backend, backend.tally.cold)
        return family

    def _process(self) -> Iterator[Metric]:
        sources = self._sources
        gateway = sources.gateway
        budget = gateway.backends.budget
        yield _one(
            "pilotlight_gateway_queued_bytes", "Bytes that waiting requests hold", budget.size
        )
        yield _one("pilotlight_gateway_ingresses", "Ingresses that are served", len(gateway.table))
        yield _one("pilotlight_gateway_reporting_pods", "Pods that have greeted", sources.pods())
        yield _one(
            "kn_activator_stats_conn_reachable",
            "Autoscalers that hear the load reports",
            sources.autoscalers(),
        )
        yield _one(
            "pilotlight_gateway_api_connected",
            "Whether the Kubernetes API can be reached",
            int(sources.api_connected()),
        )
        yield CounterMetricFamily(
            "pilotlight_gateway_unrouted",
            "Requests for which no Revision was found",
            value=gateway.unrouted,
        )
        yield CounterMetricFamily(
            "pilotlight_gateway_probe_failures",
            "Probes of pods that have not passed",
            value=sources.prober.failures,
        )


def _labels(backend: Backend) -> tuple[str, str, str, str]:
    spec = backend.spec
    assert spec is not None
    return spec.namespace, spec.service, spec.configuration, spec.name


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=_LABELS)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=_LABELS)


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _add(
    family: HistogramMetricFamily, backend: Backend, found: Mapping[HistogramKey, Histogram]
) -> None:
    for key, histogram in found.items():
        labels = (*_labels(backend), str(key))
        family.add_metric(labels, buckets=histogram.cumulative(), sum_value=histogram.total)
