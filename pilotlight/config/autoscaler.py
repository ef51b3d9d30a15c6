"""ConfigMap `config-autoscaler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight.config.go_values import (
    SECOND,
    ConfigError,
    Keys,
    format_duration,
)
from pilotlight.names import KPA_CLASS

WINDOW_MIN_S: Final = 6.0
WINDOW_MAX_S: Final = 3600.0
TARGET_MIN: Final = 0.01
PANIC_WINDOW_PERCENTAGE_MIN: Final = 1.0
PANIC_WINDOW_PERCENTAGE_MAX: Final = 100.0
UNLIMITED: Final = -1.0


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """How revisions scale unless their annotations say otherwise."""

    container_concurrency_target_fraction: float = 0.7
    """Part of a pod's concurrency that scaling aims at; the key holds it as a percentage."""
    container_concurrency_target_default: float = 100.0
    """Requests at once in a pod of a revision that sets no limit itself."""
    requests_per_second_target_default: float = 200.0
    target_burst_capacity: float = 211.0
    """Requests that must find a place without new pods; -1 is unlimited."""
    stable_window_s: float = 60.0
    panic_window_percentage: float = 10.0
    """Of the stable window."""
    panic_threshold_percentage: float = 200.0
    """Of the present capacity; demand above it starts panic."""
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    enable_scale_to_zero: bool = True
    scale_to_zero_grace_period_s: float = 30.0
    scale_to_zero_pod_retention_period_s: float = 0.0
    pod_autoscaler_class: str = KPA_CLASS
    activator_capacity: float = 100.0
    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    min_scale: int = 0
    max_scale: int = 0
    """0 is unlimited."""
    max_scale_limit: int = 0
    """Upper bound for `max_scale` and its annotation; 0 is none."""
    scale_down_delay_s: float = 0.0


def parse(data: Mapping[str, str]) -> Autoscaler:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    default = Autoscaler()
    config = Autoscaler(
        container_concurrency_target_fraction=_fraction(
            keys.number(70.0, "container-concurrency-target-percentage")
        ),
        container_concurrency_target_default=keys.number(
            default.container_concurrency_target_default, "container-concurrency-target-default"
        ),
        requests_per_second_target_default=keys.number(
            default.requests_per_second_target_default, "requests-per-second-target-default"
        ),
        target_burst_capacity=keys.number(default.target_burst_capacity, "target-burst-capacity"),
        stable_window_s=keys.seconds(default.stable_window_s, "stable-window"),
        panic_window_percentage=keys.number(
            default.panic_window_percentage, "panic-window-percentage"
        ),
        panic_threshold_percentage=keys.number(
            default.panic_threshold_percentage, "panic-threshold-percentage"
        ),
        max_scale_up_rate=keys.number(default.max_scale_up_rate, "max-scale-up-rate"),
        max_scale_down_rate=keys.number(default.max_scale_down_rate, "max-scale-down-rate"),
        enable_scale_to_zero=keys.boolean(True, "enable-scale-to-zero"),
        scale_to_zero_grace_period_s=keys.seconds(
            default.scale_to_zero_grace_period_s, "scale-to-zero-grace-period"
        ),
        scale_to_zero_pod_retention_period_s=keys.seconds(
            0.0, "scale-to-zero-pod-retention-period"
        ),
        pod_autoscaler_class=keys.text("pod-autoscaler-class", default=KPA_CLASS),
        activator_capacity=keys.number(default.activator_capacity, "activator-capacity"),
        initial_scale=keys.integer(1, "initial-scale", bits=32),
        allow_zero_initial_scale=keys.boolean(False, "allow-zero-initial-scale"),
        min_scale=keys.integer(0, "min-scale", bits=32),
        max_scale=keys.integer(0, "max-scale", bits=32),
        max_scale_limit=keys.integer(0, "max-scale-limit", bits=32),
        scale_down_delay_s=keys.seconds(0.0, "scale-down-delay"),
    )
    _check_targets(config, data)
    _check_windows(config, data)
    _check_scales(config, data)
    return config


def _fraction(percentage: float) -> float:
    return percentage / 100.0 if percentage > 1.0 else percentage


def _require(
    holds: bool, key: str, data: Mapping[str, str], text: str, rule: str | None = None
) -> None:
    if not holds:
        raise ConfigError(key, data.get(key, ""), rule or text, text)


