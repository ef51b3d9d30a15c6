"""From annotations and the cluster's defaults to a revision's numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pilotlight.config.autoscaler import Autoscaler
from pilotlight_autoscaler.settings import Spec, spec_of

DEFAULTS = Autoscaler()


def spec(
    annotations: dict[str, str] | None = None,
    config: Autoscaler = DEFAULTS,
    **fields: Any,
) -> Spec:
    prefixed = {f"autoscaling.knative.dev/{key}": text for key, text in (annotations or {}).items()}
    return spec_of({"metadata": {"annotations": prefixed}, "spec": fields}, config)


def test_defaults_are_those_of_the_config_map() -> None:
    assert spec() == Spec()


def test_an_empty_object_has_defaults() -> None:
    assert spec_of({}, DEFAULTS) == Spec()


@pytest.mark.parametrize(
    ("annotations", "changes"),
    [
        pytest.param({"window": "30s"}, {"stable_s": 30, "panic_s": 3}, id="window"),
        pytest.param({"window": "6s"}, {"stable_s": 6, "panic_s": 1}, id="panic at least 1 s"),
        pytest.param({"window": "15s"}, {"stable_s": 15, "panic_s": 2}, id="1.5 s rounds up"),
        pytest.param({"window": "1h"}, {"stable_s": 3600, "panic_s": 360}, id="an hour"),
        pytest.param({"panic-window-percentage": "50"}, {"panic_s": 30}, id="panic window"),
        pytest.param({"panicWindowPercentage": "50"}, {"panic_s": 30}, id="older spelling"),
        pytest.param({"panic-threshold-percentage": "500"}, {"panic_threshold": 5.0}, id="panic"),
        pytest.param({"target": "10"}, {"total": 10.0, "target": 7.0}, id="target"),
        pytest.param(
            {"target": "10", "target-utilization-percentage": "50"},
            {"total": 10.0, "target": 5.0},
            id="utilization",
        ),
        pytest.param({"metric": "rps"}, {"rps": True, "total": 200.0, "target": 140.0}, id="rps"),
        pytest.param(
            {"metric": "rps", "target": "50", "targetUtilizationPercentage": "100"},
            {"rps": True, "total": 50.0, "target": 50.0},
            id="rps target",
        ),
        pytest.param({"min-scale": "2", "minScale": "9"}, {"min": 2}, id="first spelling wins"),
        pytest.param({"maxScale": "5"}, {"max": 5}, id="max"),
        pytest.param({"initial-scale": "4"}, {"initial": 4}, id="initial"),
        pytest.param({"initial-scale": "0"}, {}, id="initial 0 is not allowed"),
        pytest.param({"activation-scale": "3"}, {"activation": 3}, id="activation"),
        pytest.param({"scale-down-delay": "15m"}, {"delay_s": 900.0}, id="delay"),
        pytest.param(
            {"scale-to-zero-pod-retention-period": "1m30s"}, {"retention_s": 90.0}, id="retention"
        ),
        pytest.param(
            {"metric-aggregation-algorithm": "weighted-exponential"},
            {"weighted": True},
            id="weighted",
        ),
        pytest.param({"metricAggregationAlgorithm": "linear"}, {}, id="linear"),
    ],
)
def test_annotations(annotations: dict[str, str], changes: dict[str, Any]) -> None:
    assert spec(annotations) == replace(Spec(), **changes)


@pytest.mark.parametrize(
    ("annotations", "total", "target"),
    [
        pytest.param({}, 10.0, 7.0, id="the limit is the target"),
        pytest.param({"target": "4"}, 4.0, 2.8, id="a smaller target"),
        pytest.param({"target": "40"}, 10.0, 7.0, id="a target above the limit"),
        pytest.param({"target-utilization-percentage": "100"}, 10.0, 10.0, id="all of it"),
    ],
)
def test_targets_with_container_concurrency(
    annotations: dict[str, str], total: float, target: float
) -> None:
    found = spec(annotations, containerConcurrency=10)
    assert (found.total, found.target) == pytest.approx((total, target))


def test_a_target_is_never_below_the_least() -> None:
    assert spec({"target": "0.01", "target-utilization-percentage": "1"}).target == 0.01


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("window", "5s"),
        ("window", "6.5s"),
        ("window", "soon"),
        ("target", "NaN"),
        ("target", "+Inf"),
        ("target", "much"),
        ("min-scale", "-1"),
        ("min-scale", "1.5"),
        ("max-scale", "9999999999"),
        ("scale-down-delay", "2h"),
        ("panic-window-percentage", "0"),
        ("panic-threshold-percentage", "nan"),
    ],
)
def test_what_cannot_be_read_is_ignored_and_named(key: str, text: str) -> None:
    found = spec({key: text})
    assert replace(found, problems=()) == Spec()
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"autoscaling.knative.dev/{key}={text} is ignored: ")


def test_reachability() -> None:
    assert [spec(reachability=r).reachable for r in ("", "Reachable", "Unreachable")] == [
        True,
        True,
        False,
    ]


def test_the_cluster_decides_what_annotations_do_not() -> None:
    config = replace(
        DEFAULTS,
        stable_window_s=20.0,
        panic_window_percentage=25.0,
        container_concurrency_target_fraction=0.5,
        container_concurrency_target_default=10.0,
        min_scale=1,
        max_scale=8,
        initial_scale=0,
        allow_zero_initial_scale=True,
        scale_down_delay_s=10.0,
        scale_to_zero_pod_retention_period_s=7.0,
    )
    assert spec(config=config) == Spec(
        stable_s=20,
        panic_s=5,
        total=10.0,
        target=5.0,
        min=1,
        max=8,
        initial=0,
        delay_s=10.0,
        retention_s=7.0,
    )


def test_the_activation_timeout_follows_the_progress_deadline() -> None:
    obj = {"metadata": {"annotations": {"serving.knative.dev/progress-deadline": "20s"}}}
    assert spec_of(obj, DEFAULTS).activation_timeout_s == 50.0
    assert spec_of({}, DEFAULTS, progress_deadline_s=120.0).activation_timeout_s == 150.0
