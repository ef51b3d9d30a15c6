"""What one revision asks of the autoscaler, as numbers: its PodAutoscaler's annotations over the
cluster's defaults.

Annotations were checked when the object was admitted; one that cannot be read all the same counts
as absent and is named in `problems`, so that a bad object never stops the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pilotlight import names
from pilotlight.config.autoscaler import TARGET_MIN, WINDOW_MAX_S, WINDOW_MIN_S, Autoscaler
from pilotlight.config.go_values import parse_duration_s, parse_float, parse_int

T = TypeVar("T")

RPS: Final = "rps"
UNREACHABLE: Final = "Unreachable"
DEFAULT_PROGRESS_DEADLINE_S: Final = 600.0
ACTIVATION_BUFFER_S: Final = 30.0
LONGEST_DELAY_S: Final = 3600.0
_WEIGHTED: Final = frozenset({"weighted-exponential", "weightedExponential"})
_RPS_UTILIZATION: Final = 0.7
_LARGEST_COUNT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Spec:
    """One revision's numbers. Concurrency and rates are per pod."""

    stable_s: int = 60
    panic_s: int = 6
    weighted: bool = False
    rps: bool = False
    """Whether requests per second are counted in place of concurrency."""
    total: float = 100.0
    """What one pod can take."""
    target: float = 70.0
    """What one pod should take: `total` times the utilization."""
    panic_threshold: float = 2.0
    """Panic begins when the panic window asks for this many times the ready pods."""
    activation: int = 0
    """As soon as there is load, at least so many pods; below 2 it means nothing."""
    delay_s: float = 0.0
    """How long a smaller number has to last before it counts."""
    min: int = 0
    max: int = 0
    """0 is unlimited."""
    initial: int = 1
    retention_s: float = 0.0
    """How long the last pod stays after the revision went inactive."""
    activation_timeout_s: float = DEFAULT_PROGRESS_DEADLINE_S + ACTIVATION_BUFFER_S
    reachable: bool = True
    problems: tuple[str, ...] = ()


def spec_of(
    pa: Mapping[str, Any],
    config: Autoscaler,
    progress_deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S,
) -> Spec:
    """The numbers of a PodAutoscaler object. `progress_deadline_s` is the cluster's default."""
    spec = pa.get("spec") or {}
    notes = _Annotations((pa.get("metadata") or {}).get("annotations") or {})
    stable_s = notes.read(_whole_window, config.stable_window_s, names.WINDOW_ANNOTATION)
    rps = notes.text(names.METRIC_ANNOTATION) == RPS
    total, target = _targets(notes, config, rps, int(spec.get("containerConcurrency") or 0))
    reachable = spec.get("reachability") != UNREACHABLE
    deadline_s = notes.read(
        parse_duration_s, progress_deadline_s, names.PROGRESS_DEADLINE_ANNOTATION
    )
    return Spec(
        stable_s=round(stable_s),
        panic_s=_panic_window(notes, config, stable_s),
        weighted=notes.text(names.AGGREGATION_ANNOTATION, names.AGGREGATION_ANNOTATION_ALT)
        in _WEIGHTED,
        rps=rps,
        total=total,
        target=target,
        panic_threshold=notes.read(
            _positive,
            config.panic_threshold_percentage,
            names.PANIC_THRESHOLD_ANNOTATION,
            names.PANIC_THRESHOLD_ANNOTATION_ALT,
        )
        / 100.0,
        activation=notes.read(_count, 0, names.ACTIVATION_SCALE_ANNOTATION),
        delay_s=notes.read(
            _delay,
            min(config.scale_down_delay_s, LONGEST_DELAY_S),
            names.SCALE_DOWN_DELAY_ANNOTATION,
            names.SCALE_DOWN_DELAY_ANNOTATION_ALT,
        ),
        min=notes.read(
            _count, config.min_scale, names.MIN_SCALE_ANNOTATION, names.MIN_SCALE_ANNOTATION_ALT
        ),
        max=notes.read(
            _count, config.max_scale, names.MAX_SCALE_ANNOTATION, names.MAX_SCALE_ANNOTATION_ALT
        ),
        initial=_initial(notes, config),
        retention_s=notes.read(
            _delay,
            config.scale_to_zero_pod_retention_period_s,
            names.POD_RETENTION_ANNOTATION,
            names.POD_RETENTION_ANNOTATION_ALT,
        ),
        activation_timeout_s=deadline_s + ACTIVATION_BUFFER_S,
        reachable=reachable,
        problems=tuple(notes.problems),
    )


