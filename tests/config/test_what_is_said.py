"""Every ConfigMap: what it holds when it says nothing, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.config import (
    autoscaler,
    defaults,
    deployment,
    domain,
    features,
    gc,
    leader_election,
    logging,
    network,
    observability,
)
from pilotlight.config.deployment import Affinity, QueueProxyResources, TokenMount
from pilotlight.config.go_values import ConfigError
from pilotlight.config.network import HTTPProtocol, MeshMode
from pilotlight.config.observability import Metrics, Tracing

Parse = Callable[[Mapping[str, str]], Any]
IMAGE = {"queue-sidecar-image": "queue"}
NOTHING: dict[str, tuple[Parse, Any]] = {
    "autoscaler": (autoscaler.parse, autoscaler.Autoscaler()),
    "defaults": (defaults.parse, defaults.Defaults()),
    "domain": (domain.parse, domain.Domain()),
    "features": (features.parse, features.Features()),
    "gc": (gc.parse, gc.GarbageCollection()),
    "leader election": (leader_election.parse, leader_election.LeaderElection()),
    "logging": (logging.parse, logging.Logging()),
    "network": (network.parse, network.Network()),
    "observability": (observability.parse, observability.Observability()),
}


@pytest.mark.parametrize(("parse", "default"), NOTHING.values(), ids=NOTHING.keys())
def test_nothing_said_is_the_default(parse: Parse, default: Any) -> None:
    assert parse({}) == default
    assert parse({"_example": "max-scale: nonsense"}) == default


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (parse, {"nobody-knows-this": "x"})
        for name, (parse, _) in NOTHING.items()
        if name != "domain"
    ],
)
def test_keys_that_nobody_knows_are_ignored(parse: Parse, data: dict[str, str]) -> None:
    assert parse(data) == parse({})


def test_defaults_are_those_of_knative() -> None:
    scaling = autoscaler.parse({})
    assert scaling.container_concurrency_target_fraction == 0.7
    assert scaling.stable_window_s == 60.0
    assert scaling.scale_to_zero_grace_period_s == 30.0
    assert scaling.max_scale_up_rate == 1000.0
    assert scaling.target_burst_capacity == 211.0
    assert defaults.parse({}).revision_response_start_timeout_s == 300
    assert gc.parse({}).retain_since_create_time_s == 48 * 3600
    assert network.parse({}).ingress_class == "istio.ingress.networking.knative.dev"
    made = deployment.parse(IMAGE)
    assert made.progress_deadline_s == 600.0
    assert made.registries_skipping_tag_resolving == {"kind.local", "ko.local", "dev.local"}
    assert made.queue_sidecar_resources == QueueProxyResources(cpu_request="25m")
    assert made.default_affinity is Affinity.SPREAD
    assert made.service_account_token is TokenMount.AUTO


SAID: dict[str, tuple[Parse, dict[str, str], str, Any]] = {
    "fraction": (
        autoscaler.parse,
        {"container-concurrency-target-percentage": "0.5"},
        "container_concurrency_target_fraction",
        0.5,
    ),
    "percentage": (
        autoscaler.parse,
        {"container-concurrency-target-percentage": "50"},
        "container_concurrency_target_fraction",
        0.5,
    ),
    "window": (autoscaler.parse, {"stable-window": "2m"}, "stable_window_s", 120.0),
    "burst": (autoscaler.parse, {"target-burst-capacity": "-1"}, "target_burst_capacity", -1.0),
    "switch": (autoscaler.parse, {"enable-scale-to-zero": "f"}, "enable_scale_to_zero", False),
    "start timeout follows": (
        defaults.parse,
        {"revision-timeout-seconds": "20"},
        "revision_response_start_timeout_s",
        20,
    ),
    "links on": (defaults.parse, {"enable-service-links": "TRUE"}, "enable_service_links", True),
    "links left": (
        defaults.parse,
        {"enable-service-links": "default"},
        "enable_service_links",
        None,
    ),
    "quantity": (
        defaults.parse,
        {"revision-cpu-request": "100m"},
        "revision_cpu_request",
        "100m",
    ),
    "old spelling": (
        deployment.parse,
        {"queueSidecarImage": "old", "progressDeadline": "5s"},
        "progress_deadline_s",
        5.0,
    ),
    "new spelling wins": (
        deployment.parse,
        {"queue-sidecar-image": "new", "queueSidecarImage": "old"},
        "queue_sidecar_image",
        "new",
    ),
    "no registries": (
        deployment.parse,
        {**IMAGE, "registries-skipping-tag-resolving": ""},
        "registries_skipping_tag_resolving",
        frozenset(),
    ),
    "token": (
        deployment.parse,
        {**IMAGE, "service-account-token": "never"},
        "service_account_token",
        TokenMount.NEVER,
    ),
    "off": (gc.parse, {"retain-since-create-time": "Disabled"}, "retain_since_create_time_s", None),
    "no most": (
        gc.parse,
        {"max-non-active-revisions": "disabled"},
        "max_non_active_revisions",
        None,
    ),
    "prefixes": (
        leader_election.parse,
        {"map-lease-prefix.a": "b"},
        "lease_prefixes",
        {"a": "b"},
    ),
    "level": (logging.parse, {"loglevel.activator": "DEBUG"}, "levels", {"activator": "debug"}),
    "zap level": (
        logging.parse,
        {"zap-logger-config": '{"level": "warn"}'},
        "default_level",
        "warn",
    ),
    "no json": (logging.parse, {"zap-logger-config": "{"}, "zap_logger_config", "{"),
    "redirected": (
        network.parse,
        {"http-protocol": "redirected"},
        "http_protocol",
        HTTPProtocol.REDIRECTED,
    ),
    "old tls": (network.parse, {"auto-tls": "Enabled"}, "external_domain_tls", True),
    "new tls wins": (
        network.parse,
        {"auto-tls": "Enabled", "external-domain-tls": "Disabled"},
        "external_domain_tls",
        False,
    ),
    "encryption": (network.parse, {"internal-encryption": "true"}, "system_internal_tls", True),
    "mesh that is none": (
        network.parse,
        {"mesh-compatibility-mode": "some"},
        "mesh_compatibility_mode",
        MeshMode.AUTO,
    ),
    "selector": (
        network.parse,
        {"namespace-wildcard-cert-selector": "matchLabels: {a: b}"},
        "namespace_wildcard_cert_selector",
        {"matchLabels": {"a": "b"}},
    ),
    "metrics": (
        observability.parse,
        {"metrics-protocol": "grpc", "metrics-endpoint": "a:1", "metrics-export-interval": "5s"},
        "metrics",
        Metrics("grpc", "a:1", 5.0),
    ),
    "traces": (
        observability.parse,
        {"tracing-protocol": "stdout", "tracing-sampling-rate": "0.5"},
        "tracing",
        Tracing("stdout", "", 0.5),
    ),
}


@pytest.mark.parametrize(("parse", "data", "name", "value"), SAID.values(), ids=SAID.keys())
def test_what_is_said_is_taken(parse: Parse, data: dict[str, str], name: str, value: Any) -> None:
    assert getattr(parse(data), name) == value


KEYS = st.sampled_from(sorted({key for _, data, *_ in SAID.values() for key in data}))


@given(st.sampled_from(sorted(NOTHING)), st.dictionaries(KEYS, st.text(max_size=8), max_size=4))
def test_any_data_is_read_or_refused(name: str, data: dict[str, str]) -> None:
    with suppress(ConfigError):
        NOTHING[name][0](data)
