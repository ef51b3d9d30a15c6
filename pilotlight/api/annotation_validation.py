"""The annotations that steer a Revision: scaling, the sidecar, deadlines, networking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pilotlight import names
from pilotlight.api.field_errors import (
    CURRENT_FIELD,
    FieldError,
    FieldErrors,
    Level,
    generic,
    invalid,
    invalid_key,
    map_key,
    out_of_bounds,
)
from pilotlight.config.autoscaler import (
    PANIC_WINDOW_PERCENTAGE_MAX,
    PANIC_WINDOW_PERCENTAGE_MIN,
    TARGET_MIN,
    UNLIMITED,
    Autoscaler,
)
from pilotlight.config.go_values import (
    HOUR,
    SECOND,
    format_duration,
    parse_duration_ns,
    parse_float,
    parse_int,
    parse_quantity,
)

Annotations = Mapping[str, str]
Found = tuple[str, str]

_INT32_MAX: Final = 2**31 - 1
_PANIC_THRESHOLD: Final = (110.0, 1000.0)
_UTILIZATION: Final = (1.0, 100.0)
_WINDOW_MIN: Final = 6 * SECOND
_WINDOW_MAX: Final = HOUR
_WHOLE_SECONDS: Final = "must be specified with at most second precision"
_OUR_CLASSES: Final = (names.KPA_CLASS, names.HPA_CLASS)
_CLASS_DOMAIN: Final = ".knative.dev"
_KPA_METRICS: Final = ("concurrency", "rps")
_AGGREGATIONS: Final = ("linear", "weighted-exponential", "weightedExponential")

_RESOURCE_PERCENTAGE: Final = (
    names.QUEUE_RESOURCE_PREFIX + "resource-percentage",
    names.QUEUE_RESOURCE_PREFIX + "resourcePercentage",
)
_RESOURCE_PERCENTAGE_BOUNDS: Final = (0.1, 100.0)
_QUEUE_QUANTITIES: Final = tuple(
    names.QUEUE_RESOURCE_PREFIX + f"{resource}-resource-{kind}"
    for resource in ("cpu", "memory", "ephemeral-storage")
    for kind in ("request", "limit")
)
_NETWORKING_PREFIX: Final = "networking.knative.dev/"
_NETWORKING_KEYS: Final = frozenset(
    {
        names.INGRESS_CLASS_ANNOTATION,
        names.INGRESS_CLASS_ANNOTATION_ALT,
        names.CERTIFICATE_CLASS_ANNOTATION,
        names.CERTIFICATE_CLASS_ANNOTATION_ALT,
        names.DISABLE_TLS_ANNOTATION,
        *names.DISABLE_TLS_ANNOTATION_ALTS,
        names.HTTP_PROTOCOL_ANNOTATION,
        names.HTTP_PROTOCOL_ANNOTATION_ALT,
    }
)


def find(annotations: Annotations, *keys: str) -> Found | None:
    """The first of the spellings that is there, and its value."""
    for key in keys:
        if key in annotations:
            return key, annotations[key]
    return None


def validate_scaling(annotations: Annotations, config: Autoscaler) -> FieldErrors:
    """The annotations under `autoscaling.knative.dev`. Paths are the keys themselves."""
    errors = FieldErrors()
    for check in (_class, _floats, _windows, _metric, _aggregation):
        errors.add(check(annotations))
    errors.add(_scales(annotations, config), _initial_scale(annotations, config))
    return errors


def refuse_scaling(annotations: Annotations) -> FieldErrors:
    """Annotations for scaling at a place where nobody reads them."""
    hint = 'autoscaling annotations must be put under "spec.template.metadata.annotations" to work'
    return FieldErrors(
        invalid_key(key, CURRENT_FIELD, hint)
        for key in annotations
        if key.startswith(names.AUTOSCALING_PREFIX.rstrip("/"))
    )


def validate_rollout_duration(annotations: Annotations) -> FieldErrors:
    found = find(
        annotations, names.ROLLOUT_DURATION_ANNOTATION, names.ROLLOUT_DURATION_ANNOTATION_ALT
    )
    return _whole_duration("rollout-duration", found)


def validate_progress_deadline(annotations: Annotations) -> FieldErrors:
    found = find(annotations, names.PROGRESS_DEADLINE_ANNOTATION)
    return _whole_duration("progress-deadline", found)


def validate_networking(annotations: Annotations) -> FieldErrors:
    """On a template, only keys that mean something there."""
    return FieldErrors(
        invalid_key(key, CURRENT_FIELD)
        for key in annotations
        if key.startswith(_NETWORKING_PREFIX) and key not in _NETWORKING_KEYS
    )


def validate_queue_resources(annotations: Annotations) -> FieldErrors:
    """The resources of the sidecar."""
    errors = _resource_percentage(find(annotations, *_RESOURCE_PERCENTAGE))
    for key in _QUEUE_QUANTITIES:
        value = annotations.get(key)
        if value is not None and not _reads(parse_quantity, value):
            errors.add(FieldErrors([invalid(value, CURRENT_FIELD)]).via(map_key(key)))
    return errors


def _resource_percentage(found: Found | None) -> FieldErrors:
    errors = FieldErrors()
    if found is None:
        return errors
    key, value = found
    errors.add(
        FieldError(
            "Queue proxy resource percentage annotation is deprecated. Please use the available "
            "annotations to explicitly set resource values per service",
            (CURRENT_FIELD,),
            level=Level.WARNING,
        )
    )
    lower, upper = _RESOURCE_PERCENTAGE_BOUNDS
    if not _reads(parse_float, value):
        errors.add(invalid(value, CURRENT_FIELD))
    elif not lower <= parse_float(value) <= upper:
        errors.add(out_of_bounds(parse_float(value), lower, upper, CURRENT_FIELD))
    return errors.via(map_key(key))


def _whole_duration(name: str, found: Found | None) -> FieldErrors:
    if found is None or not found[1]:
        return FieldErrors()
    key, value = found
    if not _reads(parse_duration_ns, value):
        return FieldErrors([invalid(value, key)])
    duration = parse_duration_ns(value)
    if duration % SECOND:
        return FieldErrors([generic(f"{name}={value} is not at second precision", key)])
    if duration < 0:
        return FieldErrors([generic(f"{name}={value} must be positive", key)])
    return FieldErrors()


def _class(annotations: Annotations) -> FieldErrors:
    value = annotations.get(names.CLASS_ANNOTATION, "")
    if value.endswith(_CLASS_DOMAIN) and value not in _OUR_CLASSES:
        return FieldErrors([invalid(value, names.CLASS_ANNOTATION)])
    return FieldErrors()


def _floats(annotations: Annotations) -> FieldErrors:
    errors = FieldErrors()
    for keys, (lower, upper) in (
        (
            (names.PANIC_WINDOW_ANNOTATION, names.PANIC_WINDOW_ANNOTATION_ALT),
            (PANIC_WINDOW_PERCENTAGE_MIN, PANIC_WINDOW_PERCENTAGE_MAX),
        ),
        (
            (names.PANIC_THRESHOLD_ANNOTATION, names.PANIC_THRESHOLD_ANNOTATION_ALT),
            _PANIC_THRESHOLD,
        ),
        (
            (names.TARGET_UTILIZATION_ANNOTATION, names.TARGET_UTILIZATION_ANNOTATION_ALT),
            _UTILIZATION,
        ),
    ):
        errors.add(_float(find(annotations, *keys), _between(lower, upper)))
    errors.add(
        _float(find(annotations, names.TARGET_ANNOTATION), _at_least_target),
        _float(
            find(
                annotations,
                names.TARGET_BURST_CAPACITY_ANNOTATION,
                names.TARGET_BURST_CAPACITY_ANNOTATION_ALT,
            ),
            _burst,
        ),
    )
    return errors


Rule = Callable[[str, str, float], FieldError | None]


def _float(found: Found | None, rule: Rule) -> FieldErrors:
    if found is None:
        return FieldErrors()
    key, value = found
    if not _reads(parse_float, value):
        return FieldErrors([invalid(value, key)])
    error = rule(key, value, parse_float(value))
    return FieldErrors([error] if error else [])


def _between(lower: float, upper: float) -> Rule:
    # Written by what is refused: NaN is neither below nor above and passes, as with Knative.
    def rule(key: str, value: str, parsed: float) -> FieldError | None:
        outside = parsed < lower or parsed > upper
        return out_of_bounds(value, lower, upper, key) if outside else None

    return rule


def _at_least_target(key: str, value: str, parsed: float) -> FieldError | None:
    return (
        generic(f"target {value} should be at least {TARGET_MIN}", key)
        if (parsed < TARGET_MIN)
        else None
    )


def _burst(key: str, value: str, parsed: float) -> FieldError | None:
    return invalid(value, key) if parsed < 0 and parsed != UNLIMITED else None


def _windows(annotations: Annotations) -> FieldErrors:
    errors = FieldErrors()
    window = find(annotations, names.WINDOW_ANNOTATION)
    delay = find(
        annotations, names.SCALE_DOWN_DELAY_ANNOTATION, names.SCALE_DOWN_DELAY_ANNOTATION_ALT
    )
    retention = find(
        annotations, names.POD_RETENTION_ANNOTATION, names.POD_RETENTION_ANNOTATION_ALT
    )
    errors.add(
        _window(window, _WINDOW_MIN, whole=True),
        _window(delay, 0, whole=True),
        _window(retention, 0, whole=False),
    )
    return errors


def _window(found: Found | None, lower: int, *, whole: bool) -> FieldErrors:
    if found is None:
        return FieldErrors()
    key, value = found
    if not _reads(parse_duration_ns, value):
        return FieldErrors([invalid(value, key)])
    duration = parse_duration_ns(value)
    if not lower <= duration <= _WINDOW_MAX:
        bounds = (format_duration(lower), format_duration(_WINDOW_MAX))
        return FieldErrors([out_of_bounds(value, *bounds, key)])
    if whole and duration % SECOND:
        return FieldErrors([generic(_WHOLE_SECONDS, key)])
    return FieldErrors()


def _metric(annotations: Annotations) -> FieldErrors:
    metric = annotations.get(names.METRIC_ANNOTATION)
    if metric is None:
        return FieldErrors()
    scaler = annotations.get(names.CLASS_ANNOTATION, names.KPA_CLASS)
    wrong = (scaler == names.KPA_CLASS and metric not in _KPA_METRICS) or (
        scaler == names.HPA_CLASS and not metric
    )
    return FieldErrors([invalid(metric, names.METRIC_ANNOTATION)] if wrong else [])


def _aggregation(annotations: Annotations) -> FieldErrors:
    found = find(annotations, names.AGGREGATION_ANNOTATION, names.AGGREGATION_ANNOTATION_ALT)
    ours = annotations.get(names.CLASS_ANNOTATION) == names.KPA_CLASS
    if found is None or not found[1] or not ours or found[1] in _AGGREGATIONS:
        return FieldErrors()
    return FieldErrors([invalid(found[1], found[0])])


def _scales(annotations: Annotations, config: Autoscaler) -> FieldErrors:
    least, errors = _count(find(annotations, *_MIN_SCALE))
    found = find(annotations, *_MAX_SCALE)
    most, more = _count(found)
    errors.add(more)
    if most != 0 and most < least:
        keys = (names.MAX_SCALE_ANNOTATION, names.MIN_SCALE_ANNOTATION)
        errors.add(generic(f"max-scale={most} is less than min-scale={least}", *keys))
    limit = config.max_scale_limit
    if found is not None and limit != 0:
        if most > limit:
            errors.add(out_of_bounds(most, 1, limit, found[0]))
        if most == 0:
            text = f"max-scale=0 (unlimited), must be less than {limit}"
            errors.add(generic(text, found[0]))
    return errors.add(_activation_scale(annotations, least, most))


_MIN_SCALE: Final = (names.MIN_SCALE_ANNOTATION, names.MIN_SCALE_ANNOTATION_ALT)
_MAX_SCALE: Final = (names.MAX_SCALE_ANNOTATION, names.MAX_SCALE_ANNOTATION_ALT)


def _activation_scale(annotations: Annotations, least: int, most: int) -> FieldErrors:
    found = find(annotations, names.ACTIVATION_SCALE_ANNOTATION)
    if found is None:
        return FieldErrors()
    key, value = found
    if not _reads(_parse_int32, value):
        return FieldErrors([invalid(value, key)])
    scale = _parse_int32(value)
    if least > scale:
        text = f"min-scale={least} is greater than activation-scale={scale}"
    elif most != 0 and most < scale:
        text = f"max-scale={most} is less than activation-scale={scale}"
    elif scale < 2:
        text = f"activation-scale={scale} must be greater than 1"
    else:
        return FieldErrors()
    return FieldErrors([generic(text, key)])


def _initial_scale(annotations: Annotations, config: Autoscaler) -> FieldErrors:
    found = find(annotations, names.INITIAL_SCALE_ANNOTATION, names.INITIAL_SCALE_ANNOTATION_ALT)
    if found is None:
        return FieldErrors()
    key, value = found
    # What is wrong is told as a part of the path: so does Knative, and its clients look for it.
    if not _reads(parse_int, value):
        return FieldErrors([invalid(value, key)])
    if parse_int(value) < 0:
        return FieldErrors([invalid(value, f"{key} must be greater than 0")])
    if parse_int(value) == 0 and not config.allow_zero_initial_scale:
        return FieldErrors([invalid(value, f"{key}=0 not allowed by cluster")])
    return FieldErrors()


def _count(found: Found | None) -> tuple[int, FieldErrors]:
    """A number of pods, 0 when there is none or it is wrong."""
    if found is None:
        return 0, FieldErrors()
    key, value = found
    if not _reads(parse_int_of_any_size, value):
        return 0, FieldErrors([invalid(value, key)])
    count = parse_int_of_any_size(value)
    if not 0 <= count <= _INT32_MAX:
        return 0, FieldErrors([out_of_bounds(value, 0, _INT32_MAX, key)])
    return count, FieldErrors()


def parse_int_of_any_size(value: str) -> int:
    return parse_int(value, bits=4096)


def _parse_int32(value: str) -> int:
    return parse_int(value, bits=32)


def _reads(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True
