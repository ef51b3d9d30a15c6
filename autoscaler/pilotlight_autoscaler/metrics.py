"""The autoscaler's metrics: one gauge set per revision, read from the table at each scrape, and
what the process itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pilotlight import names
from pilotlight_autoscaler.collect import Reports
from pilotlight_autoscaler.control import Control
from pilotlight_autoscaler.scale import Writer

_LABELS: Final = (
    "k8s_namespace_name",
    "kn_service_name",
    "kn_configuration_name",
    "kn_revision_name",
)
_TICK_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

Object = dict[str, Any]
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers are."""

    control: Control
    reports: Reports
    writer: Writer
    refused: Callable[[], int]
    """How many greetings were refused."""


class Metrics:
    """A registry of its own, with everything in it."""

    def __init__(self, sources: Sources) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Revisions(sources.control))
        self.registry.register(_Process(sources))
        self._tick = Histogram(
            "pilotlight_autoscaler_tick_seconds",
            "Time to decide for all revisions once.",
            buckets=_TICK_BUCKETS_S,
            registry=self.registry,
        )
        self.leader = Gauge(
            "pilotlight_autoscaler_leader",
            "1 where this autoscaler is the one that acts.",
            registry=self.registry,
        )
        self.leader_changes = Counter(
            "pilotlight_autoscaler_leader_changes",
            "How often this autoscaler became the leader, and ceased to be it.",
            registry=self.registry,
        )

    def ticked(self, seconds: float) -> None:
        self._tick.observe(seconds)


class _Revisions(Collector):
    """Gauges of all revisions, at the leader: at the others they would count double."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterator[Metric]:
        rows = [
            (_labels_of(target.obj), self._control.engine.row(key), key)
            for key, target in self._control.targets.items()
            if self._control.engine.leading
        ]
        yield from self._decisions(rows)
        yield from self._loads(rows)
        yield from self._pods(rows)

    def _decisions(self, rows: list[tuple[Labels, int, str]]) -> Iterator[Metric]:
        table = self._control.engine.table
        yield _gauge(
            "kn_revision_pods_desired",
            "Pods that the autoscaler wants.",
            ((labels, max(int(table.want[row]), 0)) for labels, row, _ in rows),
        )
        yield _gauge(
            "kn_revision_pods_requested",
            "Pods that were asked of Kubernetes.",
            ((labels, max(int(table.replicas[row]), 0)) for labels, row, _ in rows),
        )
        yield _gauge(
            "kn_revision_panic_mode",
            "1 while the revision is in panic.",
            ((labels, float(not np.isnan(table.panic_since[row]))) for labels, row, _ in rows),
        )

    def _loads(self, rows: list[tuple[Labels, int, str]]) -> Iterator[Metric]:
        engine = self._control.engine
        table = engine.table
        columns: tuple[tuple[str, str, Callable[[int], float]], ...] = (
            ("stable", "Average over the stable window.", lambda row: float(table.stable[row])),
            ("panic", "Average over the panic window.", lambda row: float(table.panic[row])),
            ("target", "What one pod should take.", lambda row: float(table.target[row])),
        )
        for metric, rps in (("concurrency", False), ("rps", True)):
            chosen = [(labels, row) for labels, row, key in rows if engine.spec(key).rps == rps]
            for name, text, read in columns:
                yield _gauge(
                    f"kn_revision_{metric}_{name}",
                    text,
                    ((labels, read(row)) for labels, row in chosen),
                )

    def _pods(self, rows: list[tuple[Labels, int, str]]) -> Iterator[Metric]:
        tallies = [(labels, self._control.tally(key)) for labels, _, key in rows]
        yield _gauge(
            "kn_revision_pods_count",
            "Pods that are ready.",
            ((labels, tally.ready) for labels, tally in tallies),
        )
        yield _gauge(
            "kn_revision_pods_not_ready_count",
            "Pods that run but are not ready.",
            ((labels, tally.not_ready) for labels, tally in tallies),
        )
        yield _gauge(
            "kn_revision_pods_pending_count",
            "Pods that do not run yet.",
            ((labels, tally.pending) for labels, tally in tallies),
        )
        yield _gauge(
            "kn_revision_pods_terminating_count",
            "Pods that are going.",
            ((labels, tally.terminating) for labels, tally in tallies),
        )


class _Process(Collector):
    """What the process has done."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        counters, writer = self._sources.reports.counters, self._sources.writer
        totals = (
            ("reports", "Load records received.", counters.loads),
            ("reports_unknown", "Load records for unknown revisions.", counters.unknown),
            ("reporters_refused", "Greetings that no key fits.", self._sources.refused()),
            ("reporters_dropped", "Reporters that spoke for others.", counters.lies),
            ("scale_writes", "Replicas written.", writer.replicas.sent),
            ("scale_write_failures", "Failed writes of replicas.", writer.replicas.failed),
            ("status_writes", "Statuses written.", writer.statuses.sent),
            ("status_write_failures", "Failed writes of statuses.", writer.statuses.failed),
        )
        for name, text, value in totals:
            yield CounterMetricFamily(f"pilotlight_autoscaler_{name}", text, value)
        yield GaugeMetricFamily(
            "pilotlight_autoscaler_reporters",
            "Reporters that are connected.",
            self._sources.reports.sessions,
        )
        yield GaugeMetricFamily(
            "pilotlight_autoscaler_revisions",
            "Revisions that are scaled.",
            len(self._sources.control.targets),
        )


def _gauge(name: str, text: str, values: Iterator[tuple[Labels, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=_LABELS)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _labels_of(obj: Object) -> Labels:
    metadata = obj["metadata"]
    marks = metadata.get("labels") or {}
    return (
        metadata["namespace"],
        marks.get(names.SERVICE_LABEL, ""),
        marks.get(names.CONFIGURATION_LABEL, ""),
        metadata["name"],
    )