def _check_targets(config: Autoscaler, data: Mapping[str, str]) -> None:
    burst = config.target_burst_capacity
    _require(
        burst >= 0 or burst == UNLIMITED,
        "target-burst-capacity",
        data,
        f"target-burst-capacity must be either non-negative or -1 (for unlimited), was: {burst:f}",
    )
    fraction = config.container_concurrency_target_fraction
    _require(
        0 < fraction <= 1,
        "container-concurrency-target-percentage",
        data,
        f"container-concurrency-target-percentage = {fraction:f} is outside of valid range of "
        "(0, 100]",
    )
    target = fraction * config.container_concurrency_target_default
    _require(
        target >= TARGET_MIN,
        "container-concurrency-target-default",
        data,
        "container-concurrency-target-percentage and container-concurrency-target-default yield "
        f"target concurrency of {target:f}, this is less than the minimum of {TARGET_MIN}",
    )
    rps = config.requests_per_second_target_default
    _require(
        rps >= TARGET_MIN,
        "requests-per-second-target-default",
        data,
        f"requests-per-second-target-default must be at least {TARGET_MIN}, was: {_g(rps)}",
    )
    _require(
        config.activator_capacity >= 1,
        "activator-capacity",
        data,
        f"activator-capacity = {_g(config.activator_capacity)}, must be at least 1",
    )
    for key, rate in (
        ("max-scale-up-rate", config.max_scale_up_rate),
        ("max-scale-down-rate", config.max_scale_down_rate),
    ):
        _require(rate > 1, key, data, f"{key} = {_g(rate)}, must be greater than 1.0")


def _check_windows(config: Autoscaler, data: Mapping[str, str]) -> None:
    grace = config.scale_to_zero_grace_period_s
    _require(
        grace > 0,
        "scale-to-zero-grace-period",
        data,
        f"scale-to-zero-grace-period must be positive, was: {_duration(grace)}",
    )
    retention = config.scale_to_zero_pod_retention_period_s
    _require(
        retention >= 0,
        "scale-to-zero-pod-retention-period",
        data,
        f"scale-to-zero-pod-retention-period cannot be negative, was: {_duration(retention)}",
    )
    delay = config.scale_down_delay_s
    _require(
        delay >= 0,
        "scale-down-delay",
        data,
        f"scale-down-delay cannot be negative, was: {_duration(delay)}",
    )
    stable = config.stable_window_s
    _require(
        WINDOW_MIN_S <= stable <= WINDOW_MAX_S,
        "stable-window",
        data,
        f"stable-window = {_duration(stable)}, must be in [{_duration(WINDOW_MIN_S)}; "
        f"{_duration(WINDOW_MAX_S)}] range",
    )
    for key, window in (("scale-down-delay", delay), ("stable-window", stable)):
        _require(
            window.is_integer(),
            key,
            data,
            f"{key} = {_duration(window)}, must be specified with at most second precision",
        )
    percentage = config.panic_window_percentage
    _require(
        PANIC_WINDOW_PERCENTAGE_MIN <= percentage <= PANIC_WINDOW_PERCENTAGE_MAX,
        "panic-window-percentage",
        data,
        f"panic-window-percentage = {_g(percentage)}, must be in "
        f"[{_g(PANIC_WINDOW_PERCENTAGE_MIN)}, {_g(PANIC_WINDOW_PERCENTAGE_MAX)}] interval",
    )


def _check_scales(config: Autoscaler, data: Mapping[str, str]) -> None:
    initial = config.initial_scale
    _require(
        initial > 0 or (initial == 0 and config.allow_zero_initial_scale),
        "initial-scale",
        data,
        f"initial-scale = {initial}, must be at least 0 (or at least 1 when "
        "allow-zero-initial-scale is false)",
    )
    limit = config.max_scale_limit
    _require(limit >= 0, "max-scale-limit", data, f"max-scale-limit = {limit}, must be at least 0")
    most = config.max_scale
    _require(most >= 0, "max-scale", data, f"max-scale = {most}, must be at least 0")
    _require(
        limit == 0 or 1 <= most <= limit,
        "max-scale",
        data,
        f"max-scale = {most}, must be in [1, max-scale-limit({limit})] range",
    )
    least = config.min_scale
    _require(least >= 0, "min-scale", data, f"min-scale = {least}, must be at least 0")
    _require(
        most == 0 or least <= most,
        "min-scale",
        data,
        f"min-scale = {least}, must be at most max-scale = {most}",
    )


def _g(value: float) -> str:
    return f"{value:g}"


def _duration(seconds: float) -> str:
    return format_duration(round(seconds * SECOND))
