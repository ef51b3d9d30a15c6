"""Rules about the annotations of a template, by the text it refuses with."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.config.autoscaler import Autoscaler
from tests.api.builders import (
    Obj,
    context,
    refusal,
    revision,
    service_of,
)

SCALING = "spec.template.metadata.annotations.autoscaling.knative.dev"
TEMPLATE = "spec.template.metadata.annotations"
QUEUE = "queue.sidecar.serving.knative.dev"


def annotated(**annotations: str) -> Obj:
    """A Service whose template carries autoscaling annotations."""
    full = {f"autoscaling.knative.dev/{key}": value for key, value in annotations.items()}
    return service_of({"containers": [{"image": "a/b"}]}, annotations=full)


def template_annotated(key: str, value: str) -> Obj:
    return service_of({"containers": [{"image": "a/b"}]}, annotations={key: value})


def named(obj: Obj, **metadata: Any) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


SCALES: dict[str, tuple[Obj, str]] = {
    "class": (
        annotated(**{"class": "x.knative.dev"}),
        f"invalid value: x.knative.dev: {SCALING}/class",
    ),
    "metric": (annotated(metric="cpu"), f"invalid value: cpu: {SCALING}/metric"),
    "metric of hpa": (
        annotated(**{"class": "hpa.autoscaling.knative.dev", "metric": ""}),
        f"invalid value: : {SCALING}/metric",
    ),
    "target": (
        annotated(target="0.001"),
        f"target 0.001 should be at least 0.01: {SCALING}/target",
    ),
    "target that is none": (annotated(target="much"), f"invalid value: much: {SCALING}/target"),
    "utilization": (
        annotated(**{"target-utilization-percentage": "0"}),
        f"expected 1 <= 0 <= 100: {SCALING}/target-utilization-percentage",
    ),
    "burst capacity": (
        annotated(**{"target-burst-capacity": "-2"}),
        f"invalid value: -2: {SCALING}/target-burst-capacity",
    ),
    "panic window": (
        annotated(panicWindowPercentage="0.5"),
        f"expected 1 <= 0.5 <= 100: {SCALING}/panicWindowPercentage",
    ),
    "panic threshold": (
        annotated(**{"panic-threshold-percentage": "109"}),
        f"expected 110 <= 109 <= 1000: {SCALING}/panic-threshold-percentage",
    ),
    "window too short": (
        annotated(window="1s"),
        f"expected 6s <= 1s <= 1h0m0s: {SCALING}/window",
    ),
    "window between seconds": (
        annotated(window="7.5s"),
        f"must be specified with at most second precision: {SCALING}/window",
    ),
    "delay too long": (
        annotated(**{"scale-down-delay": "2h"}),
        f"expected 0s <= 2h <= 1h0m0s: {SCALING}/scale-down-delay",
    ),
    "retention below zero": (
        annotated(**{"scale-to-zero-pod-retention-period": "-1s"}),
        f"expected 0s <= -1s <= 1h0m0s: {SCALING}/scale-to-zero-pod-retention-period",
    ),
    "max below min": (
        annotated(**{"min-scale": "2", "maxScale": "1"}),
        f"max-scale=1 is less than min-scale=2: {SCALING}/max-scale, {SCALING}/min-scale",
    ),
    "min below zero": (
        annotated(**{"min-scale": "-1"}),
        f"expected 0 <= -1 <= 2147483647: {SCALING}/min-scale",
    ),
    "min that is none": (
        annotated(**{"min-scale": "1.5"}),
        f"invalid value: 1.5: {SCALING}/min-scale",
    ),
    "min beyond all pods": (
        annotated(**{"min-scale": "3000000000"}),
        f"expected 0 <= 3000000000 <= 2147483647: {SCALING}/min-scale",
    ),
    "activation of one": (
        annotated(**{"activation-scale": "1"}),
        f"activation-scale=1 must be greater than 1: {SCALING}/activation-scale",
    ),
    "activation below zero": (
        annotated(**{"activation-scale": "-1"}),
        f"min-scale=0 is greater than activation-scale=-1: {SCALING}/activation-scale",
    ),
    "activation above max": (
        annotated(**{"activation-scale": "5", "max-scale": "3"}),
        f"max-scale=3 is less than activation-scale=5: {SCALING}/activation-scale",
    ),
    "initial zero": (
        annotated(**{"initial-scale": "0"}),
        f"invalid value: 0: {SCALING}/initial-scale=0 not allowed by cluster",
    ),
    "initial below zero": (
        annotated(initialScale="-1"),
        f"invalid value: -1: {SCALING}/initialScale must be greater than 0",
    ),
    "aggregation": (
        annotated(
            **{"class": "kpa.autoscaling.knative.dev", "metric-aggregation-algorithm": "median"}
        ),
        f"invalid value: median: {SCALING}/metric-aggregation-algorithm",
    ),
    "quantity of the sidecar": (
        template_annotated(f"{QUEUE}/cpu-resource-request", "much"),
        f"invalid value: much: {TEMPLATE}.[{QUEUE}/cpu-resource-request]",
    ),
    "percentage of the sidecar": (
        template_annotated(f"{QUEUE}/resourcePercentage", "200"),
        f"expected 0.1 <= 200 <= 100: {TEMPLATE}.[{QUEUE}/resourcePercentage]",
    ),
    "deadline": (
        template_annotated("serving.knative.dev/progress-deadline", "-1s"),
        f"progress-deadline=-1s must be positive: {TEMPLATE}.serving.knative.dev/progress-deadline",
    ),
    "networking": (
        template_annotated("networking.knative.dev/visibility", "cluster-local"),
        f'invalid key name "networking.knative.dev/visibility": {TEMPLATE}',
    ),
}


@pytest.mark.parametrize(("obj", "text"), SCALES.values(), ids=SCALES.keys())
def test_an_annotation_is_refused_with_the_text(obj: Obj, text: str) -> None:
    assert refusal(obj) == text


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(annotated(target="NaN"), id="no number is no bound"),
        pytest.param(annotated(target="+Inf"), id="infinite target"),
        pytest.param(annotated(**{"class": "mine.example.com", "metric": "x"}), id="foreign class"),
        pytest.param(annotated(**{"target-burst-capacity": "-1"}), id="unlimited burst"),
        pytest.param(annotated(**{"metric-aggregation-algorithm": "median"}), id="no class named"),
        pytest.param(annotated(**{"min-scale": "3", "max-scale": "0"}), id="unlimited scale"),
        pytest.param(
            template_annotated("networking.knative.dev/ingress-class", "x"), id="ingress class"
        ),
        pytest.param(template_annotated("features.knative.dev/anything", "x"), id="features"),
    ],
)
def test_an_annotation_passes(obj: Obj) -> None:
    assert refusal(obj) == ""


def test_the_cluster_bounds_the_scale() -> None:
    where = context(autoscaler=Autoscaler(max_scale=2, max_scale_limit=3))
    assert refusal(annotated(**{"max-scale": "4"}), where) == (
        f"expected 1 <= 4 <= 3: {SCALING}/max-scale"
    )
    assert refusal(annotated(**{"max-scale": "0"}), where) == (
        f"max-scale=0 (unlimited), must be less than 3: {SCALING}/max-scale"
    )


def test_a_revision_by_hand_is_checked_less() -> None:
    by_hand = named(
        revision(),
        annotations={
            "serving.knative.dev/progress-deadline": "never",
            f"{QUEUE}/cpu-resource-request": "much",
            "networking.knative.dev/visibility": "x",
        },
    )
    assert refusal(by_hand) == ""
    scaled = named(revision(), annotations={"autoscaling.knative.dev/min-scale": "-1"})
    assert refusal(scaled) == (
        "expected 0 <= -1 <= 2147483647: metadata.annotations.autoscaling.knative.dev/min-scale"
    )
