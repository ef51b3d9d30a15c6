"""Checks of probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pilotlight.api.field_errors import (
    FieldErrors,
    generic,
    invalid,
    missing_one_of,
    multiple_one_of,
    out_of_bounds,
)
from pilotlight.api.field_masks import PROBE_HANDLERS
from pilotlight.api.json_parts import Json, number, part

_INT32_MAX: Final = 2**31 - 1
_NAMES: Final = {"grpc": "gRPC"}
"""How a handler is called when there are several; Knative's own spelling."""


@dataclass(frozen=True, slots=True)
class ProbedPort:
    """The port that probes of a container may mean by name. None: they must say a number."""

    name: str | None


def validate_probe(probe: Json | None, port: ProbedPort) -> FieldErrors:
    """What every probe has to fulfil: exactly one handler, at the right port."""
    errors = FieldErrors()
    if probe is None:
        return errors
    handlers = [name for name in PROBE_HANDLERS if probe.get(name) is not None]
    for name in ("httpGet", "tcpSocket"):
        if name in handlers:
            errors.add(_validate_port(part(probe, name).get("port"), f"{name}.port", port))
    if not handlers:
        errors.add(missing_one_of(*PROBE_HANDLERS))
    elif len(handlers) > 1:
        errors.add(multiple_one_of(*(_NAMES.get(name, name) for name in handlers)))
    return errors


def validate_readiness(probe: Json | None, port: ProbedPort) -> FieldErrors:
    """A probe whose numbers Pilotlight itself goes by."""
    errors = validate_probe(probe, port)
    if probe is None:
        return errors
    period = number(probe, "periodSeconds")
    errors.add(
        _at_least(probe, "periodSeconds", 0),
        _at_least(probe, "initialDelaySeconds", 0),
        _at_least(probe, "successThreshold", 1),
    )
    for name in ("failureThreshold", "timeoutSeconds"):
        if period != 0:
            errors.add(_at_least(probe, name, 1))
        elif number(probe, name) != 0:
            errors.add(generic(f"{name} is disallowed when periodSeconds is zero", name))
    return errors


def _validate_port(wanted: object, path: str, port: ProbedPort) -> FieldErrors:
    if port.name is None:
        unset = wanted in (None, 0, "")
        return FieldErrors([invalid(0, path, "Probe port must be specified")] if unset else [])
    if isinstance(wanted, str) and wanted and wanted != port.name:
        return FieldErrors([invalid(wanted, path, "Probe port must match container port")])
    return FieldErrors()


def _at_least(probe: Json, name: str, least: int) -> FieldErrors:
    value = number(probe, name)
    if value >= least:
        return FieldErrors()
    return FieldErrors([out_of_bounds(value, least, _INT32_MAX, name)])
