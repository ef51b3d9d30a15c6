"""Every ConfigMap: what it must not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pilotlight.config import (
    autoscaler,
    defaults,
    deployment,
    domain,
    gc,
    leader_election,
    logging,
    network,
    observability,
)
from pilotlight.config.go_values import ConfigError

Parse = Callable[[Mapping[str, str]], Any]
IMAGE = {"queue-sidecar-image": "queue"}


REFUSED: dict[str, tuple[Parse, dict[str, str], str, str]] = {
    "number": (
        autoscaler.parse,
        {"max-scale-up-rate": "fast"},
        "max-scale-up-rate",
        'failed to parse "max-scale-up-rate": strconv.ParseFloat: parsing "fast": invalid syntax',
    ),
    "rate": (
        autoscaler.parse,
        {"max-scale-down-rate": "1"},
        "max-scale-down-rate",
        "max-scale-down-rate = 1, must be greater than 1.0",
    ),
    "stable window": (
        autoscaler.parse,
        {"stable-window": "5s"},
        "stable-window",
        "stable-window = 5s, must be in [6s; 1h0m0s] range",
    ),
    "stable window's precision": (
        autoscaler.parse,
        {"stable-window": "60001ms"},
        "stable-window",
        "stable-window = 1m0.001s, must be specified with at most second precision",
    ),
    "grace": (
        autoscaler.parse,
        {"scale-to-zero-grace-period": "0s"},
        "scale-to-zero-grace-period",
        "scale-to-zero-grace-period must be positive, was: 0s",
    ),
    "retention": (
        autoscaler.parse,
        {"scale-to-zero-pod-retention-period": "-1s"},
        "scale-to-zero-pod-retention-period",
        "scale-to-zero-pod-retention-period cannot be negative, was: -1s",
    ),
    "delay": (
        autoscaler.parse,
        {"scale-down-delay": "-1m"},
        "scale-down-delay",
        "scale-down-delay cannot be negative, was: -1m0s",
    ),
    "burst": (
        autoscaler.parse,
        {"target-burst-capacity": "-2"},
        "target-burst-capacity",
        "target-burst-capacity must be either non-negative or -1 (for unlimited), was: -2.000000",
    ),
    "panic window": (
        autoscaler.parse,
        {"panic-window-percentage": "101"},
        "panic-window-percentage",
        "panic-window-percentage = 101, must be in [1, 100] interval",
    ),
    "fraction": (
        autoscaler.parse,
        {"container-concurrency-target-percentage": "0"},
        "container-concurrency-target-percentage",
        "container-concurrency-target-percentage = 0.000000 is outside of valid range of (0, 100]",
    ),
    "initial scale": (
        autoscaler.parse,
        {"initial-scale": "0"},
        "initial-scale",
        "initial-scale = 0, must be at least 0 (or at least 1 when allow-zero-initial-scale is "
        "false)",
    ),
    "max scale": (
        autoscaler.parse,
        {"max-scale": "5", "max-scale-limit": "3"},
        "max-scale",
        "max-scale = 5, must be in [1, max-scale-limit(3)] range",
    ),
    "min scale": (
        autoscaler.parse,
        {"min-scale": "5", "max-scale": "3"},
        "min-scale",
        "min-scale = 5, must be at most max-scale = 3",
    ),
    "capacity": (
        autoscaler.parse,
        {"activator-capacity": "0.5"},
        "activator-capacity",
        "activator-capacity = 0.5, must be at least 1",
    ),
    "timeout": (
        defaults.parse,
        {"revision-timeout-seconds": "700"},
        "revision-timeout-seconds",
        "revision-timeout-seconds (700) cannot be greater than max-revision-timeout-seconds (600)",
    ),
    "idle timeout": (
        defaults.parse,
        {"revision-idle-timeout-seconds": "301"},
        "revision-idle-timeout-seconds",
        "revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
    ),
    "concurrency": (
        defaults.parse,
        {"container-concurrency": "2000"},
        "container-concurrency",
        "expected 0 <= 2000 <= 1000: container-concurrency",
    ),
    "no concurrency of zero": (
        defaults.parse,
        {"allow-container-concurrency-zero": "false"},
        "container-concurrency",
        "expected 1 <= 0 <= 1000: container-concurrency",
    ),
    "empty quantity": (
        defaults.parse,
        {"revision-memory-limit": ""},
        "revision-memory-limit",
        'failed to parse "revision-memory-limit": quantities must match the regular expression '
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    "no image": (
        deployment.parse,
        {},
        "queue-sidecar-image",
        "queue-sidecar-image cannot be empty or unset",
    ),
    "deadline": (
        deployment.parse,
        {**IMAGE, "progress-deadline": "0s"},
        "progress-deadline",
        "progress-deadline cannot be a non-positive duration, was 0s",
    ),
    "deadline's precision": (
        deployment.parse,
        {**IMAGE, "progress-deadline": "1982ms"},
        "progress-deadline",
        "progress-deadline must be rounded to a whole second, was: 1.982s",
    ),
    "affinity": (
        deployment.parse,
        {**IMAGE, "default-affinity-type": "coconut"},
        "default-affinity-type",
        'unsupported default-affinity-type value "coconut"',
    ),
    "token": (
        deployment.parse,
        {**IMAGE, "service-account-token": "maybe"},
        "service-account-token",
        'failed to parse "service-account-token": "maybe" is none of auto, always, never',
    ),
    "selector of a domain": (
        domain.parse,
        {"example.com": "selector: [a]"},
        "example.com",
        "failed to parse 'example.com': 'selector: [a]': selector must be a map of labels",
    ),
    "gc bounds": (
        gc.parse,
        {"min-non-active-revisions": "5", "max-non-active-revisions": "3"},
        "min-non-active-revisions",
        "min-non-active-revisions(5) must be <= max-non-active-revisions(3)",
    ),
    "gc duration": (
        gc.parse,
        {"retain-since-create-time": "-1s"},
        "retain-since-create-time",
        'failed to parse "retain-since-create-time": must be non-negative, was: -1s',
    ),
    "buckets": (
        leader_election.parse,
        {"buckets": "11"},
        "buckets",
        "buckets: value must be between 1 <= 11 <= 10",
    ),
    "deadline of a lease": (
        leader_election.parse,
        {"lease-duration": "15s"},
        "renew-deadline",
        "renew-deadline (40s) must be shorter than lease-duration (15s)",
    ),
    "retries of a lease": (
        leader_election.parse,
        {"retry-period": "40s"},
        "retry-period",
        "retry-period (40s) must be shorter than renew-deadline (40s)",
    ),
    "no retries of a lease": (
        leader_election.parse,
        {"retry-period": "0s"},
        "retry-period",
        "retry-period (0s) must be longer than 0s",
    ),
    "level": (
        logging.parse,
        {"loglevel.activator": "loud"},
        "loglevel.activator",
        "failed to parse 'loglevel.activator': 'loud': unrecognized level: \"loud\"",
    ),
    "protocol": (
        network.parse,
        {"http-protocol": "gopher"},
        "http-protocol",
        "httpProtocol gopher in config-network ConfigMap is not supported",
    ),
    "rollout": (
        network.parse,
        {"rolloutDuration": "-5"},
        "rollout-duration",
        "rollout-duration must be a positive integer, but was -5",
    ),
    "template's field": (
        network.parse,
        {"domain-template": "{{.Nme}}.{{.Domain}}"},
        "domain-template",
        'failed to parse "domain-template": can\'t evaluate field Nme in the template '
        "'{{.Nme}}.{{.Domain}}'",
    ),
    "template's end": (
        network.parse,
        {"tag-template": "{{.Tag}"},
        "tag-template",
        "failed to parse \"tag-template\": unclosed action in the template '{{.Tag}'",
    ),
    "metrics": (
        observability.parse,
        {"metrics-protocol": "carrier-pigeon"},
        "metrics-protocol",
        'metrics-protocol = "carrier-pigeon": must be one of none, prometheus, http/protobuf, grpc',
    ),
    "endpoint": (
        observability.parse,
        {"tracing-protocol": "grpc"},
        "tracing-endpoint",
        'tracing-endpoint = "": is needed when the protocol is grpc',
    ),
    "endpoint of nothing": (
        observability.parse,
        {"metrics-endpoint": "a:1"},
        "metrics-endpoint",
        'metrics-endpoint = "a:1": must be empty when the protocol is none',
    ),
    "sampling": (
        observability.parse,
        {"tracing-sampling-rate": "2"},
        "tracing-sampling-rate",
        'tracing-sampling-rate = "2.0": must be between 0 and 1',
    ),
    "request log": (
        observability.parse,
        {"logging.enable-request-log": "true", "logging.request-log-template": ""},
        "logging.enable-request-log",
        'logging.enable-request-log = "true": was set to true, but no template was given',
    ),
}


@pytest.mark.parametrize(("parse", "data", "key", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_must_not_be_said(parse: Parse, data: dict[str, str], key: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(data)
    assert raised.value.key == key
    assert str(raised.value) == text