class _Annotations:
    """Reads annotations by their spellings, the first that is present, and keeps the complaints."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, *spellings: str) -> str:
        for spelling in spellings:
            if spelling in self._values:
                return str(self._values[spelling])
        return ""

    def read(self, parse: Callable[[str], T], default: T, *spellings: str) -> T:
        for spelling in spellings:
            if spelling not in self._values:
                continue
            text = str(self._values[spelling])
            try:
                return parse(text)
            except ValueError as error:
                self.problems.append(f"{spelling}={text} is ignored: {error}")
                return default
        return default


def _targets(notes: _Annotations, config: Autoscaler, rps: bool, limit: int) -> tuple[float, float]:
    """What a pod can take and what it should take. `limit` is containerConcurrency, 0 for none."""
    if rps:
        total, utilization = config.requests_per_second_target_default, _RPS_UTILIZATION
    else:
        total = float(limit) if limit else config.container_concurrency_target_default
        utilization = config.container_concurrency_target_fraction
    wanted = notes.read(_target, 0.0, names.TARGET_ANNOTATION)
    if wanted:
        total = min(wanted, float(limit)) if limit and not rps else wanted
    percentage = notes.read(
        _percentage,
        0.0,
        names.TARGET_UTILIZATION_ANNOTATION,
        names.TARGET_UTILIZATION_ANNOTATION_ALT,
    )
    if percentage:
        utilization = percentage / 100.0
    return total, max(TARGET_MIN, total * utilization)


def _panic_window(notes: _Annotations, config: Autoscaler, stable_s: float) -> int:
    percentage = notes.read(
        _percentage,
        config.panic_window_percentage,
        names.PANIC_WINDOW_ANNOTATION,
        names.PANIC_WINDOW_ANNOTATION_ALT,
    )
    # Half a second rounds up.
    return max(1, math.floor(stable_s * percentage / 100.0 + 0.5))


def _initial(notes: _Annotations, config: Autoscaler) -> int:
    wanted = notes.read(
        _count,
        config.initial_scale,
        names.INITIAL_SCALE_ANNOTATION,
        names.INITIAL_SCALE_ANNOTATION_ALT,
    )
    if wanted == 0 and not config.allow_zero_initial_scale:
        return config.initial_scale
    return wanted


def _count(text: str) -> int:
    value = parse_int(text, 32)
    if not 0 <= value <= _LARGEST_COUNT:
        raise ValueError(f"expected 0 <= {value} <= {_LARGEST_COUNT}")
    return value


def _positive(text: str) -> float:
    return _between(parse_float(text), 1e-9, math.inf)


def _target(text: str) -> float:
    value = parse_float(text)
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return max(value, TARGET_MIN)


def _percentage(text: str) -> float:
    return _between(parse_float(text), 1.0, 100.0)


def _whole_window(text: str) -> float:
    value = _between(parse_duration_s(text), WINDOW_MIN_S, WINDOW_MAX_S)
    if not value.is_integer():
        raise ValueError("must be specified with at most second precision")
    return value


def _delay(text: str) -> float:
    return _between(parse_duration_s(text), 0.0, LONGEST_DELAY_S)


def _between(value: float, least: float, most: float) -> float:
    # A NaN fails the comparison as well.
    if not least <= value <= most:
        raise ValueError(f"expected {least:g} <= {value:g} <= {most:g}")
    return value
