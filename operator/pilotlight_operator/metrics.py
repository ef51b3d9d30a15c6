"""What the operator counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The operator's metrics, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.reconciles = Counter(
            "pilotlight_operator_reconciles",
            "Trees reconciled, by the kind of their root and by outcome: done, refused, retry.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "pilotlight_operator_reconcile_seconds",
            "Time to reconcile a tree, the API's answers included.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.writes = Counter(
            "pilotlight_operator_api_writes",
            "Requests that change something at the API, by verb and resource.",
            ["verb", "resource"],
            registry=self.registry,
        )
        self.queue = Gauge(
            "pilotlight_operator_queue_keys",
            "Trees by state: ready, active, delayed, failing.",
            ["state"],
            registry=self.registry,
        )
        self.objects = Gauge(
            "pilotlight_operator_objects",
            "Objects known, by resource.",
            ["resource"],
            registry=self.registry,
        )
        self.probes = Counter(
            "pilotlight_operator_gateway_probes",
            "Questions to a gateway whether it serves an Ingress as it is, by answer.",
            ["answer"],
            registry=self.registry,
        )
        self.admissions = Counter(
            "pilotlight_operator_admissions",
            "Admission requests, by webhook and by outcome: allowed, denied.",
            ["webhook", "outcome"],
            registry=self.registry,
        )
        self.events = Counter(
            "pilotlight_operator_events",
            "Events about objects, by outcome: sent, repeated, dropped, failed.",
            ["outcome"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "pilotlight_operator_leader",
            "1 where this operator is the one that acts.",
            registry=self.registry,
        )
        self.leader_changes = Counter(
            "pilotlight_operator_leader_changes",
            "How often this operator became the leader, and ceased to be it.",
            registry=self.registry,
        )
        self.config_errors = Gauge(
            "pilotlight_operator_config_invalid",
            "1 for a ConfigMap that holds something invalid, so that what it said before stays.",
            ["config_map"],
            registry=self.registry,
        )
